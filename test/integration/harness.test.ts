import { expect, inject, test } from "vitest";
import { consulCli } from "../harness/consul-cli.js";
import { inspectBinary } from "../harness/consul-binary.js";
import { startConsul } from "../harness/start-consul.js";

async function listening(address: string): Promise<boolean> {
  return fetch(`${address}/v1/status/leader`).then(
    () => true,
    () => false,
  );
}

test("agents run side by side, each with its own data, and end when told to", async () => {
  const agents = await Promise.all([startConsul({ own: true }), startConsul({ own: true })]);
  try {
    const [first, second] = agents;
    const addresses = [inject("consulAddress"), first.address, second.address];
    expect(new Set(addresses).size).toBe(3);

    await fetch(`${first.address}/v1/kv/only-here`, { method: "PUT", body: "x" });
    const elsewhere = await fetch(`${second.address}/v1/kv/only-here`);
    expect(elsewhere.status).toBe(404);
  } finally {
    await Promise.all(agents.map((agent) => agent.stop()));
  }
  for (const agent of agents) {
    await agent.stop();
    expect(await listening(agent.address)).toBe(false);
  }
});

test("an agent takes the settings given for it", async () => {
  const agent = await startConsul({ own: true, hcl: 'session_ttl_min = "1s"' });
  try {
    const response = await fetch(`${agent.address}/v1/session/create`, {
      method: "PUT",
      body: JSON.stringify({ TTL: "1s" }),
    });
    expect(response.status, await response.text()).toBe(200);
  } finally {
    await agent.stop();
  }
});

test("an agent that can't start says why", async () => {
  await expect(startConsul({ own: true, hcl: "no_such_setting = 1" })).rejects.toThrow(
    /would not serve.*no_such_setting/s,
  );
});

test("the consul program is found", async () => {
  expect((await inspectBinary(await consulCli())).version).toMatch(/^\d+\.\d+\.\d+/);
});
