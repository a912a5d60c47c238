// Sessions on a node of the catalog that no agent runs on, and what ends them.
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";

import { ConsulClient } from "../../src/index.js";
import { rejectionOf } from "../unit/rejection.js";
import { abortWithin } from "./fixture.js";
import { startOwnAgent } from "./own-agent.js";
import { runProcess } from "./process-run.js";

const NODE = "semaphores";
const PROCESS_MS = 50_000;
const TOLD_WITHIN_MS = 30_000;

let address: string;
const ends: (() => Promise<void>)[] = [];

beforeAll(async () => {
  const agent = await startOwnAgent(`session_ttl_min = "1s"`, (end) => ends.push(end));
  address = agent.address;
});

afterAll(async () => {
  for (const end of ends.toReversed()) await end();
});

async function tellCatalog(what: "register" | "deregister", body: unknown): Promise<void> {
  const route = `${address}/v1/catalog/${what}`;
  const response = await fetch(route, { method: "PUT", body: JSON.stringify(body) });
  expect((await response.text()).trim()).toBe("true");
}

async function connectToNode(): Promise<ConsulClient> {
  await tellCatalog("register", { Node: NODE, Address: "127.0.0.1" });
  const client = new ConsulClient({ address });
  onTestFinished(() => client.close());
  return client;
}

test("a slot on it is free after the TTL of a process that died", async () => {
  const client = await connectToNode();
  const options = { prefix: "jobs/dead", limit: 1, sessionTTL: "1s", sessionNode: NODE };
  const { output: session, signal } = await runProcess(
    "dies-while-holding",
    [address, JSON.stringify(options)],
    PROCESS_MS,
  );
  expect(signal).toBe("SIGKILL");
  expect(session).toMatch(/^[-0-9a-f]{36}$/);
  await client.semaphoreOpts(options).acquire({ timeout: "30s" });
  expect((await client.session.info(session)).value).toBeNull();
});

test("it has no health check of Consul's, which is said at once to those who ask for it", async () => {
  const client = await connectToNode();
  const semaphore = client.semaphoreOpts({
    ...{ prefix: "jobs/checked", limit: 1, sessionNode: NODE },
    sessionChecks: ["serfHealth"],
  });
  expect(String(await rejectionOf(semaphore.acquire()))).toMatch(
    /Missing check 'serfHealth' registration.*see sessionChecks/,
  );
});

test("a node that is not there is refused, and the option named", async () => {
  const client = await connectToNode();
  const options = { prefix: "jobs/nowhere", limit: 1, sessionNode: "nowhere" };
  expect(
    String(await rejectionOf(client.semaphoreOpts(options).acquire({ timeout: "1s" }))),
  ).toMatch(/Missing node registration.*sessionNode/);
});

test("a holder is told when it is deregistered", async () => {
  const client = await connectToNode();
  const options = { prefix: "jobs/gone", limit: 1, sessionTTL: "5m", sessionNode: NODE };
  const slot = await client.semaphoreOpts(options).acquire();
  await tellCatalog("deregister", { Node: NODE });
  expect(await abortWithin(slot.signal, TOLD_WITHIN_MS)).toMatchObject({
    reason: "session-invalidated",
  });
});
