import { getEventListeners } from "node:events";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { contend, type Contention, type ContentionOptions } from "../../../src/queue/contend.js";
import type { QueryOptions } from "../../../src/consul/query.js";
import type { Traces } from "../../../src/queue/departure.js";
import type { PrefixSnapshot } from "../../../src/protocol/snapshot.js";
import { SemaphoreConflictError, SemaphoreRequestError } from "../../../src/errors.js";
import type { Joining, LeaveOptions, Leaving, PrefixReading } from "../../../src/queue/requests.js";
import { SessionLease } from "../../../src/session/lease.js";
import { SharedPrefix } from "../../../src/queue/queue.js";
import { FakeSessions, SESSION } from "../session/fake-sessions.js";
import { contender, FakeStore, readingOf, waiting, type Look } from "../fake-store.js";
import { after, failure, hang, inTurn, refusal } from "../failures.js";
import { Watched } from "../outcome.js";

const TTL = 16_000;

/** For so long the watch goes on after the last who wanted it. */
const LINGER_MS = 50;

let store: FakeStore;
let prefix: SharedPrefix;
let lease: SessionLease;
let traces: Traces;
let controller: AbortController;
let start: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  // Each pause in full.
  vi.spyOn(Math, "random").mockReturnValue(0);
  start = performance.now();
  controller = new AbortController();
  store = new FakeStore();
  prefix = new SharedPrefix(store);
  lease = newLease(Infinity);
  traces = { contender: true, lateContender: false, holder: false, inDoubt: false };
});

afterEach(() => {
  controller.abort();
  lease.stop();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** On a session that is never renewed. */
function newLease(ttl: number, { own = true } = {}): SessionLease {
  const term = { sentAt: start, ttl };
  return new SessionLease(new FakeSessions(), { id: SESSION, term, own, scope: {} });
}

function contending(given: Partial<ContentionOptions> = {}): Watched<Contention> {
  return new Watched(
    contend(prefix, lease, traces, {
      limit: 1,
      lookTime: 15_000,
      waitUntil: Infinity,
      signal: controller.signal,
      ...given,
    }),
  );
}

/** A prefix where we wait and nobody has written a lock yet, but for what is given. */
const see =
  (given: Partial<PrefixSnapshot> = {}, index = 7n): Look =>
  () =>
    Promise.resolve(readingOf({ contenders: [contender(SESSION)], ...given }, index));

/** A free slot, in a lock of that index. */
const seeFree = (lockIndex = 5n): Look => see({ limit: 1, lockIndex }, lockIndex);

/** Somebody else has the only slot. */
const seeTaken = (lockIndex = 5n, index = 7n): Look =>
  see(
    {
      limit: 1,
      holders: new Set(["other"]),
      contenders: [contender("other"), contender(SESSION)],
      lockIndex,
    },
    index,
  );

/** We have the only slot. */
const seeOurs = (lockIndex = 5n, index = 7n): Look =>
  see({ limit: 1, holders: new Set([SESSION]), lockIndex }, index);

/** The same a little later. */
const later =
  (ms: number, look: Look): Look =>
  async (query) => {
    await after(ms, undefined);
    return await look(query);
  };

/** What the looks show from the start on, one after the other; then nothing changes any more. */
const watching = (...looks: readonly Look[]): void => {
  store.onWatch = inTurn<[QueryOptions], Promise<PrefixReading>>(...looks, waiting);
};

/** Everything is over, and nothing is left behind. */
async function expectNothingLeft(): Promise<void> {
  await vi.advanceTimersByTimeAsync(LINGER_MS);
  expect(vi.getTimerCount()).toBe(0);
  expect(prefix.isWatched).toBe(false);
  expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  expect(getEventListeners(lease.lost, "abort")).toEqual([]);
}

const leaderless = new SemaphoreRequestError("SEMAPHORE_READ_FAILED", refusal(500, "no leader"));
const timedOut = new SemaphoreRequestError("SEMAPHORE_UPDATE_FAILED", failure("CONSUL_TIMEOUT"));
const forbidden = new SemaphoreRequestError("SEMAPHORE_READ_FAILED", refusal(403));

const failWith = (error: unknown) => (): Promise<never> => Promise.reject(error);

const joined =
  (joinedAt = 42n) =>
  (): Promise<Joining> =>
    Promise.resolve({ joinedAt });
const refused =
  (words = "stale index") =>
  (): Promise<Joining> =>
    Promise.resolve({ refusal: words });

const tries = (): readonly string[] =>
  store.steps.filter((step) => step !== "watch" && step !== "look");

/** When each step was taken, from the start. */
const times = (step: "look" | "watch" | "join"): readonly number[] =>
  store.of(step).map(({ at }) => at - start);

/** What the watch waited on. */
const indexes = (): readonly (bigint | undefined)[] =>
  store.of("watch").map(({ options }) => options?.index);

describe("a slot that is free", () => {
  test("is taken, and the index of that write is the token", async () => {
    watching(seeFree(5n));
    store.onJoin = joined(42n);
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ value: 42n, at: start });
    expect(traces).toMatchObject({ contender: true, holder: true, inDoubt: false });
    expect(store.steps.slice(0, 2)).toEqual(["watch", "join"]);
    expect(store.calls[1]).toMatchObject({
      session: SESSION,
      limit: 1,
      snapshot: { lockIndex: 5n },
    });
    expect(store.of("look")).toEqual([]);
    await expectNothingLeft();
  });

  test("is one of several, as long as not all are taken", async () => {
    const contenders = ["a", "b", SESSION].map((session) => contender(session));
    watching(see({ limit: 3, holders: new Set(["a", "b"]), contenders, lockIndex: 5n }));
    store.onJoin = joined();
    const contention = contending({ limit: 3 });
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({ value: 42n });
  });

  test("is left to whoever came before", async () => {
    watching(see({ limit: 1, contenders: [contender("other"), contender(SESSION)] }));
    contending();
    await vi.advanceTimersByTimeAsync(249);
    expect(tries()).toEqual([]);
    expect(traces).toMatchObject({ contender: true, holder: false });
  });

  test("counts as tried for before the try, whatever becomes of that", async () => {
    watching(see());
    contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(traces).toMatchObject({ contender: true, holder: true });
  });
});

