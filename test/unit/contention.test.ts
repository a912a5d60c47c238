import { getEventListeners } from "node:events";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { QueryOptions } from "../../src/consul/query.js";
import { contend, type Contention, type ContentionOptions } from "../../src/contention.js";
import type { Traces } from "../../src/departure.js";
import type { PrefixSnapshot } from "../../src/prefix-snapshot.js";
import { SemaphoreConflictError, SemaphoreRequestError } from "../../src/semaphore-errors.js";
import type { Joining, PrefixReading } from "../../src/semaphore-store.js";
import { SessionLease } from "../../src/session-lease.js";
import { FakeSessions, SESSION } from "./fake-sessions.js";
import { contender, FakeStore } from "./fake-store.js";
import { after, failure, hang, inTurn, refusal } from "./failures.js";
import { Watched } from "./outcome.js";

const TTL = 16_000;

let store: FakeStore;
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
  lease = newLease(Infinity);
  traces = { contender: true, lateContender: false, holder: false };
});

afterEach(() => {
  lease.stop();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** On a session that is never renewed. */
function newLease(ttl: number): SessionLease {
  const term = { sentAt: start, ttl };
  return new SessionLease(new FakeSessions(), { id: SESSION, term, own: true, scope: {} });
}

function contending(given: Partial<ContentionOptions> = {}): Watched<Contention> {
  return new Watched(
    contend(store, lease, traces, {
      limit: 1,
      lookTime: 15_000,
      waitUntil: Infinity,
      signal: controller.signal,
      ...given,
    }),
  );
}

type Look = (query: QueryOptions) => Promise<PrefixReading>;

/** A prefix where we wait and nobody has written a lock yet, but for what is given. */
const see =
  (given: Partial<PrefixSnapshot> = {}, nextIndex = 7n): Look =>
  () => {
    const empty = { limit: undefined, holders: new Set<string>(), lockIndex: 0n };
    const snapshot = { ...empty, contenders: [contender(SESSION)], ...given };
    return Promise.resolve({ snapshot, nextIndex });
  };

/** Somebody else has the only slot. */
const seeTaken = (lockIndex = 5n, nextIndex = 7n): Look =>
  see(
    {
      limit: 1,
      holders: new Set(["other"]),
      contenders: [contender("other"), contender(SESSION)],
      lockIndex,
    },
    nextIndex,
  );

/** We have the only slot. */
const seeOurs = (lockIndex = 5n): Look => see({ limit: 1, holders: new Set([SESSION]), lockIndex });

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

const tries = (): readonly string[] => store.steps.filter((step) => step !== "read");

/** What the looks asked for. */
const looks = (): readonly (readonly [bigint | undefined, boolean | undefined])[] =>
  store.of("read").map(({ options }) => [options?.index, options?.consistent]);

describe("a slot that is free", () => {
  test("is taken, and the index of that write is the token", async () => {
    store.onRead = see({ limit: 1, lockIndex: 5n });
    store.onJoin = joined(42n);
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ value: 42n, at: start });
    expect(traces).toMatchObject({ contender: true, holder: true });
    expect(store.steps).toEqual(["read", "join"]);
    expect(store.calls[1]).toMatchObject({
      session: SESSION,
      limit: 1,
      snapshot: { lockIndex: 5n },
    });
    expect(looks()).toEqual([[0n, false]]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is one of several, as long as not all are taken", async () => {
    const contenders = ["a", "b", SESSION].map((session) => contender(session));
    const two = see({ limit: 3, holders: new Set(["a", "b"]), contenders, lockIndex: 5n });
    store.onRead = two;
    store.onJoin = joined();
    const contention = contending({ limit: 3 });
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({ value: 42n });
  });

  test("counts as tried for before the try, whatever becomes of that", async () => {
    store.onRead = see();
    contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(traces).toMatchObject({ contender: true, holder: true });
  });
});

describe("a slot that is taken", () => {
  test("is waited for, from one look to the next", async () => {
    const changes = [7n, 9n, 9n, 0n, 3n];
    store.onRead = inTurn<[QueryOptions], Promise<PrefixReading>>(
      ...changes.map((index) => seeTaken(5n, index)),
      see({ limit: 1, lockIndex: 6n }),
    );
    store.onJoin = joined();
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({ value: 42n });
    expect(store.of("read").map(({ options }) => options?.index)).toEqual([0n, ...changes]);
    expect(store.of("read").some(({ options }) => options?.consistent)).toBe(false);
    expect(tries()).toEqual(["join"]);
  });

  test.each([
    [15_000, 15_000],
    [100, 1_000],
  ])("is waited for with blocking queries: of a look time of %d ms, %d", async (lookTime, wait) => {
    store.onRead = inTurn(seeTaken(), hang);
    contending({ lookTime });
    await vi.advanceTimersByTimeAsync(0);
    expect(store.of("read").map(({ options }) => options?.wait)).toEqual([wait, wait]);
  });

  test("is waited for without a trace of a slot", async () => {
    store.onRead = inTurn(seeTaken(), hang);
    contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(traces).toMatchObject({ contender: true, holder: false });
  });
});

describe("a try that is refused", () => {
  test("is followed by a consistent look at once, and another try where the lock has changed", async () => {
    store.onRead = inTurn(
      see({ limit: 1, lockIndex: 5n }, 5n),
      see({ limit: 1, lockIndex: 6n }, 6n),
    );
    store.onJoin = inTurn(refused(), joined(8n));
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ value: 8n, at: start });
    expect(looks()).toEqual([
      [0n, false],
      [0n, true],
    ]);
    expect(store.of("join").map(({ snapshot }) => snapshot?.lockIndex)).toEqual([5n, 6n]);
  });

  test("again and again is followed by looks after growing pauses", async () => {
    const free = Array.from({ length: 20 }, (_, number) => BigInt(number + 5)).map((index) =>
      see({ limit: 1, lockIndex: index }, index),
    );
    store.onRead = inTurn(...free, hang);
    store.onJoin = refused();
    const contention = contending();
    await vi.advanceTimersByTimeAsync(2_134);
    expect(contention.outcome).toBeUndefined();
    expect(store.of("join").map(({ at }) => at - start)).toEqual([
      0, 0, 5, 15, 35, 75, 155, 315, 635, 1_135, 1_635,
    ]);
    expect(
      looks()
        .slice(1)
        .every(([, consistent]) => consistent),
    ).toBe(true);
    controller.abort();
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is followed by short pauses again once the slot was taken", async () => {
    const free = (index: bigint): Look => see({ limit: 1, lockIndex: index }, index);
    const looksInTurn = [free(5n), free(6n), free(7n), seeTaken(8n, 8n), free(9n), free(10n)];
    store.onRead = inTurn(...looksInTurn, free(11n), hang);
    store.onJoin = refused();
    contending();
    await vi.advanceTimersByTimeAsync(100);
    expect(store.of("read").map(({ at }) => at - start)).toEqual([0, 0, 5, 15, 15, 15, 20, 30]);
  });

  test("is followed by a wait where somebody else was faster", async () => {
    store.onRead = inTurn(see({ limit: 1, lockIndex: 5n }), seeTaken(6n, 7n), hang);
    store.onJoin = refused();
    contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(looks()).toEqual([
      [0n, false],
      [0n, true],
      [7n, false],
    ]);
    // The refusal may have been that of its second copy.
    expect(traces.holder).toBe(true);
  });

  test("is an error in Consul's words where nobody has changed the lock", async () => {
    store.onRead = see({ limit: 1, lockIndex: 5n });
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
    expect(store.of("read")).toHaveLength(2);
  });

  test("is an error also where the lock is still not there", async () => {
    store.onRead = see();
    store.onJoin = refused();
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({ error: { code: "SEMAPHORE_UPDATE_FAILED" } });
  });

  test("is none of an error where the lock was made and deleted again in between", async () => {
    // It is as little there as it was: only the index of the listing tells.
    store.onRead = inTurn(see({}, 7n), see({}, 9n));
    store.onJoin = inTurn(refused(), joined(10n));
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ value: 10n, at: start });
    expect(store.of("join").map(({ snapshot }) => snapshot?.lockIndex)).toEqual([0n, 0n]);
  });

  test("is none of an error once the slot was taken in between", async () => {
    // By somebody who has given it back since, so that Consul's index is another; but a lock may
    // have been deleted and made anew, or a restored snapshot may bring an old index back.
    const free = see({ limit: 1, lockIndex: 5n });
    store.onRead = inTurn(free, seeTaken(6n), free);
    store.onJoin = inTurn(refused(), joined(8n));
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({ value: 8n });
  });
});

