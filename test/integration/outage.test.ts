// What an outage costs: nothing for as long as the session lasts, whatever Consul's side answers
// meanwhile, if it answers at all. The tests wait for Consul's own times to pass, side by side.
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";

import { describe, expect, test, type TestContext } from "vitest";

import type { Semaphore, SemaphoreSlot } from "../../src/index.js";
import {
  abortWithin,
  consul,
  eventually,
  expectNothingLeft,
  freshPrefix,
  expectNothingLeftOnceClosed,
  keysBelow,
  makeSession,
  scene,
  sessionsNamed,
  type Scene,
} from "./fixture.js";
import { REQUESTS, type Proxy, type RequestKind, type SeenRequest } from "./proxy.js";

// They do little but wait.

const TTL_MS = 10_000;
/** Node's timers may come this much too soon. */
const TIMER_EARLINESS_MS = 20;
/** How long a failure that is told "at once" may take on a busy machine. */
const LATE_MS = 5_000;
/** For how long connections are refused, of which nobody sees the tries: half a TTL. */
const REFUSED_MS = 5_000;

/** A holder that is the only one of its client watches the lock entry and its contender entry. */
const HOLDERS_QUERIES = 2;

const TROUBLES = ["5xx", "429", "resets", "refused connections"] as const;
/** What a proxy answers in Consul's place. */
const PAGES = ["page 200", "page 204", "page 403", "page 404", "page 408"] as const;
type Trouble = (typeof TROUBLES)[number] | (typeof PAGES)[number];

const FATES = { "5xx": "fail", "429": "throttle", resets: "reset" } as const;

/** Whatever is under way is cut off, and nothing gets through until `meanwhile` is over. */
async function outage(
  proxy: Proxy,
  trouble: Trouble,
  meanwhile: () => Promise<unknown>,
): Promise<void> {
  if (trouble === "refused connections") {
    await proxy.shut();
    await meanwhile();
    await proxy.reopen();
    return;
  }
  proxy.afflict(isPage(trouble) ? trouble : FATES[trouble]);
  proxy.cut();
  await meanwhile();
  proxy.heal();
}

function isPage(trouble: Trouble): trouble is (typeof PAGES)[number] {
  return trouble.startsWith("page ");
}

/** Several requests of each kind have failed; nobody sees those whose connections are refused. */
async function severalFail(proxy: Proxy, trouble: Trouble, ...kinds: RequestKind[]): Promise<void> {
  if (trouble === "refused connections") await pause(REFUSED_MS);
  else await Promise.all(kinds.map((kind) => more(proxy, kind, 3)));
}

/** So many more requests of a kind have come. */
async function more(proxy: Proxy, kind: RequestKind, count: number): Promise<void> {
  const before = proxy.seen(kind).length;
  await eventually(
    () => Promise.resolve(proxy.seen(kind).length),
    (seen) => seen >= before + count,
  );
}

/** So many blocking queries wait for a change. */
async function watching(proxy: Proxy, count: number): Promise<void> {
  await eventually(
    () => Promise.resolve(proxy.underWay("blocking query")),
    (queries) => queries === count,
  );
}

async function waiting({ direct, prefix }: Scene): Promise<string[]> {
  const { waiters } = await direct.semaphorePrefix(prefix, 1).inspect();
  return waiters.map(({ session }) => session);
}

/** The time is up by the clock that slots go by, unless it is lost before. */
async function heldUntil(slot: SemaphoreSlot, end: number): Promise<void> {
  await Promise.race([pause(end - performance.now()), ended(slot)]);
  expect(slot.signal.reason).toBeUndefined();
  expect(slot.held).toBe(true);
}

async function ended({ signal }: SemaphoreSlot): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}

function holder({ behind, prefix }: Scene): Semaphore {
  return behind.semaphoreOpts({ prefix, limit: 1, sessionName: prefix, sessionTTL: TTL_MS });
}

