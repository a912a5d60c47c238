import { expect, test } from "vitest";
import { containerFlags, processFlags } from "../../harness/agent-configuration.js";

const ports = { http: 1, server: 2, serfLan: 3 };

test.each([
  ["1.8.7", false],
  ["1.13.9", false],
  ["1.14.0", true],
  ["1.21.5", true],
  ["1.22.0-rc1", true],
  ["2.0.0", true],
])("Consul %s knows grpc_tls: %s", (version, knows) => {
  expect(processFlags(version, "node", ports, "").join(" ").includes("grpc_tls = -1")).toBe(knows);
});

test("further settings come last, so that they win", () => {
  const further = 'session_ttl_min = "1s"';
  expect(processFlags("1.8.7", "node", ports, further).slice(-2)).toEqual(["-hcl", further]);
  expect(containerFlags(further).slice(-2)).toEqual(["-hcl", further]);
  expect(containerFlags("").at(-1)).not.toBe("");
});