describe("a slot that is taken", () => {
  test("is waited for, from one look to the next", async () => {
    const changes = [7n, 9n, 9n, 0n, 3n];
    const taken = changes.map((index) => later(1, seeTaken(5n, index)));
    watching(...taken, later(1, see({ limit: 1, lockIndex: 6n }, 8n)));
    store.onJoin = joined();
    const contention = contending();
    await vi.advanceTimersByTimeAsync(6);
    expect(contention.outcome).toMatchObject({ value: 42n });
    expect(indexes().slice(0, 6)).toEqual([0n, ...changes]);
    expect(store.of("look")).toEqual([]);
    expect(store.of("watch").every(({ options }) => options?.consistent)).toBe(true);
    expect(tries()).toEqual(["join"]);
  });

  test.each([
    ["a look time of 15 s, that", 15_000, Infinity, 15_000, 5_000],
    ["a short look time, a second", 100, Infinity, 1_000, 5_000],
    ["a long look time, half a minute", 60_000, Infinity, 30_000, 5_000],
    ["a short TTL, half of that", 15_000, TTL, TTL / 2, TTL / 4],
  ])("is waited for with blocking queries: of %s", async (_, lookTime, ttl, wait, grace) => {
    lease = newLease(ttl);
    watching(seeTaken());
    contending({ lookTime });
    await vi.advanceTimersByTimeAsync(0);
    // Consul itself adds up to a sixteenth.
    const timeout = wait + wait / 16 + grace;
    expect(store.of("watch")).toMatchObject([
      { options: { index: 0n, wait, timeout } },
      { options: { index: 7n, wait, timeout } },
    ]);
  });

  test("is waited for without a trace of a slot", async () => {
    watching(seeTaken());
    contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(traces).toMatchObject({ contender: true, holder: false, inDoubt: false });
  });

  test("leaves the process nothing but the watch to wait for", async () => {
    watching(seeTaken());
    contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(1);
    controller.abort();
    await expectNothingLeft();
  });
});