describe.concurrent("a holder", () => {
  test.for([...TROUBLES, ...PAGES])(
    "rides out %s, and has its slot longer than its TTL",
    async (trouble, context) => {
      const setting = await scene(context);
      const { proxy, prefix, direct } = setting;
      const sem = holder(setting);
      const slot = await sem.acquire();
      const end = performance.now() + TTL_MS + 1_000;
      await watching(proxy, HOLDERS_QUERIES);

      await outage(proxy, trouble, () =>
        Promise.race([
          severalFail(proxy, trouble, "session renewal", "lock read", "entry read"),
          ended(slot),
        ]),
      );

      expect(slot.signal.reason).toBeUndefined();
      await more(proxy, "session renewal", 1);
      await heldUntil(slot, end);
      expect((await direct.semaphorePrefix(prefix, 1).inspect()).holders).toMatchObject([
        { session: slot.session },
      ]);
      // It watches again, too.
      await direct.session.destroy(slot.session);
      expect(await abortWithin(slot.signal, LATE_MS)).toMatchObject({
        reason: "session-invalidated",
      });
      await sem.release();
      await expectNothingLeft(prefix);
    },
  );

  test("rides out renewals that fail, if one gets through before the TTL is over", async (context) => {
    const setting = await scene(context);
    const sem = holder(setting);
    const slot = await sem.acquire();
    const end = performance.now() + TTL_MS + 1_000;
    setting.proxy.afflict("fail", "session renewal", 3);
    await heldUntil(slot, end);
    await sem.release();
  });

  test.for([
    { kind: "lock read", holders: 1 },
    { kind: "entry read", holders: 1 },
    // Who holds several slots looks at their entries at one go.
    { kind: "holders check", holders: 2 },
  ] as const)(
    "rides out looks that fail for less than a TTL ($kind, holders: $holders)",
    async ({ kind, holders }, context) => {
      const { proxy, behind, prefix } = await scene(context);
      const semaphores = Array.from({ length: holders }, () =>
        behind.semaphoreOpts({ prefix, limit: holders, sessionTTL: TTL_MS }),
      );
      const slots = await Promise.all(semaphores.map((sem) => sem.acquire()));
      await more(proxy, kind, 1);
      proxy.afflict("fail", kind);
      proxy.cut();
      await more(proxy, kind, 10);
      expect(slots.map(({ held }) => held)).not.toContain(false);
      proxy.heal();
      await more(proxy, kind, 2);
      expect(slots.map(({ held }) => held)).not.toContain(false);
      await Promise.all(semaphores.map((sem) => sem.release()));
    },
  );

  test("without a renewal for a whole TTL has lost its slot, with the last failure", async (context) => {
    const setting = await scene(context);
    const { proxy } = setting;
    const start = performance.now();
    const sem = holder(setting);
    const slot = await sem.acquire();
    const acquired = performance.now();
    proxy.afflict("fail");
    proxy.cut();

    const reason = await abortWithin(slot.signal, 3 * TTL_MS);

    expect(reason).toMatchObject({ reason: "session-expired", cause: { status: 500 } });
    expect(performance.now() - start).toBeGreaterThan(TTL_MS - TIMER_EARLINESS_MS);
    expect(performance.now() - acquired).toBeLessThan(TTL_MS + LATE_MS);
    // It knows that Consul will free the slot, and has nothing to complain of.
    await sem.release();
  });

  test.for(
    (["its own", "the user's"] as const).flatMap((whose) =>
      (["lock read", "entry read"] as const).map((kind) => ({ whose, kind })),
    ),
  )(
    "whose looks fail for two TTLs has monitorRetries more, though it is renewed ($whose session, $kind)",
    { timeout: 90_000 },
    async ({ whose, kind }, context) => {
      const setting = await scene(context);
      const { proxy, behind, prefix } = setting;
      const RETRIES = 2;
      const RETRY_MS = 1_000;
      const patience = 2 * TTL_MS + RETRIES * RETRY_MS;
      const sem = behind.semaphoreOpts({
        prefix,
        limit: 1,
        ...(whose === "its own"
          ? { sessionName: prefix, sessionTTL: TTL_MS }
          : { session: await makeSession({ ttl: `${TTL_MS}ms` }, context) }),
        monitorRetries: RETRIES,
        monitorRetryTime: RETRY_MS,
      });
      const slot = await sem.acquire();
      await watching(proxy, HOLDERS_QUERIES);
      // The last good look is the one that the monitor's blocking query has come from.
      const [lastGood] = proxy.seen(kind);
      proxy.afflict("fail", kind);
      proxy.cut();

      const reason = await abortWithin(slot.signal, 2 * patience);

      const passed = performance.now() - (lastGood?.at ?? Infinity);
      expect(reason).toMatchObject({
        reason: "monitor-failed",
        cause: { code: "SEMAPHORE_READ_FAILED", cause: { status: 500 } },
      });
      expect(passed).toBeGreaterThan(patience - TIMER_EARLINESS_MS);
      expect(passed).toBeLessThan(patience + LATE_MS);
      expect(proxy.seen("session renewal").length).toBeGreaterThanOrEqual(5);
      // The session is still there, and with it all that there is to give back.
      await sem.release();
      await expectNothingLeft(prefix);
    },
  );
});

