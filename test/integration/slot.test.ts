// The life of a slot in the hands of its user: release in its forms, run, resuming, starting over.

import { describe, expect, test } from "vitest";

import { SemaphoreLostError, SemaphoreReleasedError } from "../../src/index.js";
import {
  abortWithin,
  connect,
  eventually,
  freshPrefix,
  keysBelow,
  makeSession,
  scene,
} from "./fixture.js";
import { Proxy } from "./proxy.js";

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

test("a release that fails says so; the slot is gone, and Consul frees it with the session", async () => {
  const proxy = await Proxy.start();
  const prefix = freshPrefix();
  const sem = connect({ address: proxy.address }).semaphorePrefix(prefix, 1);
  const slot = await sem.acquire();
  proxy.afflict("refuse", "leave");

  await expect(sem.release()).rejects.toThrow(
    "failed to update lock: Unexpected response code: 403",
  );

  expect(proxy.seen("leave")).toHaveLength(1);
  expect(sem.isHeld).toBe(false);
  expect(slot.held).toBe(false);
  proxy.heal();
  // The session was destroyed all the same, so that what it held counts as free.
  expect((await sem.inspect()).holders).toEqual([]);
  await sem.acquire();
  await sem.release();
});

test("a session of the user's that is a holder already has its slot at once", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const session = await makeSession();
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
  const session = await makeSession();
  const holder = client.semaphoreOpts({ prefix, limit: 2, session });
  await holder.acquire();

  const misconfigured = client.semaphoreOpts({ prefix, limit: 3, session });
  await expect(misconfigured.acquire()).rejects.toThrow("semaphore limit conflict");

  expect((await holder.inspect()).holders).toMatchObject([{ session }]);
  await holder.release();
});

test("a session of the user's without a TTL needs no renewal, and has none", async () => {
  const proxy = await Proxy.start();
  const session = await makeSession({ ttl: null });
  const client = connect({ address: proxy.address });
  const sem = client.semaphoreOpts({ prefix: freshPrefix(), limit: 1, session });
  await sem.acquire();
  await sem.release();
  expect(proxy.seen("session renewal")).toHaveLength(1);
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

// These wait for times of Consul's, side by side.
describe.concurrent("a slot in time", () => {
  const TTL_MS = 10_000;

  async function renewalsOf(session: string, proxy: Proxy, count: number): Promise<void> {
    await eventually(
      () => Promise.resolve(countRenewals(session, proxy)),
      (renewals) => renewals >= count,
    );
  }

  function countRenewals(session: string, proxy: Proxy): number {
    return proxy.seen("session renewal").filter(({ path }) => path.includes(session)).length;
  }

  test("outlives its TTL, since its session is renewed", async (context) => {
    const { proxy, behind, prefix } = await scene(context);
    const sem = behind.semaphoreOpts({ prefix, limit: 1, sessionTTL: TTL_MS });
    const slot = await sem.acquire();
    await renewalsOf(slot.session, proxy, 3);
    expect(slot.held).toBe(true);
    await sem.release();
  });

  test("with a session of the user's, renews it while it is held, and never ends it", async (context) => {
    const { proxy, behind, direct, prefix } = await scene(context);
    const sessions = [
      await makeSession({ ttl: "10s" }, context),
      await makeSession({ ttl: "10s" }, context),
    ];
    const [one = "", two = ""] = sessions;
    const first = behind.semaphoreOpts({ prefix, limit: 2, session: one });
    const second = behind.semaphoreOpts({ prefix, limit: 2, session: two });
    const slot = await first.acquire();
    await second.acquire();
    // Once to learn its TTL, and then several times in each.
    await renewalsOf(one, proxy, 3);
    expect(slot.held).toBe(true);

    await first.release();

    const renewals = countRenewals(one, proxy);
    await renewalsOf(two, proxy, countRenewals(two, proxy) + 2);
    expect(countRenewals(one, proxy)).toBe(renewals);
    expect(proxy.seen("session destroy")).toEqual([]);
    expect((await direct.session.info(one)).value?.id).toBe(one);
    await second.release();
  });

  test.for(["its own", "the user's"] as const)(
    "ends one TTL after its last renewal when the network goes silent (%s session)",
    async (whose, context) => {
      const { proxy, behind, prefix } = await scene(context);
      const sem = behind.semaphoreOpts({
        prefix,
        limit: 1,
        ...(whose === "its own"
          ? { sessionTTL: TTL_MS }
          : { session: await makeSession({ ttl: "10s" }, context) }),
      });
      const start = performance.now();
      const slot = await sem.acquire();
      const acquired = performance.now();
      proxy.afflict("hang");

      const reason = await abortWithin(slot.signal, 30_000);

      expect(reason).toMatchObject({
        reason: "session-expired",
        cause: { code: "CONSUL_TIMEOUT" },
      });
      // It was sent after `start`, and before the slot was there. Timers may come a little early.
      expect(performance.now() - start).toBeGreaterThan(TTL_MS - 10);
      expect(performance.now() - acquired).toBeLessThan(TTL_MS + 5_000);
      expect(slot.held).toBe(false);
      // There is nothing left to save, so that release has nothing to complain of; and what is on
      // the prefix of a session that lives on is cleared away when Consul can be reached again.
      proxy.afflict("fail", undefined, whose === "its own" ? Infinity : 3);
      await sem.release();
      expect(sem.isHeld).toBe(false);
    },
  );
});