describe("a failure that passes", () => {
  test("of a look is followed by others after growing pauses, for as long as it takes", async () => {
    const bad = failWith(leaderless);
    store.onRead = bad;
    const contention = contending();
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(contention.outcome).toBeUndefined();
    const times = store.calls.map(({ at }) => at - start).slice(0, 8);
    expect(times).toEqual([0, 50, 150, 350, 750, 1_550, 2_550, 3_550]);
    store.onRead = see();
    store.onJoin = joined();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(contention.outcome).toMatchObject({ value: 42n });
  });

  test("is followed by consistent looks without an index: nobody knows what was missed", async () => {
    store.onRead = inTurn(seeTaken(5n, 7n), failWith(leaderless), seeTaken(5n, 9n), hang);
    contending();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(looks()).toEqual([
      [0n, false],
      [7n, false],
      [0n, true],
      [9n, false],
    ]);
  });

  test("is followed by short pauses again after a look that succeeded", async () => {
    const bad = failWith(leaderless);
    store.onRead = inTurn<[QueryOptions], Promise<PrefixReading>>(
      bad,
      bad,
      seeTaken(),
      bad,
      bad,
      hang,
    );
    contending();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(store.calls.map(({ at }) => at - start)).toEqual([0, 50, 150, 150, 200, 300]);
  });

  test("of a swap that did not go through is followed by another swap", async () => {
    store.onRead = see({ limit: 1, lockIndex: 5n });
    store.onJoin = inTurn<[], Promise<Joining>>(failWith(timedOut), joined(9n));
    const contention = contending();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(contention.outcome).toEqual({ value: 9n, at: start + 50 });
    expect(store.steps).toEqual(["read", "join", "read", "join"]);
    expect(looks()).toEqual([
      [0n, false],
      [0n, true],
    ]);
  });

  test("of a swap that went through is followed by one that tells its index", async () => {
    store.onRead = inTurn(see({ limit: 1, lockIndex: 5n }), seeOurs(8n));
    store.onJoin = failWith(timedOut);
    store.onJoinAgain = joined(9n);
    const contention = contending();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(contention.outcome).toEqual({ value: 9n, at: start + 50 });
    expect(store.steps).toEqual(["read", "join", "read", "joinAgain"]);
    expect(store.calls[3]).toMatchObject({ session: SESSION, snapshot: { lockIndex: 8n } });
    // What we took is ours to give back.
    expect(traces).toMatchObject({ contender: true, holder: true });
  });

  test("of that one as well is followed by yet another", async () => {
    store.onRead = inTurn(see({ limit: 1, lockIndex: 5n }), seeOurs(8n), seeOurs(9n));
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
    store.onRead = look;
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toHaveProperty("error");
    expect(store.steps).toEqual(["read"]);
    expect(traces).toMatchObject({ contender: true, holder: false });
    expect(vi.getTimerCount()).toBe(0);
  });

  test("ends it at once also with a swap", async () => {
    store.onRead = see();
    store.onJoin = failWith(forbidden);
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ error: forbidden, at: start });
  });
});

