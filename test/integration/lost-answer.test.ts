// Requests that Consul has served and whose answer did not arrive, and releases that Consul does not
// answer at all: what has become of them is settled by reading, and nothing of it stays.
import { describe, expect, test, vi, type TestContext } from "vitest";

import type { Semaphore, SemaphoreOptions, SemaphoreSlot } from "../../src/index.js";
import {
  eventually,
  expectNothingLeft,
  expectNothingLeftOnceClosed,
  keysBelow,
  lockBelow,
  makeSession,
  scene,
  sessionsNamed,
  type Scene,
} from "./fixture.js";
import { REQUESTS, type Fate, type Proxy, type RequestKind } from "./proxy.js";

// Those that take long do little but wait.

const WHOSE_SESSION = ["its own", "the user's"] as const;
type WhoseSession = (typeof WHOSE_SESSION)[number];

const TTL_MS = 10_000;
/** How long a release keeps its caller waiting where no TTL sets a limit. */
const PATIENCE_MS = 15_000;
/** How late something may come on a busy machine. */
const LATE_MS = 5_000;

async function semaphoreOf(
  whose: WhoseSession,
  { behind, prefix }: Scene,
  context: TestContext,
  { ttl = "60s", ...options }: Partial<SemaphoreOptions> & { ttl?: string | null } = {},
): Promise<Semaphore> {
  return behind.semaphoreOpts({
    prefix,
    limit: 1,
    ...(whose === "its own"
      ? { sessionName: prefix, sessionTTL: ttl ?? undefined }
      : { session: await makeSession({ ttl }, context) }),
    ...options,
  });
}

/** Nobody else is on the prefix, and all of it shows the one holder. */
async function expectOneHolder(
  { prefix }: Scene,
  whose: WhoseSession,
  { session, fencingToken, held }: SemaphoreSlot,
): Promise<void> {
  expect(held).toBe(true);
  expect(await lockBelow(prefix)).toEqual({
    value: `{"Limit":1,"Holders":{"${session}":true}}`,
    modifyIndex: fencingToken,
  });
  expect(await keysBelow(prefix)).toEqual([`${prefix}/.lock`, `${prefix}/${session}`]);
  expect(await sessionsNamed(prefix)).toEqual(whose === "its own" ? [session] : []);
}

/** The index of the write to the lock that a fate has come upon, read before the next request. */
function indexOfWrite({ proxy, prefix }: Scene): Promise<bigint> {
  return new Promise((resolve) => {
    proxy.lost = () => {
      const { decide } = proxy;
      proxy.decide = async (request) => {
        proxy.decide = decide;
        resolve((await lockBelow(prefix)).modifyIndex);
        return await decide(request);
      };
    };
  });
}

/** Before all that is to come, the first request of a kind fails. */
function failFirst(proxy: Proxy, kind: RequestKind): void {
  const { decide } = proxy;
  let failed = false;
  proxy.decide = (request) => {
    if (failed || !REQUESTS[kind](request)) return decide(request);
    failed = true;
    return "fail";
  };
}