describe("a slot that another of the process passes on", () => {
  const OURS = "ours";

  /** A semaphore of the same prefix leaves, and its slot goes to the next in line. */
  async function whenLeaving(
    outcome: (heir: string | undefined) => Promise<Leaving>,
  ): Promise<Watched<Contention>> {
    const contenders = [contender(OURS), contender(SESSION, 2n)];
    watching(see({ limit: 1, holders: new Set([OURS]), contenders, lockIndex: 5n }));
    store.onLeave = (_: string, { handover }: LeaveOptions) =>
      outcome(handover?.heir({ limit: 1, holders: new Set([OURS]) }));
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    return contention;
  }

  const left = (heir: string | undefined): Leaving => {
    const lock = { limit: 1, holders: new Set([SESSION]), modifyIndex: 9n };
    return { lock, heir, reading: undefined };
  };

  test("is ours without a request, and the index of that write is the token", async () => {
    const contention = await whenLeaving((heir) => Promise.resolve(left(heir)));
    await prefix.leave(OURS);
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ value: 9n, at: start });
    expect(tries()).toEqual(["leave"]);
    expect(traces).toMatchObject({ holder: true, inDoubt: false });
    await expectNothingLeft();
  });

  test("is lost with the session where that is over by then", async () => {
    lease = newLease(TTL);
    const contention = await whenLeaving((heir) => after(TTL - 1, left(heir)));
    const leaving = prefix.leave(OURS);
    await vi.advanceTimersByTimeAsync(TTL - 2);
    vi.spyOn(performance, "now").mockReturnValue(start + TTL);
    await vi.advanceTimersByTimeAsync(1);
    await leaving;
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({ value: "lost our place" });
    expect(traces).toMatchObject({ holder: true, inDoubt: false });
  });

  test("may have been passed on where the wait is given up meanwhile", async () => {
    const contention = await whenLeaving((heir) => after(100, left(heir)));
    void prefix.leave(OURS);
    await vi.advanceTimersByTimeAsync(0);
    controller.abort(new Error("enough"));
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toHaveProperty("error");
    expect(traces).toMatchObject({ holder: true, inDoubt: true });
  });

  test("may have been passed on where nobody knows what became of that, and a look tells", async () => {
    store.onLook = seeOurs(9n, 9n);
    store.onJoinAgain = joined(10n);
    const contention = await whenLeaving(failWith(timedOut));
    await prefix.leave(OURS).catch(() => undefined);
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ value: 10n, at: start });
    expect(tries()).toEqual(["leave", "joinAgain"]);
    expect(traces).toMatchObject({ holder: true, inDoubt: true });
  });
});