describe("a session that comes with a slot", () => {
  test.each([
    ["that counted as dead until it entered, which is ours to clear away", 6n, true],
    ["that it had together with its entry, which is not", 4n, false],
  ])("may have one %s", async (_, createIndex, ours) => {
    const contenders = [contender(SESSION, createIndex)];
    store.onRead = see({ limit: 2, holders: new Set([SESSION]), contenders, lockIndex: 5n });
    const contention = contending({ limit: 1 });
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({ error: { code: "SEMAPHORE_LIMIT_CONFLICT" } });
    expect(traces.holder).toBe(ours);
    expect(traces.contender).toBe(ours);
  });

  test("gets a token for it, and has nothing to clear away until it has", async () => {
    store.onRead = seeOurs();
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
    store.onRead = see({ limit: 2, holders: new Set([SESSION]), lockIndex: 5n });
    const contention = contending({ limit: 1 });
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({ error: { code: "SEMAPHORE_LIMIT_CONFLICT" } });
    expect(traces).toMatchObject({ contender: false, holder: false });
  });

  test("has the trace of a waiter again where the slot is no longer there", async () => {
    store.onRead = inTurn(seeOurs(5n), seeTaken(6n), hang);
    store.onJoinAgain = refused();
    contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(traces).toMatchObject({ contender: true, holder: false });
  });

  test("is refused like any other where nobody has changed the lock", async () => {
    store.onRead = seeOurs(5n);
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

  test("is lost where a consistent look does not show the entry either", async () => {
    store.onRead = absent;
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ value: "lost our place", at: start });
    expect(looks()).toEqual([
      [0n, false],
      [0n, true],
    ]);
    expect(tries()).toEqual([]);
  });

  test("is not lost where only a server that lags does not show the entry", async () => {
    store.onRead = inTurn(absent, see({ limit: 1, lockIndex: 5n }));
    store.onJoin = joined();
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({ value: 42n });
    expect(store.steps).toEqual(["read", "read", "join"]);
  });

  test("is lost with the session, and no slot is tried for", async () => {
    lease = newLease(TTL);
    store.onRead = () => after(TTL, see()({})).then((reading) => reading);
    const contention = contending();
    await vi.advanceTimersByTimeAsync(TTL);
    expect(contention.outcome).toEqual({ value: "lost our place", at: start + TTL });
    expect(store.steps).toEqual(["read"]);
  });

  test("is lost with the session at once, also in the middle of a blocking query", async () => {
    lease = newLease(TTL);
    store.onRead = inTurn(seeTaken(), ({ signal }) => hang({ signal, timeout: 10 * TTL }));
    const contention = contending();
    await vi.advanceTimersByTimeAsync(TTL - 1);
    expect(contention.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(contention.outcome).toEqual({ value: "lost our place", at: start + TTL });
    expect(store.steps).toEqual(["read", "read"]);
    expect(traces).toMatchObject({ contender: true, holder: false });
    expect(vi.getTimerCount()).toBe(0);
    expect(getEventListeners(lease.lost, "abort")).toEqual([]);
  });

  test("is lost with the session also where that ends during the swap", async () => {
    lease = newLease(TTL);
    store.onRead = see();
    store.onJoin = () => after(TTL, { joinedAt: 42n });
    const contention = contending();
    await vi.advanceTimersByTimeAsync(TTL);
    expect(contention.outcome).toEqual({ value: "lost our place", at: start + TTL });
    expect(traces).toMatchObject({ contender: true, holder: true });
  });

  test("is lost with the session also where nobody can be asked", async () => {
    lease = newLease(TTL);
    store.onRead = failWith(leaderless);
    const contention = contending();
    await vi.advanceTimersByTimeAsync(TTL - 1);
    expect(contention.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1_001);
    expect(contention.outcome).toMatchObject({ value: "lost our place" });
  });

  test("is lost by the clock where no timer has had time to say so", async () => {
    lease = newLease(TTL);
    store.onRead = () => {
      // The event loop is blocked until the answer is read.
      vi.spyOn(performance, "now").mockReturnValue(start + TTL);
      return see()({});
    };
    const contention = contending();
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({ value: "lost our place" });
    expect(store.steps).toEqual(["read"]);
  });
});

describe("an abort", () => {
  const reason = new Error("enough");

  test("during a look ends it", async () => {
    store.onRead = inTurn(seeTaken(), hang);
    const contention = contending();
    await vi.advanceTimersByTimeAsync(100);
    controller.abort(reason);
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ error: reason, at: start + 100 });
    expect(vi.getTimerCount()).toBe(0);
  });

  test("during a pause ends it", async () => {
    store.onRead = failWith(leaderless);
    const contention = contending();
    await vi.advanceTimersByTimeAsync(400);
    controller.abort(reason);
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ error: reason, at: start + 400 });
    expect(vi.getTimerCount()).toBe(0);
  });

  test("during a swap does not undo it: whoever called has the last word", async () => {
    store.onRead = see();
    store.onJoin = () => after(100, { joinedAt: 42n });
    const contention = contending();
    await vi.advanceTimersByTimeAsync(50);
    controller.abort(reason);
    await vi.advanceTimersByTimeAsync(50);
    expect(contention.outcome).toEqual({ value: 42n, at: start + 100 });
  });

  test("during a swap that is refused ends it, and no other follows", async () => {
    store.onRead = see();
    store.onJoin = () => after(100, { refusal: "stale index" });
    const contention = contending();
    await vi.advanceTimersByTimeAsync(50);
    controller.abort(reason);
    await vi.advanceTimersByTimeAsync(50);
    expect(contention.outcome).toEqual({ error: reason, at: start + 100 });
    expect(store.steps).toEqual(["read", "join"]);
  });
});

