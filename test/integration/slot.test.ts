// The life of a slot in the hands of its user: release in its forms, run, resuming, starting over.
import { getEventListeners } from "node:events";

import { expect, test, vi } from "vitest";

import { SemaphoreLostError, SemaphoreReleasedError } from "../../src/index.js";
import {
  abortWithin,
  connect,
  eventually,
  freshPrefix,
  keysBelow,
  makeSession,
} from "./fixture.js";
import { Proxy } from "./proxy.js";

test("release during an acquire waits for it", async () => {
  const sem = connect().semaphorePrefix(freshPrefix(), 1);
  const acquired = sem.acquire();
  const released = sem.release();
  const slot = await acquired;
  await released;
  expect(slot.held).toBe(false);
  expect(sem.isHeld).toBe(false);
});

test("of two acquires at once on one semaphore the second is refused", async () => {
  const sem = connect().semaphorePrefix(freshPrefix(), 2);
  const [first, second] = await Promise.allSettled([sem.acquire(), sem.acquire()]);
  expect(first.status).toBe("fulfilled");
  expect(second).toMatchObject({ status: "rejected", reason: { code: "SEMAPHORE_HELD" } });
  await sem.release();
});

test("slot.release may be called again and again, also around sem.release", async () => {
  const sem = connect().semaphorePrefix(freshPrefix(), 1);
  const slot = await sem.acquire();
  await Promise.all([slot.release(), slot.release()]);
  await slot.release();
  await expect(sem.release()).rejects.toThrow("Semaphore not held");

  const next = await sem.acquire();
  await slot.release();
  expect(next.held).toBe(true);
  await sem.release();
  await next.release();
});

test("`await using` releases at the end of its block", async () => {
  const prefix = freshPrefix();
  const sem = connect().semaphorePrefix(prefix, 1);
  let signal: AbortSignal;
  {
    await using slot = await sem.acquire();
    signal = slot.signal;
    expect(slot.held).toBe(true);
  }
  expect(signal.reason).toBeInstanceOf(SemaphoreReleasedError);
  expect((await sem.inspect()).holders).toEqual([]);
});

test("the signal aborts before the slot is given to the next", async () => {
  const prefix = freshPrefix();
  const client = connect();
  const [one, two] = [client.semaphorePrefix(prefix, 1), client.semaphorePrefix(prefix, 1)];
  const slot = await one.acquire();
  const order: string[] = [];
  slot.signal.addEventListener("abort", () => order.push("the first was told"));
  const next = two.acquire().then(() => order.push("the next was let in"));
  await eventually(
    () => one.inspect(),
    ({ waiters }) => waiters.length === 1,
  );
  await one.release();
  await next;
  expect(order).toEqual(["the first was told", "the next was let in"]);
  await two.release();
});

test("run passes on what its function returns, and releases", async () => {
  const sem = connect().semaphorePrefix(freshPrefix(), 1);
  const result = await sem.run((slot) => Promise.resolve({ held: slot.held }));
  expect(result).toEqual({ held: true });
  expect(sem.isHeld).toBe(false);
});

test("run passes on what its function throws, and releases", async () => {
  const sem = connect().semaphorePrefix(freshPrefix(), 1);
  const mishap = new Error("mishap");
  await expect(sem.run(() => Promise.reject(mishap))).rejects.toBe(mishap);
  expect(sem.isHeld).toBe(false);
});

test("run rejects with the loss when the slot was lost under a function that went on", async () => {
  const client = connect();
  const sem = client.semaphorePrefix(freshPrefix(), 1);
  const run = sem.run(async (slot) => {
    await client.session.destroy(slot.session);
    await abortWithin(slot.signal, 1_000);
    return "as if nothing had happened";
  });
  await expect(run).rejects.toThrow(SemaphoreLostError);
  expect(sem.isHeld).toBe(false);
});

test("run does not hide what its function throws behind a loss or a failed release", async () => {
  const proxy = await Proxy.start();
  const sem = connect({ address: proxy.address }).semaphorePrefix(freshPrefix(), 1);
  const mishap = new Error("mishap");
  const run = sem.run(async (slot) => {
    proxy.decide = () => "fail";
    await abortWithin(slot.signal, 10_000);
    throw mishap;
  });
  await expect(run).rejects.toBe(mishap);
});

test("run gives up its acquire when its signal aborts", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const holder = client.semaphorePrefix(prefix, 1);
  await holder.acquire();
  const controller = new AbortController();
  const fn = vi.fn();
  const run = client.semaphorePrefix(prefix, 1).run(fn, controller.signal);
  controller.abort();
  await expect(run).rejects.toThrow(expect.objectContaining({ name: "AbortError" }));
  expect(fn).not.toHaveBeenCalled();
  await holder.release();
});