describe.concurrent("a waiter", () => {
  async function occupied(
    setting: Scene,
    context: TestContext,
  ): Promise<{ release: () => Promise<void> }> {
    const session = await makeSession({}, context);
    const sem = setting.direct.semaphoreOpts({ prefix: setting.prefix, limit: 1, session });
    await sem.acquire();
    return sem;
  }

  async function oneWaiter(setting: Scene): Promise<string> {
    const [session = ""] = await eventually(
      () => waiting(setting),
      (sessions) => sessions.length === 1,
    );
    return session;
  }

  test.for(TROUBLES)(
    "rides out %s, keeps its place and gets the slot",
    async (trouble, context) => {
      const setting = await scene(context);
      const { proxy, prefix, behind } = setting;
      const occupant = await occupied(setting, context);
      const sem = holder(setting);
      const attempt = sem.acquire();
      const session = await oneWaiter(setting);
      await watching(proxy, 1);

      await outage(proxy, trouble, () =>
        severalFail(proxy, trouble, "session renewal", "holders check"),
      );

      await more(proxy, "session renewal", 1);
      expect(await waiting(setting)).toEqual([session]);
      await occupant.release();
      const slot = await attempt;
      expect(slot.session).toBe(session);
      expect(await sessionsNamed(prefix)).toEqual([session]);
      await sem.release();
      await expectNothingLeftOnceClosed(behind, prefix);
    },
  );

  test.for(TROUBLES)("gets a slot that became free during %s", async (trouble, context) => {
    const setting = await scene(context);
    const { proxy, prefix, behind } = setting;
    const occupant = await occupied(setting, context);
    const sem = holder(setting);
    const attempt = sem.acquire();
    const session = await oneWaiter(setting);

    await outage(proxy, trouble, async () => {
      await occupant.release();
      await severalFail(proxy, trouble, "holders check");
    });

    expect((await attempt).session).toBe(session);
    await sem.release();
    await expectNothingLeftOnceClosed(behind, prefix);
  });

  test(
    "whose session an outage outlasts comes back with a new one",
    { timeout: 90_000 },
    async (context) => {
      const setting = await scene(context);
      const { proxy, prefix, behind } = setting;
      const occupant = await occupied(setting, context);
      const sem = holder(setting);
      const attempt = sem.acquire();
      const session = await oneWaiter(setting);

      await outage(proxy, "5xx", async () => {
        // Consul lets it go after up to two TTLs.
        await eventually(
          () => waiting(setting),
          (sessions) => sessions.length === 0,
        );
      });

      const next = await oneWaiter(setting);
      expect(next).not.toBe(session);
      await occupant.release();
      expect((await attempt).session).toBe(next);
      expect(await sessionsNamed(prefix)).toEqual([next]);
      await sem.release();
      await expectNothingLeftOnceClosed(behind, prefix);
    },
  );

  test("is patient in the queue beyond its patience on the way in", async (context) => {
    const setting = await scene(context);
    const { proxy, prefix, behind } = setting;
    const sem = holder(setting);
    const pass: readonly RequestKind[] = [
      "session create",
      "session renewal",
      "prefix listing",
      "lock read",
      "contender entry",
    ];
    proxy.decide = (request) => (pass.some((kind) => REQUESTS[kind](request)) ? "pass" : "fail");
    const start = performance.now();
    const attempt = sem.acquire();
    // 15 s on the way in; and each failed request costs a pause of up to a second.
    await eventually(
      () => Promise.resolve(performance.now() - start),
      (passed) => passed > 17_000,
    );
    expect(await waiting(setting)).toHaveLength(1);
    proxy.heal();
    expect((await attempt).held).toBe(true);
    expect(proxy.seen("session create")).toHaveLength(1);
    await sem.release();
    await expectNothingLeftOnceClosed(behind, prefix);
  });

  test("that is aborted in an outage rejects at once, and clears away after it", async (context) => {
    const setting = await scene(context);
    const { proxy, prefix } = setting;
    const occupant = await occupied(setting, context);
    const before = await keysBelow(prefix);
    const sem = holder(setting);
    const controller = new AbortController();
    const attempt = sem.acquire(controller.signal).catch((error: unknown) => error);
    await oneWaiter(setting);
    const reason = new Error("shutting down");

    await outage(proxy, "5xx", async () => {
      await more(proxy, "holders check", 2);
      const start = performance.now();
      controller.abort(reason);
      expect(await attempt).toBe(reason);
      expect(performance.now() - start).toBeLessThan(LATE_MS);
      await more(proxy, "contender delete", 2);
    });

    await expect(sem.release()).rejects.toThrow("Semaphore not held");
    expect(await keysBelow(prefix)).toEqual(before);
    expect(await sessionsNamed(prefix)).toEqual([]);
    await occupant.release();
  });
});

