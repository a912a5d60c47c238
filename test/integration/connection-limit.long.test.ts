// An agent closes connections beyond so many from one address, whoever they are of.
import { once } from "node:events";
import { connect as connectTo, createServer, type Socket } from "node:net";

import { Agent } from "undici";
import { expect, onTestFinished, test } from "vitest";

import { ConsulClient, type ConsulClientConfig, type SemaphoreSlot } from "../../src/index.js";
import { abortWithin, eventually } from "./fixture.js";
import { startOwnAgent } from "./own-agent.js";

const TTL_MS = 6_000;

/** The address of an agent that allows each address so many connections. */
async function agentWithLimit(connections: number): Promise<string> {
  const hcl = `session_ttl_min = "1s" limits { http_max_conns_per_client = ${connections} }`;
  return (await startOwnAgent(hcl, onTestFinished)).address;
}

/** The same as newer agents say it. */
async function newerAgentWithLimit(connections: number): Promise<string> {
  const { hostname, port } = new URL(await agentWithLimit(1_000));
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    if (open.size >= connections) {
      socket.end(OVER_LIMIT);
      return;
    }
    open.add(socket);
    const onward = connectTo(Number(port), hostname);
    onward.on("error", () => socket.destroy());
    onward.once("close", () => socket.destroy());
    socket.once("close", () => {
      open.delete(socket);
      onward.destroy();
    });
    socket.pipe(onward).pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening");
  return `http://127.0.0.1:${address.port}`;
}

const OVER_LIMIT =
  "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" +
  "Your IP is issuing too many concurrent connections, please rate limit your calls\n";

function connect(address: string, config: ConsulClientConfig = {}): ConsulClient {
  const client = new ConsulClient({ address, ...config });
  onTestFinished(() => client.close());
  return client;
}

async function hold(
  client: ConsulClient,
  prefix: string,
  sessionTTL = TTL_MS,
): Promise<SemaphoreSlot> {
  return await client.semaphoreOpts({ prefix, limit: 1, sessionTTL }).acquire();
}

async function holdMany(
  client: ConsulClient,
  count: number,
  { prefix = "many", ttl = TTL_MS } = {},
): Promise<SemaphoreSlot[]> {
  return await Promise.all(
    Array.from({ length: count }, (_, number) => hold(client, `${prefix}/${number}`, ttl)),
  );
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function blockEventLoop(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/** Those that have been lost, by the number of the slot. */
function lossesOf(slots: readonly SemaphoreSlot[]): string[] {
  return slots.flatMap(({ signal }, number) =>
    signal.aborted ? [`${number}: ${String(signal.reason)}`] : [],
  );
}

test("50 semaphores wait at an agent that allows each address 10 connections", async () => {
  const WAITERS = 50;
  const client = connect(await agentWithLimit(10));
  const occupant = client.semaphorePrefix("crowd", 2);
  await occupant.acquire();
  const other = client.semaphorePrefix("crowd", 2);
  await other.acquire();
  let inside = 0;
  let most = 0;
  const turns = Array.from({ length: WAITERS }, () =>
    client.semaphorePrefix("crowd", 2).run(async (slot) => {
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => setImmediate(resolve));
      expect(slot.held).toBe(true);
      inside -= 1;
    }),
  );
  await eventually(
    async () => (await occupant.inspect()).waiters.length,
    (count) => count === WAITERS,
  );
  await Promise.all([occupant.release(), other.release()]);
  await Promise.all(turns);
  expect(most).toBeLessThanOrEqual(2);
});

test.each([
  { limit: 20, prefixes: 40, agent: agentWithLimit, ttl: TTL_MS },
  { limit: 20, prefixes: 40, agent: newerAgentWithLimit, ttl: TTL_MS },
  // On a busy machine an agent with that many connections may take a second to answer.
  { limit: 200, prefixes: 230, agent: agentWithLimit, ttl: 2 * TTL_MS },
])(
  "slots outlive a limit of $limit connections: $prefixes of one client, and its neighbours' ($agent.name)",
  async ({ limit, prefixes, agent, ttl }) => {
    const address = await agent(limit);
    const neighbour = await hold(connect(address), "neighbour", ttl);
    const client = connect(address);
    const slots = await holdMany(client, prefixes, { ttl });
    const late = await hold(connect(address), "late neighbour", ttl);
    await pause(2.5 * ttl);
    expect(lossesOf([neighbour, ...slots, late])).toEqual([]);

    const [first, second, ...others] = slots;
    if (first === undefined || second === undefined) throw new Error("no slots");
    await client.session.destroy(first.session);
    await client.kv.delete("many/1/.lock");
    expect(await abortWithin(first.signal, ttl)).toMatchObject({
      reason: "session-invalidated",
    });
    expect(await abortWithin(second.signal, ttl)).toMatchObject({ reason: "holder-removed" });
    expect(lossesOf(others)).toEqual([]);
    await Promise.all([neighbour, ...others, late].map((slot) => slot.release()));
  },
  120_000,
);

test("slots outlive a limit of connections with a dispatcher that was given, and blocked event loops", async () => {
  // undici decides which connections there are, and keeps those that it does not find again for 4 s.
  const ttl = 2 * TTL_MS;
  const address = await agentWithLimit(20);
  const dispatcher = new Agent();
  onTestFinished(() => dispatcher.destroy());
  const neighbour = await hold(connect(address), "neighbour", ttl);
  const slots = await holdMany(connect(address, { dispatcher }), 40, { ttl });
  const end = performance.now() + 3 * ttl;
  while (performance.now() < end) {
    // All that was due meanwhile is then sent at once.
    blockEventLoop(600);
    await pause(1_500);
  }
  expect(lossesOf([neighbour, ...slots])).toEqual([]);
  await Promise.all([neighbour, ...slots].map((slot) => slot.release()));
}, 90_000);

test("slots of 6 clients with 6 prefixes each outlive a limit of 20 connections", async () => {
  const address = await agentWithLimit(20);
  const clients = Array.from({ length: 6 }, () => connect(address));
  const held = await Promise.all(
    clients.map((client, number) => holdMany(client, 6, { prefix: String(number) })),
  );
  const slots = held.flat();
  await pause(2.5 * TTL_MS);
  expect(lossesOf(slots)).toEqual([]);
  await Promise.all(slots.map((slot) => slot.release()));
}, 60_000);

test("waiters of many prefixes have their slots at a limit of 20 connections", async () => {
  const address = await agentWithLimit(20);
  const slots = await holdMany(connect(address), 40);
  const waiting = holdMany(connect(address), 40);
  await pause(TTL_MS);
  await Promise.all(slots.map((slot) => slot.release()));
  await Promise.all((await waiting).map((slot) => slot.release()));
}, 60_000);

test("a client does with what it has where others take all connections", async () => {
  const address = await agentWithLimit(20);
  const client = connect(address);
  const slots = await holdMany(client, 3);
  const { hostname, port } = new URL(address);
  const others = Array.from({ length: 30 }, () => {
    const socket = connectTo(Number(port), hostname);
    socket.on("error", () => undefined);
    return socket;
  });
  onTestFinished(() => {
    for (const socket of others) socket.destroy();
  });
  await pause(2.5 * TTL_MS);
  expect(lossesOf(slots)).toEqual([]);
  expect(others.filter(({ closed }) => !closed).length).toBeGreaterThan(10);
  const another = await hold(client, "another");
  await Promise.all([...slots, another].map((slot) => slot.release()));
}, 60_000);