// One by one: on a busy machine a reading is soon too old to join at once by it.
describe("a join whose answer is lost", () => {
  test.for(WHOSE_SESSION)(
    "is found out by reading, and has a token (%s session)",
    async (whose, context) => {
      const setting = await scene(context);
      const { proxy, prefix } = setting;
      proxy.afflict("lose the answer", "join", 1);
      const firstWrite = indexOfWrite(setting);
      const sem = await semaphoreOf(whose, setting, context);

      const slot = await sem.acquire();

      expect(slot.fencingToken).toBeGreaterThan(await firstWrite);
      // Lost, and then out and in again.
      expect(proxy.seen("join")).toHaveLength(2);
      const atOnce = proxy.seen("join at once").length;
      // On a busy machine its reading may be too old by then for a session of its own, too.
      expect(atOnce).toBeLessThanOrEqual(whose === "its own" ? 1 : 0);
      await expectOneHolder(setting, whose, slot);
      await sem.release();
      // Also a session of its own: what may be on its way has to find it gone.
      await expectNothingLeft(prefix);
    },
  );

  test("is found out by reading where it came out of the queue, too", async (context) => {
    const setting = await scene(context);
    const { proxy, prefix, direct } = setting;
    const holder = direct.semaphorePrefix(prefix, 1);
    await holder.acquire();
    proxy.afflict("lose the answer", "join", 1);
    const firstWrite = indexOfWrite(setting);
    const sem = await semaphoreOf("its own", setting, context);
    const attempt = sem.acquire();
    await eventually(
      () => holder.inspect(),
      ({ waiters }) => waiters.length === 1,
    );

    await holder.release();

    const slot = await attempt;
    expect(slot.fencingToken).toBeGreaterThan(await firstWrite);
    expect(proxy.seen("join in turn")).toHaveLength(2);
    expect(proxy.seen("join at once")).toEqual([]);
    await expectOneHolder(setting, "its own", slot);
    await sem.release();
    await expectNothingLeft(prefix);
  });

  test("does not become a second slot for the same session", async (context) => {
    const setting = await scene(context);
    const { proxy, prefix, direct } = setting;
    proxy.afflict("lose the answer", "join", 3);
    const sem = await semaphoreOf("its own", setting, context, { limit: 2 });
    const slot = await sem.acquire();
    const other = direct.semaphorePrefix(prefix, 2);
    const second = await other.acquire();
    const third = direct.semaphoreOpts({ prefix, limit: 2, semaphoreWaitTime: 0 });
    expect(await third.tryAcquire()).toBeNull();
    expect((await other.inspect()).holders.map(({ session }) => session)).toEqual([
      slot.session,
      second.session,
    ]);
    await sem.release();
    await other.release();
    await expectNothingLeft(prefix);
  });

  test("and whose slot another has seen to be free meanwhile still holds", async (context) => {
    const setting = await scene(context);
    const { proxy, prefix, direct } = setting;
    const other = direct.semaphoreOpts({ prefix, limit: 1, semaphoreWaitTime: 0 });
    let chance: unknown = "not had";
    proxy.afflict("lose the answer", "join", 1);
    proxy.lost = () => {
      proxy.decide = async (): Promise<Fate> => {
        proxy.heal();
        chance = await other.tryAcquire();
        return "pass";
      };
    };
    const sem = await semaphoreOf("its own", setting, context);
    const slot = await sem.acquire();
    expect(chance).toBeNull();
    expect((await other.inspect()).holders).toMatchObject([{ session: slot.session }]);
    await sem.release();
    await expectNothingLeft(prefix);
  });
});

describe.concurrent("a release whose answer is lost", () => {
  const requests: readonly { whose: WhoseSession; kind: RequestKind }[] = [
    { whose: "its own", kind: "lock read" },
    { whose: "its own", kind: "leave" },
    { whose: "its own", kind: "session destroy" },
    { whose: "the user's", kind: "lock read" },
    { whose: "the user's", kind: "leave" },
  ];

  test.for(
    requests.flatMap((request) =>
      ([1, 3] as const).flatMap((times) =>
        (["lose the answer", "fail", "throttle", "reset"] as const).map((fate) => ({
          ...request,
          times,
          fate,
        })),
      ),
    ),
  )(
    "($kind, $whose session, $fate, times: $times) resolves, and leaves nothing",
    async (testCase, context) => {
      const { whose, kind, times, fate } = testCase;
      const setting = await scene(context);
      const { proxy, prefix, direct } = setting;
      // Only where others are active on the lock is it read before a departure.
      const others = kind === "lock read" ? [direct.semaphorePrefix(prefix, 2)] : [];
      for (const other of others) await other.acquire();
      const sem = await semaphoreOf(whose, setting, context, { limit: 1 + others.length });
      const slot = await sem.acquire();
      proxy.afflict(fate, kind, times);
      // Only after a failure is the session ended, and not kept.
      if (kind === "session destroy") failFirst(proxy, "leave");

      await sem.release();

      expect(proxy.seen(kind).length).toBeGreaterThan(times);
      expect(slot.held).toBe(false);
      for (const other of others) await other.release();
      // A read over a connection that has served before is repeated: no failure, and the session is kept.
      const isRepeated = kind === "lock read" && times === 1 && /lose|reset/.test(fate);
      if (!isRepeated) await expectNothingLeft(prefix);
      const next = await sem.acquire();
      expect(next.fencingToken).toBeGreaterThan(slot.fencingToken);
      await sem.release();
    },
  );

  test("does not throw out whoever has come meanwhile", async (context) => {
    const setting = await scene(context);
    const { proxy, prefix, direct } = setting;
    const sem = await semaphoreOf("its own", setting, context);
    const slot = await sem.acquire();
    const next = direct.semaphorePrefix(prefix, 1);
    const attempt = next.acquire();
    await eventually(
      () => next.inspect(),
      ({ waiters }) => waiters.length === 1,
    );
    proxy.afflict("lose the answer", "leave", 1);
    proxy.lost = () => {
      proxy.decide = async (): Promise<Fate> => {
        proxy.heal();
        await attempt;
        return "pass";
      };
    };

    await sem.release();

    const nextSlot = await attempt;
    expect(nextSlot.fencingToken).toBeGreaterThan(slot.fencingToken);
    expect(await lockBelow(prefix)).toEqual({
      value: `{"Limit":1,"Holders":{"${nextSlot.session}":true}}`,
      modifyIndex: nextSlot.fencingToken,
    });
    expect(nextSlot.held).toBe(true);
    await next.release();
  });
});