describe("a wait with a limit", () => {
  test("is over when its time is, without a slot", async () => {
    store.onRead = inTurn(seeTaken(), hang);
    const contention = contending({ waitUntil: start + 5_000 });
    await vi.advanceTimersByTimeAsync(4_999);
    expect(contention.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(contention.outcome).toEqual({ value: "waited long enough", at: start + 5_000 });
    expect(store.of("read")[1]?.options?.signal?.aborted).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("leaves nothing behind where it comes by a slot in time", async () => {
    store.onRead = inTurn(seeTaken(), see({ limit: 1, lockIndex: 6n }));
    store.onJoin = joined();
    const contention = contending({ waitUntil: start + 5_000 });
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ value: 42n, at: start });
    expect(vi.getTimerCount()).toBe(0);
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });

  test("of no time at all still looks once", async () => {
    store.onRead = seeTaken();
    const contention = contending({ waitUntil: start });
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toEqual({ value: "waited long enough", at: start });
    expect(store.steps).toEqual(["read"]);
  });

  test("of no time at all takes what is free", async () => {
    store.onRead = see();
    store.onJoin = joined();
    const contention = contending({ waitUntil: start });
    await vi.advanceTimersByTimeAsync(0);
    expect(contention.outcome).toMatchObject({ value: 42n });
  });

  test("goes on for a second where there are free slots that others are faster to take", async () => {
    let index = 5n;
    store.onRead = () => see({ limit: 1, lockIndex: (index += 1n) }, index)({});
    store.onJoin = () => after(100, { refusal: "stale index" });
    const contention = contending({ waitUntil: start + 50 });
    await vi.advanceTimersByTimeAsync(999);
    expect(contention.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(501);
    expect(contention.outcome).toMatchObject({ value: "waited long enough" });
    // Between them pauses of 5, 10, 20, 40 and 80 ms.
    expect(store.of("join").map(({ at }) => at - start)).toEqual([0, 100, 205, 315, 435, 575, 755]);
  });

  test("is over where looks fail that once succeeded", async () => {
    store.onRead = inTurn(seeTaken(), failWith(leaderless));
    const contention = contending({ waitUntil: start + 400 });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(contention.outcome).toEqual({ value: "waited long enough", at: start + 400 });
  });

  test("that has never seen anything tells the failure", async () => {
    store.onRead = failWith(leaderless);
    const contention = contending({ waitUntil: start + 400 });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(contention.outcome).toEqual({ error: leaderless, at: start + 400 });
    expect(store.calls.map(({ at }) => at - start)).toEqual([0, 50, 150, 350, 400]);
  });

  test("that has never seen anything tells the last failure also where a look still hangs", async () => {
    const first = new SemaphoreRequestError("SEMAPHORE_READ_FAILED", refusal(503));
    store.onRead = inTurn<[QueryOptions], Promise<PrefixReading>>(
      failWith(first),
      failWith(leaderless),
      hang,
    );
    const contention = contending({ waitUntil: start + 2_000 });
    await vi.advanceTimersByTimeAsync(1_999);
    expect(contention.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(contention.outcome).toEqual({ error: leaderless, at: start + 2_000 });
    expect(store.steps).toEqual(["read", "read", "read"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([
    ["a second at the least", 0, 1_000],
    ["what is left", 5_000, 5_000],
    ["ten seconds at the most", 60_000, 10_000],
  ])("gives its first look and its swap %s to be answered", async (_, waitTime, timeout) => {
    store.onRead = see({ limit: 1, lockIndex: 5n });
    contending({ waitUntil: start + waitTime });
    await vi.advanceTimersByTimeAsync(0);
    expect(store.steps).toEqual(["read", "join"]);
    expect(store.calls.map(({ options }) => options?.timeout)).toEqual([timeout, timeout]);
  });
});
