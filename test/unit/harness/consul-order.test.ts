import { expect, test } from "vitest";
import { chooseBinary, chooseConsul } from "../../harness/consul-order.js";
import type { ConsulProbes } from "../../harness/consul-order.js";

const binary = { kind: "binary", path: "/a/consul", version: "1.8.7" } as const;

/** Probes of which only the named ones find something; `asked` tells which were run. */
function probesThatFind(...serving: (keyof ConsulProbes)[]) {
  const asked: string[] = [];
  const probe =
    <T>(name: keyof ConsulProbes, found: T) =>
    () => {
      asked.push(name);
      return Promise.resolve(
        serving.includes(name)
          ? { found, source: `the ${name}` }
          : { missing: `there is no ${name}` },
      );
    };
  const probes: ConsulProbes = {
    runningAgent: probe("runningAgent", { kind: "agent", address: "http://127.0.0.1:8500" }),
    namedBinary: probe("namedBinary", binary),
    containerImage: probe("containerImage", { kind: "image", name: "consul:1" }),
    binaryOnPath: probe("binaryOnPath", binary),
    binaryInImage: probe("binaryInImage", binary),
    debianPackage: probe("debianPackage", binary),
  };
  return { probes, asked };
}

const consulOrder = [
  "runningAgent",
  "namedBinary",
  "containerImage",
  "binaryOnPath",
  "debianPackage",
] as const;

const binaryOrder = ["namedBinary", "binaryOnPath", "binaryInImage", "debianPackage"] as const;

test.each(consulOrder)("%s serves once all before it do not", async (place) => {
  const before = consulOrder.slice(0, consulOrder.indexOf(place));
  const { probes, asked } = probesThatFind(...consulOrder.slice(before.length));
  const { source } = await chooseConsul(probes, false);
  const reasons = before.map((name) => `there is no ${name}`).join("; ");
  expect(source).toBe(reasons === "" ? `the ${place}` : `the ${place} (${reasons})`);
  expect(asked).toEqual([...before, place]);
});

test("one that needs its own never takes the running agent", async () => {
  const { probes, asked } = probesThatFind("runningAgent", "debianPackage");
  expect((await chooseConsul(probes, true)).found).toBe(binary);
  expect(asked).toEqual(consulOrder.slice(1));
});

test.each(binaryOrder)("for a command, %s serves once all before it do not", async (place) => {
  const before = binaryOrder.slice(0, binaryOrder.indexOf(place));
  const { probes, asked } = probesThatFind(...binaryOrder.slice(before.length));
  expect((await chooseBinary(probes)).source).toMatch(new RegExp(`^the ${place}`));
  expect(asked).toEqual([...before, place]);
});

test("when nothing serves, the error names each place and what to do", async () => {
  const { probes } = probesThatFind();
  await expect(chooseConsul(probes, false)).rejects.toThrow(
    "Found no Consul to test against: there is no runningAgent; there is no namedBinary;" +
      " there is no containerImage; there is no binaryOnPath; there is no debianPackage." +
      " Set CONSUL_HTTP_ADDR to the address of a running agent or CONSUL_BIN to",
  );
  await expect(chooseConsul(probes, true)).rejects.toThrow("Set CONSUL_BIN to");
  await expect(chooseBinary(probes)).rejects.toThrow("Set CONSUL_BIN to");
});

test("a probe that throws ends the search", async () => {
  const { probes, asked } = probesThatFind("debianPackage");
  const namedBinary = () => Promise.reject(new Error("CONSUL_BIN is wrong"));
  await expect(chooseConsul({ ...probes, namedBinary }, false)).rejects.toThrow(
    "CONSUL_BIN is wrong",
  );
  expect(asked).toEqual(["runningAgent"]);
});