const isAboutLock = ({ path }: { readonly path: string }): boolean => path.includes("/.lock");

describe.concurrent("a release that passes the slot on", () => {
  const fates = ["lose the answer", "repeat", "fail", "throttle", "reset"] as const;

  test.for(fates.flatMap((fate) => [1, 3].map((times) => ({ fate, times }))))(
    "gives it to one, however it goes ($fate, times: $times)",
    async ({ fate, times }, context) => {
      const setting = await scene(context);
      const { proxy, prefix, behind } = setting;
      const sem = await semaphoreOf("its own", setting, context);
      const slot = await sem.acquire();
      const next = await semaphoreOf("its own", setting, context);
      const attempt = next.acquire();
      // The monitor watches the lock entry, and then the waiter does, which knows its place by then.
      await eventually(
        () => Promise.resolve(proxy.seen("blocking query").filter(isAboutLock).length),
        (queries) => queries === 2,
      );
      proxy.afflict(fate, "handover", times);

      await sem.release();

      const nextSlot = await attempt;
      expect(proxy.seen("handover").length).toBeGreaterThan(0);
      expect(slot.held).toBe(false);
      expect(nextSlot.fencingToken).toBeGreaterThan(slot.fencingToken);
      expect(nextSlot.held).toBe(true);
      expect(await lockBelow(prefix)).toEqual({
        value: `{"Limit":1,"Holders":{"${nextSlot.session}":true}}`,
        modifyIndex: nextSlot.fencingToken,
      });
      expect(await keysBelow(prefix)).toEqual([`${prefix}/.lock`, `${prefix}/${nextSlot.session}`]);
      await next.release();
      await expectNothingLeftOnceClosed(behind, prefix);
    },
  );
});

describe.concurrent("a waiter that goes with its answers lost", () => {
  const requests: readonly { whose: WhoseSession; kind: RequestKind }[] = [
    { whose: "its own", kind: "contender delete" },
    { whose: "its own", kind: "session destroy" },
    { whose: "the user's", kind: "lock read" },
    { whose: "the user's", kind: "leave" },
  ];

  test.for(requests.flatMap((request) => [1, 3].map((times) => ({ ...request, times }))))(
    "($kind, $whose session, times: $times) leaves nothing",
    async ({ whose, kind, times }, context) => {
      const setting = await scene(context);
      const { proxy, prefix, direct } = setting;
      const session = await makeSession({}, context);
      const holder = direct.semaphoreOpts({ prefix, limit: 1, session });
      const slot = await holder.acquire();
      const before = await keysBelow(prefix);
      const sem = await semaphoreOf(whose, setting, context, { semaphoreWaitTime: "2s" });
      proxy.afflict("lose the answer", kind, times);

      expect(await sem.tryAcquire()).toBeNull();

      // It does not keep its caller waiting for all that, but its next call does wait.
      await expect(sem.release()).rejects.toThrow("Semaphore not held");
      expect(proxy.seen(kind).length).toBeGreaterThan(times);
      expect(await keysBelow(prefix)).toEqual(before);
      expect(await sessionsNamed(prefix)).toEqual([]);
      expect(slot.held).toBe(true);
      await holder.release();
    },
  );
});