describe("a try that is refused", () => {
  test("is followed by a consistent look at once, and another try where the lock has changed", async () => {
    watching(seeFree(5n));
    store.onLook = seeFree(6n);
    store.onJoin = inTurn(refused(), joined(8n));
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ value: 8n, at: start });
    expect(store.of("look")).toMatchObject([{ at: start, options: { consistent: true } }]);
    expect(store.of("join").map(({ snapshot }) => snapshot?.lockIndex)).toEqual([5n, 6n]);
  });

  test("again and again is followed by looks after growing pauses", async () => {
    watching(seeFree(5n));
    let index = 5n;
    store.onLook = (query) => seeFree((index += 1n))(query);
    store.onJoin = refused();
    const contention = contending();
    await vi.advanceTimersByTimeAsync(2_134);
    expect(contention.outcome).toBeUndefined();
    expect(times("join")).toEqual([0, 0, 5, 15, 35, 75, 155, 315, 635, 1_135, 1_635]);
    controller.abort();
    await vi.advanceTimersByTimeAsync(0);
    await expectNothingLeft();
  });

  test("is followed by short pauses again once the slot was taken", async () => {
    watching(seeFree(5n), later(100, seeFree(9n)));
    store.onLook = inTurn<[QueryOptions], Promise<PrefixReading>>(
      seeFree(6n),
      seeFree(7n),
      seeTaken(8n, 8n),
      seeFree(10n),
      seeFree(11n),
      hang,
    );
    store.onJoin = refused();
    contending();
    await vi.advanceTimersByTimeAsync(200);
    const [before, after] = [times("look").slice(0, 3), times("look").slice(3)];
    expect(before).toEqual([0, 5, 15]);
    expect(after.map((at) => at - (after[0] ?? NaN))).toEqual([0, 5, 15]);
    expect(after[0]).toBeGreaterThanOrEqual(100);
  });

  test("is followed by a wait where somebody else was faster", async () => {
    watching(seeFree(5n));
    store.onLook = seeTaken(6n, 7n);
    store.onJoin = refused();
    contending();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(store.of("look")).toHaveLength(1);
    expect(tries()).toEqual(["join"]);
    // The refusal may have been that of its second copy.
    expect(traces.holder).toBe(true);
  });

  test("is an error in Consul's words where nobody has changed the lock", async () => {
    watching(seeFree(5n));
    store.onLook = seeFree(5n);
    store.onJoin = refused("the words of Consul");
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({
      at: start,
      error: {
        name: "SemaphoreRequestError",
        code: "SEMAPHORE_UPDATE_FAILED",
        message: "failed to update lock: the words of Consul",
      },
    });
    expect(tries()).toEqual(["join"]);
    expect(store.of("look")).toHaveLength(1);
  });

  test("is an error also where the lock is still not there", async () => {
    watching(see());
    store.onLook = see();
    store.onJoin = refused();
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({ error: { code: "SEMAPHORE_UPDATE_FAILED" } });
  });

  test("is none of an error where the lock was made and deleted again in between", async () => {
    // It is as little there as it was: only the index of the listing tells.
    watching(see({}, 7n));
    store.onLook = see({}, 9n);
    store.onJoin = inTurn(refused(), joined(10n));
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ value: 10n, at: start });
    expect(store.of("join").map(({ snapshot }) => snapshot?.lockIndex)).toEqual([0n, 0n]);
  });

  test("is none of an error once the slot was taken in between", async () => {
    // By somebody who has given it back since, so that Consul's index is another; but a lock may
    // have been deleted and made anew, or a restored snapshot may bring an old index back.
    watching(seeFree(5n), later(1, later(1, seeFree(5n))));
    store.onLook = seeTaken(6n, 6n);
    store.onJoin = inTurn(refused(), joined(8n));
    const contention = contending();
    await vi.advanceTimersByTimeAsync(5);
    expect(contention.outcome).toMatchObject({ value: 8n });
  });
});