test("a release that fails says so; the slot is gone, and Consul frees it with the session", async () => {
  const proxy = await Proxy.start();
  const prefix = freshPrefix();
  const sem = connect({ address: proxy.address }).semaphorePrefix(prefix, 1);
  const slot = await sem.acquire();
  proxy.decide = ({ path }) => (path.includes("cas=") ? "fail" : "pass");

  await expect(sem.release()).rejects.toThrow(
    "failed to update lock: Unexpected response code: 500",
  );

  expect(sem.isHeld).toBe(false);
  expect(slot.held).toBe(false);
  proxy.decide = () => "pass";
  // The session was destroyed all the same, so that what it held counts as free.
  expect((await sem.inspect()).holders).toEqual([]);
  await sem.acquire();
  await sem.release();
});

test("a caller's signal carries no listener of ours once acquire has ended", async () => {
  const sem = connect().semaphorePrefix(freshPrefix(), 1);
  const controller = new AbortController();
  const slot = await sem.acquire(controller.signal);
  expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  controller.abort();
  expect(slot.held).toBe(true);
  await sem.release();
});

test("a session of the user's that is a holder already has its slot at once", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const session = await makeSession(client);
  const options = { prefix, limit: 1, session };
  await client.semaphoreOpts(options).acquire();

  // As after a restart: a new process, the same session.
  const resumed = client.semaphoreOpts(options);
  const slot = await resumed.acquire();
  expect(slot.session).toBe(session);
  await resumed.release();
  expect(await keysBelow(prefix)).toEqual([`${prefix}/.lock`]);
});

test("an acquire that fails leaves the slot that its session already had", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const session = await makeSession(client);
  const holder = client.semaphoreOpts({ prefix, limit: 2, session });
  await holder.acquire();

  const misconfigured = client.semaphoreOpts({ prefix, limit: 3, session });
  await expect(misconfigured.acquire()).rejects.toThrow("semaphore limit conflict");

  expect((await holder.inspect()).holders).toMatchObject([{ session }]);
  await holder.release();
});

test("a session of the user's is neither renewed nor ended", async () => {
  const client = connect();
  const session = await makeSession(client);
  const sem = client.semaphoreOpts({ prefix: freshPrefix(), limit: 1, session });
  await sem.acquire();
  await sem.release();
  expect((await client.session.info(session)).value?.id).toBe(session);
});

test("a session of the user's that does not exist is an error", async () => {
  const session = "11111111-2222-3333-4444-555555555555";
  const sem = connect().semaphoreOpts({ prefix: freshPrefix(), limit: 1, session });
  await expect(sem.acquire()).rejects.toThrow(/^failed to make contender entry: .*invalid session/);
});

test("a TTL that Consul does not allow is an error in Consul's words", async () => {
  const sem = connect().semaphoreOpts({ prefix: freshPrefix(), limit: 1, sessionTTL: "48h" });
  await expect(sem.acquire()).rejects.toThrow(
    /^failed to create session: .*must be between \[10s=24h0m0s\]/,
  );
});

test("a waiter whose session is destroyed starts over with a new one", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const holder = client.semaphorePrefix(prefix, 1);
  await holder.acquire();
  const waiter = client.semaphorePrefix(prefix, 1);
  const attempt = waiter.acquire();
  const firstWaiter = async (): Promise<string | undefined> =>
    (await holder.inspect()).waiters[0]?.session;
  const session = await eventually(firstWaiter, (id) => id !== undefined);

  await client.session.destroy(session ?? "");

  await eventually(firstWaiter, (id) => id !== undefined && id !== session);
  await holder.release();
  expect((await attempt).held).toBe(true);
  await waiter.release();
});

test(
  "a held slot outlives its TTL, since its session is renewed",
  { timeout: 60_000 },
  async () => {
    const proxy = await Proxy.start();
    const sem = connect({ address: proxy.address }).semaphoreOpts({
      prefix: freshPrefix(),
      limit: 1,
      sessionTTL: "10s",
    });
    const slot = await sem.acquire();
    const renewals = (): number =>
      proxy.requests.filter(({ path }) => path.startsWith("/v1/session/renew/")).length;
    await eventually(
      () => Promise.resolve(renewals()),
      (count) => count >= 3,
    );
    expect(slot.held).toBe(true);
    await sem.release();
  },
);

test("when the network goes silent, the holder is told one TTL after its last renewal", async () => {
  const proxy = await Proxy.start();
  const sem = connect({ address: proxy.address }).semaphoreOpts({
    prefix: freshPrefix(),
    limit: 1,
    sessionTTL: "10s",
  });
  const start = performance.now();
  const slot = await sem.acquire();
  const acquired = performance.now();
  proxy.decide = () => "hang";

  const reason = await abortWithin(slot.signal, 30_000);

  expect(reason).toMatchObject({ reason: "session-expired", cause: { code: "CONSUL_TIMEOUT" } });
  // It was sent after `start`, and before the slot was there.
  expect(performance.now() - start).toBeGreaterThanOrEqual(10_000);
  expect(performance.now() - acquired).toBeLessThan(15_000);
  expect(slot.held).toBe(false);
  proxy.decide = () => "fail";
  // There is nothing left to save, so that release has nothing to complain of.
  await sem.release();
  expect(sem.isHeld).toBe(false);
});