describe.concurrent(
  "a transaction that takes place twice, of which the second answer arrives",
  () => {
    test.for(WHOSE_SESSION.flatMap((whose) => [1, 2].map((times) => ({ whose, times }))))(
      "(join, $whose session, times: $times) takes the slot once",
      async ({ whose, times }, context) => {
        const setting = await scene(context);
        const { proxy, prefix, behind } = setting;
        proxy.afflict("repeat", "join", times);
        const sem = await semaphoreOf(whose, setting, context);

        const slot = await sem.acquire();

        expect(proxy.seen("join")).toHaveLength(times + 1);
        await expectOneHolder(setting, whose, slot);
        await sem.release();
        await expectNothingLeftOnceClosed(behind, prefix);
      },
    );

    test.for(WHOSE_SESSION.flatMap((whose) => [1, 2].map((times) => ({ whose, times }))))(
      "(leave, $whose session, times: $times) gives it back",
      async ({ whose, times }, context) => {
        const setting = await scene(context);
        const { proxy, prefix, behind } = setting;
        const sem = await semaphoreOf(whose, setting, context);
        await sem.acquire();
        proxy.afflict("repeat", "leave", times);

        await sem.release();

        // At last there is nothing left to take out, so that both copies succeed. With a session of
        // the user's it has to outrun a join first, that might be on its way; twice, that is refused.
        expect(proxy.seen("leave")).toHaveLength(whose === "its own" ? 2 : 1 + times);
        await expectNothingLeftOnceClosed(behind, prefix);
      },
    );

    test.for(WHOSE_SESSION)(
      "(join, %s session) and is aborted then, is taken back",
      async (whose, context) => {
        const setting = await scene(context);
        const { proxy, prefix } = setting;
        const controller = new AbortController();
        const reason = new Error("shutting down");
        proxy.decide = (request): Fate => {
          const [join] = proxy.seen("join");
          if (request === join) return "repeat";
          // The next request after the join would show what became of it.
          if (join !== undefined) controller.abort(reason);
          return "pass";
        };
        const sem = await semaphoreOf(whose, setting, context);
        await expect(sem.acquire(controller.signal)).rejects.toBe(reason);
        await expect(sem.release()).rejects.toThrow("Semaphore not held");
        await expectNothingLeft(prefix);
      },
    );
  },
);

describe.concurrent("a release in an outage", () => {
  const fates = ["fail", "throttle", "reset", "hang"] as const;

  test.for(WHOSE_SESSION.flatMap((whose) => fates.map((fate) => ({ whose, fate }))))(
    "of a few seconds resolves after it ($whose session, $fate)",
    async ({ whose, fate }, context) => {
      const setting = await scene(context);
      const { proxy, prefix } = setting;
      const sem = await semaphoreOf(whose, setting, context, { ttl: "20s" });
      const slot = await sem.acquire();
      proxy.afflict(fate);
      const ended = vi.fn();

      const release = sem.release().finally(ended);

      const tries = fate === "hang" ? 2 : 5;
      await eventually(
        () => Promise.resolve(proxy.seen("leave").length),
        (count) => count >= tries,
      );
      expect(ended).not.toHaveBeenCalled();
      // It was so before the first request, whatever became of that.
      expect(slot.held).toBe(false);
      proxy.heal();
      await release;
      await expectNothingLeft(prefix);
    },
  );

  test.for(WHOSE_SESSION)(
    "in which connections are refused resolves after it (%s session)",
    async (whose, context) => {
      const setting = await scene(context);
      const { proxy, prefix } = setting;
      const sem = await semaphoreOf(whose, setting, context, { ttl: "20s" });
      await sem.acquire();
      await proxy.shut();
      const ended = vi.fn();
      const release = sem.release().finally(ended);
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      expect(ended).not.toHaveBeenCalled();
      await proxy.reopen();
      await release;
      await expectNothingLeft(prefix);
    },
  );

  // Where others are active on the lock it is read first.
  const [ALONE, WITH_OTHERS] = ["SEMAPHORE_UPDATE_FAILED", "SEMAPHORE_READ_FAILED"] as const;

  test.for([
    { whose: "its own", fate: "fail", code: ALONE },
    { whose: "its own", fate: "hang", code: ALONE },
    { whose: "the user's", fate: "fail", code: ALONE },
    { whose: "its own", fate: "fail", code: WITH_OTHERS },
    { whose: "the user's", fate: "hang", code: WITH_OTHERS },
  ] as const)(
    "that does not end is told of within one TTL ($whose session, $fate, $code)",
    { timeout: 90_000 },
    async ({ whose, fate, code }, context) => {
      const setting = await scene(context);
      const { proxy, prefix, direct } = setting;
      const others = code === WITH_OTHERS ? [direct.semaphorePrefix(prefix, 2)] : [];
      for (const other of others) await other.acquire();
      const limit = 1 + others.length;
      const sem = await semaphoreOf(whose, setting, context, { ttl: "10s", limit });
      const slot = await sem.acquire();
      proxy.afflict(fate);
      const start = performance.now();

      const failure: unknown = await sem.release().catch((error: unknown) => error);

      expect(performance.now() - start).toBeLessThan(TTL_MS + LATE_MS);
      expect(failure).toMatchObject({
        code,
        retryable: true,
        cause: { code: fate === "fail" ? "CONSUL_STATUS" : "CONSUL_TIMEOUT" },
      });
      expect(sem.isHeld).toBe(false);
      // It is renewed no longer, so that the next one gets in when Consul has let it go.
      const next = direct.semaphoreOpts({ prefix, limit, sessionName: prefix });
      const nextSlot = await next.acquire();
      expect(nextSlot.fencingToken).toBeGreaterThan(slot.fencingToken);
      await next.release();
      for (const other of others) await other.release();
      proxy.heal();
      await sem.destroy();
      await direct.close();
      expect(await keysBelow(prefix)).toEqual([]);
      expect(await sessionsNamed(prefix)).toEqual([]);
    },
  );

  test(
    "that does not end is told of after 15 s where there is no TTL, and cleared away after it",
    { timeout: 90_000 },
    async (context) => {
      const setting = await scene(context);
      const { proxy, prefix } = setting;
      const sem = await semaphoreOf("the user's", setting, context, { ttl: null });
      const slot = await sem.acquire();
      proxy.afflict("fail");
      const start = performance.now();

      const failure: unknown = await sem.release().catch((error: unknown) => error);

      const passed = performance.now() - start;
      expect(failure).toMatchObject({ code: ALONE, retryable: true });
      expect((await lockBelow(prefix)).value).toContain(slot.session);
      proxy.heal();
      await eventually(
        () => keysBelow(prefix),
        (keys) => keys.length === 1,
      );
      await expectNothingLeft(prefix);
      expect(passed).toBeGreaterThan(PATIENCE_MS - LATE_MS);
      expect(passed).toBeLessThan(PATIENCE_MS + LATE_MS);
      const next = await sem.acquire();
      expect(next.fencingToken).toBeGreaterThan(slot.fencingToken);
      await sem.release();
    },
  );
});