describe("a failure that passes", () => {
  test("of the watch is ridden out for as long as it takes", async () => {
    store.onWatch = failWith(leaderless);
    const contention = contending();
    await vi.advanceTimersByTimeAsync(300_000);
    expect(contention.outcome).toBeUndefined();
    expect(times("watch").slice(0, 7)).toEqual([0, 50, 150, 350, 750, 1_250, 1_750]);
    expect(store.of("look")).toEqual([]);
    watching(see());
    store.onJoin = joined();
    await vi.advanceTimersByTimeAsync(500);
    expect(contention.outcome).toMatchObject({ value: 42n });
    expect(traces.inDoubt).toBe(false);
  });

  test("of a look is followed by others after growing pauses, for as long as it takes", async () => {
    lease = newLease(Infinity, { own: false });
    store.onLook = failWith(leaderless);
    const contention = contending();
    await vi.advanceTimersByTimeAsync(300_000);
    expect(contention.outcome).toBeUndefined();
    expect(times("look").slice(0, 8)).toEqual([0, 50, 150, 350, 750, 1_550, 2_550, 3_550]);
    store.onLook = see();
    store.onJoin = joined();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(contention.outcome).toMatchObject({ value: 42n });
    expect(traces.inDoubt).toBe(false);
  });

  test("is followed by consistent looks without an index: nobody knows what was missed", async () => {
    watching(seeTaken(5n, 7n), failWith(leaderless), seeTaken(5n, 9n));
    contending();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(indexes()).toEqual([0n, 7n, 0n, 9n]);
    expect(store.of("watch").every(({ options }) => options?.consistent)).toBe(true);
  });

  test("is followed by short pauses again after a look that succeeded", async () => {
    lease = newLease(Infinity, { own: false });
    const bad = failWith(leaderless);
    store.onLook = inTurn<[QueryOptions], Promise<PrefixReading>>(bad, bad, seeFree(), seeFree(6n));
    store.onJoin = inTurn<[], Promise<Joining>>(failWith(timedOut), joined());
    contending();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(times("look")).toEqual([0, 50, 150, 200]);
  });

  test("of a swap that did not go through is followed by another swap", async () => {
    watching(seeFree(5n));
    store.onLook = seeFree(5n);
    store.onJoin = inTurn<[], Promise<Joining>>(failWith(timedOut), joined(9n));
    const contention = contending();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(contention.outcome).toEqual({ value: 9n, at: start + 50 });
    expect(times("look")).toEqual([50]);
    expect(tries()).toEqual(["join", "join"]);
    // The first may yet arrive.
    expect(traces.inDoubt).toBe(true);
  });

  test("of a swap that went through is followed by one that tells its index", async () => {
    watching(seeFree(5n));
    store.onLook = seeOurs(8n, 8n);
    store.onJoin = failWith(timedOut);
    store.onJoinAgain = joined(9n);
    const contention = contending();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(contention.outcome).toEqual({ value: 9n, at: start + 50 });
    expect(tries()).toEqual(["join", "joinAgain"]);
    expect(store.of("joinAgain")).toMatchObject([
      { session: SESSION, snapshot: { lockIndex: 8n } },
    ]);
    // What we took is ours to give back.
    expect(traces).toMatchObject({ contender: true, holder: true, inDoubt: true });
  });

  test("of that one as well is followed by yet another", async () => {
    watching(seeFree(5n));
    store.onLook = inTurn(seeOurs(8n, 8n), seeOurs(9n, 9n));
    store.onJoin = failWith(timedOut);
    store.onJoinAgain = inTurn<[], Promise<Joining>>(failWith(timedOut), joined(10n));
    const contention = contending();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(contention.outcome).toMatchObject({ value: 10n });
    expect(tries()).toEqual(["join", "joinAgain", "joinAgain"]);
  });
});

describe("a failure that does not pass", () => {
  test.each<[string, Look]>([
    ["a look that is forbidden", failWith(forbidden)],
    ["a lock that is none", failWith(new SemaphoreConflictError())],
    ["another limit", see({ limit: 2, lockIndex: 5n })],
    ["a mistake of ours", failWith(new TypeError("oops"))],
  ])("ends it at once: %s", async (_, look) => {
    watching(look);
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({ at: start });
    expect(contention.outcome).toHaveProperty("error");
    expect(store.of("look")).toEqual([]);
    expect(tries()).toEqual([]);
    expect(traces).toMatchObject({ contender: true, holder: false, inDoubt: false });
    await expectNothingLeft();
  });

  test("ends it at once also with a look of its own", async () => {
    store.onLook = failWith(forbidden);
    const contention = contending({ waitUntil: start + 5_000 });
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ error: forbidden, at: start });
  });

  test("ends it at once also with a swap", async () => {
    watching(see());
    store.onJoin = failWith(forbidden);
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ error: forbidden, at: start });
  });

  test("from before we came is no reason to give up: another limit may be gone by now", async () => {
    store.onLook = see({ limit: 2, lockIndex: 5n }, 5n);
    await prefix.look(1_000);
    await vi.advanceTimersByTimeAsync(10);
    watching(later(100, see({ limit: 1, lockIndex: 6n }, 6n)));
    store.onJoin = joined();
    const contention = contending();
    await vi.advanceTimersByTimeAsync(99);
    expect(contention.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(contention.outcome).toMatchObject({ value: 42n });
  });
});