describe.concurrent("on the way in", () => {
  test("connections refused where somebody answered before are waited for", async (context) => {
    const setting = await scene(context);
    const { proxy, behind } = setting;
    await behind.kv.get("anything");
    await proxy.shut();
    const sem = holder(setting);
    const attempt = sem.acquire();
    await pause(1_000);
    expect(sem.isHeld).toBe(false);
    await proxy.reopen();
    expect((await attempt).held).toBe(true);
    await sem.release();
  });

  test("each request may fail in a way of its own", async (context) => {
    const setting = await scene(context);
    const { proxy, prefix } = setting;
    const troubles = [FATES["5xx"], FATES["429"], FATES.resets] as const;
    const kinds = [
      "session create",
      "join at once",
      "contender entry",
      "join in turn",
      // It shows what became of a join without an answer.
      "lock read",
    ] as const;
    const seen = new Map<RequestKind, number>();
    proxy.decide = (request: SeenRequest) => {
      const kind = kinds.find((name) => REQUESTS[name](request));
      if (kind === undefined) return "pass";
      const before = seen.get(kind) ?? 0;
      seen.set(kind, before + 1);
      return troubles[before] ?? "pass";
    };
    const sem = holder(setting);
    const slot = await sem.acquire();
    // One that has failed gives way to the queue; on a slow machine, its reading is too old for that.
    expect(seen.get("join at once") ?? 0).toBeLessThan(2);
    seen.delete("join at once");
    expect([...seen.keys()].sort()).toEqual(kinds.filter((kind) => kind !== "join at once").sort());
    expect([...seen.values()].every((count) => count > troubles.length)).toBe(true);
    expect(await sessionsNamed(prefix)).toEqual([slot.session]);
    await sem.release();
    await expectNothingLeft(prefix);
  });
});

test("by default a session has no checks; whoever asks for Consul's own gets that", async (context) => {
  const { direct, prefix } = await scene(context);
  const options = { prefix, limit: 2, sessionName: prefix };
  const byDefault = direct.semaphoreOpts(options);
  const checked = direct.semaphoreOpts({ ...options, sessionChecks: ["serfHealth"] });
  const [one, two] = [await byDefault.acquire(), await checked.acquire()];
  const checksOf = async ({ session }: SemaphoreSlot): Promise<unknown> =>
    JSON.parse(await consul("GET", `/v1/session/info/${session}`));
  expect(await checksOf(one)).toMatchObject([{ NodeChecks: [] }]);
  expect(await checksOf(two)).toMatchObject([{ NodeChecks: ["serfHealth"] }]);
  expect((await direct.session.info(one.session)).value?.checks).toEqual([]);
  expect((await direct.session.info(two.session)).value?.checks).toEqual(["serfHealth"]);
  await byDefault.release();
  await checked.release();
});

test.concurrent.for(PAGES)(
  "%s for 1.5 s in place of Consul's answers costs a newcomer, a waiter and a release no more than that",
  async (page, context) => {
    const { prefix, proxy, behind, direct } = await scene(context);
    const options = { prefix, limit: 1, sessionName: prefix };
    const held = behind.semaphoreOpts(options);
    await held.acquire();
    const waiting = behind.semaphoreOpts(options).acquire();
    await eventually(
      () => direct.semaphorePrefix(prefix, 1).inspect(),
      ({ waiters }) => waiters.length === 1,
    );
    proxy.afflict(page);
    proxy.cut();
    const releasing = held.release();
    const newcomer = behind.semaphoreOpts({ ...options, prefix: freshPrefix(context) }).acquire();
    await pause(1_500);
    proxy.heal();
    const slots = await Promise.all([waiting, newcomer, releasing]);
    for (const slot of slots) await slot?.release();
    await behind.close();
    await expectNothingLeft(prefix);
  },
);