describe.concurrent("a release that is refused", () => {
  test.for([
    { kind: "lock read", words: "failed to read prefix: Unexpected response code: 403" },
    { kind: "leave", words: "failed to update lock: Unexpected response code: 403" },
  ] as const)(
    "($kind) says so at once, and its session is destroyed",
    async ({ kind, words }, context) => {
      const setting = await scene(context);
      const { proxy, prefix, direct } = setting;
      // One more holder, so that the lock is read first.
      const other = direct.semaphorePrefix(prefix, 2);
      const { session: otherSession } = await other.acquire();
      const sem = await semaphoreOf("its own", setting, context, { limit: 2 });
      const slot = await sem.acquire();
      proxy.afflict("refuse", kind);

      await expect(sem.release()).rejects.toThrow(words);

      expect(proxy.seen(kind)).toHaveLength(1);
      expect(slot.held).toBe(false);
      expect(await sessionsNamed(prefix)).toEqual([]);
      // Its name is still in the lock, but it counts as dead.
      expect((await lockBelow(prefix)).value).toContain(slot.session);
      expect(await other.inspect()).toMatchObject({
        holders: [{ session: otherSession }],
        waiters: [],
      });
      await other.release();
    },
  );

  test(
    "altogether says so at once, and its session goes with its TTL",
    { timeout: 90_000 },
    async (context) => {
      const setting = await scene(context);
      const { proxy, prefix } = setting;
      const sem = await semaphoreOf("its own", setting, context, { ttl: "10s" });
      const slot = await sem.acquire();
      proxy.afflict("refuse");
      const start = performance.now();
      await expect(sem.release()).rejects.toThrow("Unexpected response code: 403");
      expect(performance.now() - start).toBeLessThan(LATE_MS);
      expect(proxy.seen("session destroy")).toHaveLength(1);
      expect(await sessionsNamed(prefix)).toEqual([slot.session]);
      await eventually(
        () => sessionsNamed(prefix),
        (sessions) => sessions.length === 0,
      );
    },
  );
});