describe("a session that comes with a slot", () => {
  beforeEach(() => {
    lease = newLease(Infinity, { own: false });
  });

  test("is looked for at once: there may be a slot for it already", async () => {
    store.onLook = seeOurs();
    store.onJoinAgain = joined(9n);
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ value: 9n, at: start });
    expect(store.of("look")).toMatchObject([{ options: { consistent: true } }]);
  });

  test.each([
    ["that counted as dead until it entered, which is ours to clear away", 6n, true],
    ["that it had together with its entry, which is not", 4n, false],
  ])("may have one %s", async (_, createIndex, ours) => {
    const contenders = [contender(SESSION, createIndex)];
    store.onLook = see({ limit: 2, holders: new Set([SESSION]), contenders, lockIndex: 5n });
    const contention = contending({ limit: 1 });
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({ error: { code: "SEMAPHORE_LIMIT_CONFLICT" } });
    expect(traces.holder).toBe(ours);
    expect(traces.contender).toBe(ours);
  });

  test("gets a token for it, and has nothing to clear away until it has", async () => {
    store.onLook = seeOurs();
    store.onJoinAgain = async () => {
      expect(traces).toMatchObject({ contender: false, holder: false });
      return await joined(9n)();
    };
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({ value: 9n });
    expect(tries()).toEqual(["joinAgain"]);
  });

  test("keeps it where that comes to nothing", async () => {
    store.onLook = see({ limit: 2, holders: new Set([SESSION]), lockIndex: 5n });
    const contention = contending({ limit: 1 });
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({ error: { code: "SEMAPHORE_LIMIT_CONFLICT" } });
    expect(traces).toMatchObject({ contender: false, holder: false });
  });

  test("has the trace of a waiter again where the slot is no longer there", async () => {
    store.onLook = inTurn(seeOurs(5n, 7n), seeTaken(6n, 8n));
    store.onJoinAgain = refused();
    contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(store.of("look")).toHaveLength(2);
    expect(traces).toMatchObject({ contender: true, holder: false });
  });

  test("is refused like any other where nobody has changed the lock", async () => {
    store.onLook = seeOurs(5n);
    store.onJoinAgain = refused("lock is already held");
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({
      error: { message: "failed to update lock: lock is already held" },
    });
  });
});

