import { setTimeout as pause } from "node:timers/promises";

import { expect, test } from "vitest";

import { connect, eventually, expectNothingLeft, freshPrefix } from "../fixture.js";
import { ExampleProcess, PATIENCE_MS } from "./example-process.js";
import { answerTo, SlowServer } from "./slow-server.js";

const LIMIT = 2;

interface Service {
  readonly process: ExampleProcess;
  readonly prefix: string;
  readonly backend: SlowServer;
  readonly get: (path: string, signal?: AbortSignal) => Promise<Answer>;
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly retryAfter: string | null;
}

const BUSY: Answer = { status: 503, body: "busy\n", retryAfter: "5" };

function done(path: string): Answer {
  return { status: 200, body: answerTo(path), retryAfter: null };
}

async function startService({ wait = `${PATIENCE_MS}ms`, drain = "10m" } = {}): Promise<Service> {
  const prefix = freshPrefix();
  const backend = await SlowServer.start();
  const process = new ExampleProcess("http-service", [], {
    ...{ EXAMPLE_PREFIX: prefix, BACKEND: backend.url(""), PORT: "0", WAIT: wait, DRAIN: drain },
  });
  const port = (await process.line(/^listening on \d+$/)).split(" ").at(-1) ?? "";
  const get = async (path: string, signal?: AbortSignal): Promise<Answer> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { signal: signal ?? null });
    const { status, headers } = response;
    return { status, body: await response.text(), retryAfter: headers.get("retry-after") };
  };
  return { process, prefix, backend, get };
}

/** Resolves when so many requests are at the backend. */
async function atWork(backend: SlowServer, count: number): Promise<void> {
  await eventually(
    () => Promise.resolve(backend.waiting),
    (waiting) => waiting === count,
    PATIENCE_MS,
  );
}

async function stop({ process, prefix }: Service): Promise<void> {
  process.signal("SIGTERM");
  expect(await process.ended).toMatchObject({ code: 0 });
  await expectNothingLeft(prefix);
}

test("fifty requests at once are all answered, and never more than two are at work", async () => {
  const service = await startService();
  const { backend, get } = service;
  backend.answerFromNowOn();
  const paths = Array.from({ length: 50 }, (_, index) => `/report-${index}`);

  expect(await Promise.all(paths.map((path) => get(path)))).toEqual(paths.map(done));

  expect(backend.mostAtOnce).toBe(LIMIT);
  await stop(service);
});

test("on SIGTERM it finishes what is at work, and only then others get the slots", async () => {
  const { process, prefix, backend, get } = await startService();
  const working = ["/a", "/b"].map((path) => get(path));
  await atWork(backend, LIMIT);
  const waiting = ["/c", "/d", "/e"].map((path) => get(path));
  for (const path of ["/c", "/d", "/e"]) await process.line(new RegExp(`^GET ${path}$`));
  const next = connect().semaphorePrefix(prefix, LIMIT);
  let isNextIn = false;
  const nextSlot = next.acquire().then(() => {
    isNextIn = true;
  });

  process.signal("SIGTERM");
  expect(await Promise.all(waiting)).toEqual([BUSY, BUSY, BUSY]);
  await expect(get("/late")).rejects.toThrow();
  // Time enough for a slot that was given up too early.
  await pause(1_000);
  const { holders, waiters } = await next.inspect();
  expect([holders.length, waiters.length, isNextIn]).toEqual([LIMIT, 1, false]);

  backend.answer();
  expect(await Promise.all(working)).toEqual(["/a", "/b"].map(done));
  expect(await process.ended).toMatchObject({ code: 0 });
  await nextSlot;
  await next.release();
  expect(backend.asked).toHaveLength(LIMIT);
});

test("what is not done when the drain is over is broken off and answered with 503", async () => {
  const { process, prefix, backend, get } = await startService({ drain: "200ms" });
  const working = ["/a", "/b"].map((path) => get(path));
  await atWork(backend, LIMIT);
  process.signal("SIGTERM");

  expect(await Promise.all(working)).toEqual([BUSY, BUSY]);
  expect(await process.ended).toMatchObject({ code: 0 });
  expect(backend.brokenOff).toHaveLength(LIMIT);
  await expectNothingLeft(prefix);
});

test("a request that gets no slot in time is answered with 503 and not sent on", async () => {
  const service = await startService({ wait: "500ms" });
  const { process, prefix, backend, get } = service;
  const client = connect();
  for (let slot = 0; slot < LIMIT; slot += 1) await client.semaphorePrefix(prefix, LIMIT).acquire();

  expect(await get("/a")).toEqual(BUSY);
  expect(await process.line(/^\/a: /)).toMatch(/^\/a: SemaphoreTimeoutError: no slot of .* within/);
  expect(backend.asked).toEqual([]);
  await client.close();
  await stop(service);
});

test("a client that disconnects while it waits leaves the queue", async () => {
  const service = await startService();
  const client = connect();
  const slots = client.semaphorePrefix(service.prefix, LIMIT);
  await slots.acquire();
  await client.semaphorePrefix(service.prefix, LIMIT).acquire();
  const disconnecting = new AbortController();
  const waiting = ["/a", "/b"].map((path) => service.get(path, disconnecting.signal));
  const waiters = async (): Promise<number> => (await slots.inspect()).waiters.length;
  await eventually(waiters, (count) => count === LIMIT, PATIENCE_MS);

  disconnecting.abort();
  await Promise.allSettled(waiting);
  // Sooner than the wait would end by itself.
  await eventually(waiters, (count) => count === 0);

  expect(service.backend.asked).toEqual([]);
  await client.close();
  await stop(service);
});

test("a client that disconnects during the work frees its slot", async () => {
  const service = await startService();
  const { backend, get } = service;
  const disconnecting = new AbortController();
  const working = ["/a", "/b"].map((path) => get(path, disconnecting.signal));
  await atWork(backend, LIMIT);

  disconnecting.abort();
  await Promise.allSettled(working);
  const next = get("/c");
  await eventually(
    () => Promise.resolve({ brokenOff: backend.brokenOff.length, last: backend.asked.at(-1) }),
    ({ brokenOff, last }) => brokenOff === LIMIT && last === "/c",
    PATIENCE_MS,
  );
  backend.answerFromNowOn();
  expect(await next).toEqual(done("/c"));
  await stop(service);
});