describe("a place in the queue", () => {
  const absent = see({ contenders: [contender("other")] });

  test("is lost where a look at once does not show the entry either", async () => {
    watching(absent);
    store.onLook = absent;
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ value: "lost our place", at: start });
    expect(store.of("look")).toMatchObject([{ options: { consistent: true } }]);
    expect(tries()).toEqual([]);
  });

  test("is not lost where only a server that lags does not show the entry", async () => {
    watching(absent);
    store.onLook = see({ limit: 1, lockIndex: 5n });
    store.onJoin = joined();
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({ value: 42n });
    expect(store.of("look")).toHaveLength(1);
    expect(tries()).toEqual(["join"]);
  });

  test("is not in what was known before we came, and nobody minds that", async () => {
    store.onLook = absent;
    await prefix.look(1_000);
    await vi.advanceTimersByTimeAsync(10);
    const contention = contending();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(contention.outcome).toBeUndefined();
    expect(store.of("look")).toHaveLength(1);
  });

  test("is lost with the session, and no slot is tried for", async () => {
    lease = newLease(TTL);
    watching(later(TTL, see()));
    const contention = contending();
    await vi.advanceTimersByTimeAsync(TTL);
    expect(contention.outcome).toEqual({ value: "lost our place", at: start + TTL });
    expect(tries()).toEqual([]);
  });

  test("is lost with the session at once, also in the middle of a blocking query", async () => {
    lease = newLease(TTL);
    watching(seeTaken());
    const contention = contending();
    await vi.advanceTimersByTimeAsync(TTL - 1);
    expect(contention.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(contention.outcome).toEqual({ value: "lost our place", at: start + TTL });
    expect(store.steps).toEqual(["watch", "watch"]);
    expect(traces).toMatchObject({ contender: true, holder: false });
    await expectNothingLeft();
  });

  test("is lost with the session also where that ends during the swap", async () => {
    lease = newLease(TTL);
    watching(see());
    store.onJoin = () => after(TTL, { joinedAt: 42n });
    const contention = contending();
    await vi.advanceTimersByTimeAsync(TTL);
    expect(contention.outcome).toEqual({ value: "lost our place", at: start + TTL });
    expect(traces).toMatchObject({ contender: true, holder: true });
  });

  test.each([
    ["by the watch", Infinity],
    ["by a look", 600_000],
  ])("is lost with the session also where nobody can be asked %s", async (_, waitTime) => {
    lease = newLease(TTL);
    store.onWatch = failWith(leaderless);
    store.onLook = failWith(leaderless);
    const contention = contending({ waitUntil: start + waitTime });
    await vi.advanceTimersByTimeAsync(TTL - 1);
    expect(contention.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1_001);
    expect(contention.outcome).toMatchObject({ value: "lost our place" });
  });

  test("is lost by the clock where no timer has had time to say so", async () => {
    lease = newLease(TTL);
    watching(() => {
      // The event loop is blocked until the answer is read.
      vi.spyOn(performance, "now").mockReturnValue(start + TTL);
      return see()({});
    });
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({ value: "lost our place" });
    expect(tries()).toEqual([]);
  });
});

describe("an abort", () => {
  const reason = new Error("enough");

  test("during a wait ends it", async () => {
    watching(seeTaken());
    const contention = contending();
    await vi.advanceTimersByTimeAsync(100);
    controller.abort(reason);
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ error: reason, at: start + 100 });
    await expectNothingLeft();
  });

  test("during a look ends it", async () => {
    const contention = contending({ waitUntil: start + 5_000 });
    await vi.advanceTimersByTimeAsync(100);
    controller.abort(reason);
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ error: reason, at: start + 100 });
    await expectNothingLeft();
  });

  test("during a pause ends it", async () => {
    store.onLook = failWith(leaderless);
    const contention = contending({ waitUntil: start + 5_000 });
    await vi.advanceTimersByTimeAsync(400);
    controller.abort(reason);
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ error: reason, at: start + 400 });
    await expectNothingLeft();
  });

  test("during a swap does not undo it: whoever called has the last word", async () => {
    watching(see());
    store.onJoin = () => after(100, { joinedAt: 42n });
    const contention = contending();
    await vi.advanceTimersByTimeAsync(50);
    controller.abort(reason);
    await vi.advanceTimersByTimeAsync(50);
    expect(contention.outcome).toEqual({ value: 42n, at: start + 100 });
  });

  test("during a swap that is refused ends it, and no other follows", async () => {
    watching(see());
    store.onJoin = () => after(100, { refusal: "stale index" });
    const contention = contending();
    await vi.advanceTimersByTimeAsync(50);
    controller.abort(reason);
    await vi.advanceTimersByTimeAsync(50);
    expect(contention.outcome).toEqual({ error: reason, at: start + 100 });
    expect(store.of("look")).toEqual([]);
    expect(tries()).toEqual(["join"]);
  });
});

describe("a wait with a limit", () => {
  test("is over when its time is, without a slot", async () => {
    store.onLook = seeTaken();
    const contention = contending({ waitUntil: start + 5_000 });
    await vi.advanceTimersByTimeAsync(4_999);
    expect(contention.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(contention.outcome).toEqual({ value: "waited long enough", at: start + 5_000 });
    expect(store.steps).toEqual(["look", "watch"]);
    await expectNothingLeft();
    expect(store.of("watch")[0]?.options?.signal?.aborted).toBe(true);
  });

  test("leaves nothing behind where it comes by a slot in time", async () => {
    watching(later(10, seeFree(6n)));
    store.onLook = seeTaken(5n, 5n);
    store.onJoin = joined();
    const contention = contending({ waitUntil: start + 5_000 });
    await vi.advanceTimersByTimeAsync(10);
    expect(contention.outcome).toEqual({ value: 42n, at: start + 10 });
    await expectNothingLeft();
  });

  test("of no time at all still looks once", async () => {
    store.onLook = seeTaken();
    const contention = contending({ waitUntil: start });
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ value: "waited long enough", at: start });
    expect(store.of("look")).toHaveLength(1);
  });

  test("of no time at all takes what is free", async () => {
    store.onLook = see();
    store.onJoin = joined();
    const contention = contending({ waitUntil: start });
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({ value: 42n });
  });

  test("goes on for a second where there are free slots that others are faster to take", async () => {
    let index = 5n;
    store.onLook = (query) => seeFree((index += 1n))(query);
    store.onJoin = () => after(100, { refusal: "stale index" });
    const contention = contending({ waitUntil: start + 50 });
    await vi.advanceTimersByTimeAsync(999);
    expect(contention.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(501);
    expect(contention.outcome).toMatchObject({ value: "waited long enough" });
    // Between them pauses of 5, 10, 20, 40 and 80 ms.
    expect(times("join")).toEqual([0, 100, 205, 315, 435, 575, 755]);
  });

  test("has a watch only once it comes to waiting", async () => {
    store.onLook = later(10, seeTaken());
    contending({ waitUntil: start + 5_000 });
    await vi.advanceTimersByTimeAsync(9);
    expect(store.steps).toEqual(["look"]);
    await vi.advanceTimersByTimeAsync(1);
    expect(store.steps).toEqual(["look", "watch"]);
  });

  test("is over where looks fail that once succeeded", async () => {
    store.onLook = inTurn<[QueryOptions], Promise<PrefixReading>>(seeFree(), failWith(leaderless));
    store.onJoin = refused();
    const contention = contending({ waitUntil: start + 400 });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(contention.outcome).toEqual({ value: "waited long enough", at: start + 400 });
  });

  test("that has never seen anything tells the failure", async () => {
    store.onLook = failWith(leaderless);
    const contention = contending({ waitUntil: start + 400 });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(contention.outcome).toEqual({ error: leaderless, at: start + 400 });
    expect(times("look")).toEqual([0, 50, 150, 350, 400]);
  });

  test("that has never seen anything tells the last failure also where a look still hangs", async () => {
    const first = new SemaphoreRequestError("SEMAPHORE_READ_FAILED", refusal(503));
    store.onLook = inTurn<[QueryOptions], Promise<PrefixReading>>(
      failWith(first),
      failWith(leaderless),
      waiting,
    );
    const contention = contending({ waitUntil: start + 2_000 });
    await vi.advanceTimersByTimeAsync(1_999);
    expect(contention.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(contention.outcome).toEqual({ error: leaderless, at: start + 2_000 });
    expect(store.of("look")).toHaveLength(3);
    await expectNothingLeft();
  });

  test.each([
    ["a second at the least", 0, 1_000],
    ["what is left", 5_000, 5_000],
    ["ten seconds at the most", 60_000, 10_000],
  ])("gives its first look and its swap %s to be answered", async (_, waitTime, timeout) => {
    store.onLook = see({ limit: 1, lockIndex: 5n });
    contending({ waitUntil: start + waitTime });
    await vi.advanceTimersByTimeAsync(0);
    expect(store.of("look").map(({ options }) => options?.timeout)).toEqual([timeout]);
    expect(store.of("join").map(({ options }) => options?.timeout)).toEqual([timeout]);
  });
});
