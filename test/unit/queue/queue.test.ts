import { getEventListeners } from "node:events";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { Place } from "../../../src/queue/place.js";
import type { Contender, PrefixSnapshot } from "../../../src/protocol/snapshot.js";
import { SemaphoreLimitConflictError, SemaphoreRequestError } from "../../../src/errors.js";
import type { SemaphoreLock } from "../../../src/protocol/lock-entry.js";
import type { Joining, LeaveOptions, Leaving, PrefixReading } from "../../../src/queue/requests.js";
import { SessionLease } from "../../../src/session/lease.js";
import { SharedPrefix, sharedPrefix } from "../../../src/queue/queue.js";
import { FakeKV } from "../fake-kv.js";
import { FakeSessions } from "../session/fake-sessions.js";
import { contender, FakeStore, leftAsItIs, readingOf, waiting, type Look } from "../fake-store.js";
import { after, failure, inTurn, refusal } from "../failures.js";
import { Watched } from "../outcome.js";
import { rejectionOf } from "../rejection.js";

const SUBSCRIPTION = { wait: 16_000, grace: 4_000 };

/** For so long the watch goes on after the last who wanted it. */
const LINGER_MS = 50;

let store: FakeStore;
let prefix: SharedPrefix;
let controller: AbortController;
let start: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  // Each pause in full, and each grace as short as it gets.
  vi.spyOn(Math, "random").mockReturnValue(0);
  start = performance.now();
  controller = new AbortController();
  store = new FakeStore();
  prefix = new SharedPrefix(store);
});

afterEach(() => {
  controller.abort();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const wait = (ms = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

const failWith = (error: unknown) => (): Promise<never> => Promise.reject(error);
const leaderless = new SemaphoreRequestError("SEMAPHORE_READ_FAILED", refusal(500, "no leader"));
const timedOut = new SemaphoreRequestError("SEMAPHORE_UPDATE_FAILED", failure("CONSUL_TIMEOUT"));
const forbidden = new SemaphoreRequestError("SEMAPHORE_READ_FAILED", refusal(403));

interface Seen {
  readonly limit?: number | undefined;
  /** In the order of their arrival. */
  readonly contenders?: string;
  readonly holders?: string;
  readonly lockIndex?: bigint;
}

/** Each in its order, with indexes from 1 on. */
const arrivals = (names: string): readonly Contender[] =>
  Array.from(names, (name, place) => contender(name, BigInt(place + 1)));

/** A prefix whose contenders and holders each have a name of one letter. */
function seen({ limit = 1, contenders = "", holders = "", lockIndex = 5n }: Seen): PrefixSnapshot {
  return { limit, holders: new Set(holders), contenders: arrivals(contenders), lockIndex };
}

const see =
  (given: Seen): Look =>
  () => {
    const snapshot = seen(given);
    return Promise.resolve(readingOf(snapshot, snapshot.lockIndex));
  };

/** What the watch shows from now on, one after the other. */
const watching = (...looks: readonly Look[]): void => {
  store.onWatch = inTurn<Parameters<Look>, ReturnType<Look>>(...looks, waiting);
};

/** A look some time ago has shown this. */
async function know(given: Seen): Promise<void> {
  const { onLook } = store;
  store.onLook = see(given);
  await prefix.look(1_000);
  store.onLook = onLook;
  store.calls.splice(0);
  await wait(1);
}

const joined =
  (joinedAt = 42n) =>
  (): Promise<Joining> =>
    Promise.resolve({ joinedAt });
const refused = (): Promise<Joining> => Promise.resolve({ refusal: "stale index" });

const sends = vi.fn();

function joining(session: string, limit = 1): Watched<bigint | undefined> {
  sends.mockClear();
  const { signal } = controller;
  const options = { value: "a value", limit, sends, timeout: () => 1_000, signal };
  return new Watched(prefix.joinAtOnce(session, options));
}

const holders = (): string => [...(prefix.view?.snapshot.holders ?? [])].join("");
const contenders = (): string =>
  (prefix.view?.snapshot.contenders ?? []).map(({ session }) => session).join("");

/** One of ours takes a place in the queue, which does not wait for anything yet. */
function place(session: string, limit = 1): Place {
  const term = { sentAt: performance.now(), ttl: Infinity };
  const lease = new SessionLease(new FakeSessions(), { id: session, term, own: true, scope: {} });
  return prefix.takePlace(lease, limit, { ...SUBSCRIPTION });
}

/** Waits for what concerns a place. */
const news = (of: Place): Watched<PrefixReading | undefined> =>
  new Watched(prefix.news(of, { looks: false, timeout: 1_000, signal: controller.signal }));

describe("joining at once", () => {
  test("looks, and then enters and takes a free slot in one write", async () => {
    store.onLook = see({ limit: 2, contenders: "a", holders: "a" });
    store.onEnterAndJoin = () => {
      expect(sends).toHaveBeenCalledOnce();
      return joined(42n)();
    };
    const call = joining("n", 2);
    await wait();
    expect(call.outcome).toEqual({ value: 42n, at: start });
    expect(store.steps).toEqual(["look", "enterAndJoin"]);
    expect(store.calls).toMatchObject([
      { options: { consistent: true, timeout: 1_000 } },
      {
        session: "n",
        value: "a value",
        limit: 2,
        snapshot: { lockIndex: 5n },
        options: { timeout: 1_000 },
      },
    ]);
    expect(holders()).toBe("an");
    expect(prefix.view?.snapshot.lockIndex).toBe(42n);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("makes do with what is known, for a quarter of a second", async () => {
    await know({ limit: 3 });
    await wait(249);
    store.onEnterAndJoin = joined();
    const first = joining("n", 3);
    await wait();
    expect(first.outcome).toMatchObject({ value: 42n });
    expect(store.steps).toEqual(["enterAndJoin"]);
    // Our own write does not tell who has come meanwhile, and is not to be passed.
    await wait(1);
    joining("o", 3);
    await wait();
    expect(store.steps).toEqual(["enterAndJoin", "look"]);
  });

  test("makes do with what is known while a look waits for what is not", async () => {
    watching(see({ limit: 3 }));
    const end = prefix.watch(SUBSCRIPTION, { shown: vi.fn(), failed: vi.fn() });
    await wait(1_000);
    const steps = [...store.steps];
    store.onEnterAndJoin = joined();
    const call = joining("n", 3);
    await wait();
    expect(call.outcome).toMatchObject({ value: 42n });
    expect(store.steps).toEqual([...steps, "enterAndJoin"]);
    end();
  });

  test.each<[string, Seen]>([
    ["none is free", { contenders: "a", holders: "a" }],
    ["others wait for all that are free", { limit: 3, contenders: "abc", holders: "a" }],
    ["there are more holders than slots", { contenders: "ab", holders: "ab" }],
  ])("comes to nothing where %s, and writes nothing", async (_, given) => {
    store.onLook = see(given);
    const call = joining("n", given.limit);
    await wait();
    expect(call.outcome).toEqual({ value: undefined, at: start });
    expect(store.steps).toEqual(["look"]);
    expect(sends).not.toHaveBeenCalled();
  });

  test("is nobody's turn that waits: a slot beyond those may be taken", async () => {
    store.onLook = see({ limit: 4, contenders: "abc", holders: "a" });
    store.onEnterAndJoin = joined();
    const call = joining("n", 4);
    await wait();
    expect(call.outcome).toMatchObject({ value: 42n });
  });

  test("lets those of ours go first whom no look has shown yet", async () => {
    await know({ limit: 2, contenders: "a", holders: "a" });
    place("b", 2);
    const call = joining("n", 2);
    await wait();
    expect(call.outcome).toMatchObject({ value: undefined });
    expect(store.steps).toEqual([]);
  });

  test("looks where it is refused, and tries once more", async () => {
    await know({ lockIndex: 5n });
    store.onLook = see({ lockIndex: 6n });
    store.onEnterAndJoin = inTurn(refused, joined(9n));
    const call = joining("n");
    await wait();
    expect(call.outcome).toMatchObject({ value: 9n });
    expect(store.steps).toEqual(["enterAndJoin", "look", "enterAndJoin"]);
    expect(store.of("enterAndJoin").map(({ snapshot }) => snapshot?.lockIndex)).toEqual([5n, 6n]);
    expect(sends).toHaveBeenCalledTimes(2);
  });

  test("tries no more where that is refused as well", async () => {
    await know({ lockIndex: 5n });
    store.onLook = see({ lockIndex: 6n });
    store.onEnterAndJoin = refused;
    const call = joining("n");
    await wait();
    expect(call.outcome).toMatchObject({ value: undefined });
    expect(store.steps).toEqual(["enterAndJoin", "look", "enterAndJoin"]);
  });

  test("does not look twice: what is refused after a look is for the queue", async () => {
    store.onLook = see({});
    store.onEnterAndJoin = refused;
    const call = joining("n");
    await wait();
    expect(call.outcome).toMatchObject({ value: undefined });
    expect(store.steps).toEqual(["look", "enterAndJoin"]);
  });

  test("gives up a look with the signal, and writes nothing", async () => {
    const call = joining("n");
    await wait(10);
    const reason = new Error("enough");
    controller.abort(reason);
    await wait();
    expect(call.outcome).toEqual({ error: reason, at: start + 10 });
    expect(store.steps).toEqual(["look"]);
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });

  test("lets a write go on, also after the signal", async () => {
    await know({});
    store.onEnterAndJoin = () => after(20, { joinedAt: 42n });
    const call = joining("n");
    await wait(10);
    controller.abort(new Error("enough"));
    await wait(10);
    expect(call.outcome).toMatchObject({ value: 42n });
    expect(holders()).toBe("n");
  });

  test("tries no more where the look shows who was faster", async () => {
    await know({ lockIndex: 5n });
    store.onLook = see({ contenders: "a", holders: "a", lockIndex: 6n });
    store.onEnterAndJoin = refused;
    const call = joining("n");
    await wait();
    expect(call.outcome).toMatchObject({ value: undefined });
    expect(store.steps).toEqual(["enterAndJoin", "look"]);
  });

  test("is refused for another limit, but only by a look of its own", async () => {
    await know({ limit: 2 });
    store.onLook = see({ limit: 2 });
    const call = joining("n", 3);
    await wait();
    expect(call.outcome).toMatchObject({ error: new SemaphoreLimitConflictError(2, 3) });
    expect(store.steps).toEqual(["look"]);
  });

  test("takes no notice of a limit that is gone by now", async () => {
    await know({ limit: 2 });
    store.onLook = see({ limit: 3, lockIndex: 6n });
    store.onEnterAndJoin = joined();
    const call = joining("n", 3);
    await wait();
    expect(call.outcome).toMatchObject({ value: 42n });
  });

  test("rejects with what a look or a write rejects with", async () => {
    store.onLook = failWith(leaderless);
    const looked = joining("n");
    await wait();
    expect(looked.outcome).toEqual({ error: leaderless, at: start });
    await know({});
    store.onEnterAndJoin = failWith(timedOut);
    const wrote = joining("n");
    await wait();
    expect(wrote.outcome).toMatchObject({ error: timedOut });
  });

  test("has all who come at the same moment share a look, and go one after the other", async () => {
    store.onLook = see({ limit: 2 });
    let index = 10n;
    store.onEnterAndJoin = () => after(10, { joinedAt: (index += 1n) });
    const calls = [joining("n", 2), joining("o", 2), joining("p", 2)];
    await wait(30);
    expect(calls.map(({ outcome }) => outcome)).toMatchObject([
      { value: 11n, at: start + 10 },
      { value: 12n, at: start + 20 },
      { value: undefined },
    ]);
    expect(store.steps).toEqual(["look", "enterAndJoin", "enterAndJoin"]);
    // The second begins where the first has ended.
    expect(store.calls[2]).toMatchObject({
      snapshot: { lockIndex: 11n, holders: new Set("n") },
    });
  });

  test("waits for nobody's write that hangs", async () => {
    await know({ limit: 2 });
    store.onEnterAndJoin = (session) => after(session === "n" ? 60_000 : 0, { joinedAt: 42n });
    joining("n", 2);
    const second = joining("o", 2);
    await wait(101);
    expect(second.outcome).toMatchObject({ value: 42n });
  });
});

describe("a look", () => {
  test("is shared by all who ask at the same moment, and by nobody later", async () => {
    store.onLook = () => after(10, readingOf(seen({})));
    const calls = [prefix.look(1_000), prefix.look(2_000)];
    await wait();
    expect(store.of("look")).toMatchObject([{ options: { consistent: true, timeout: 1_000 } }]);
    // What it will show may be from before now.
    const late = prefix.look(3_000);
    await wait(10);
    expect(store.of("look")).toHaveLength(2);
    const [first, second, third] = await Promise.all([...calls, late]);
    expect(second).toBe(first);
    expect(third).not.toBe(first);
    expect(prefix.view).toBe(third);
  });

  test("that fails does so for all who share it, and not for the next", async () => {
    store.onLook = failWith(leaderless);
    const calls = [prefix.look(1_000), prefix.look(1_000)];
    expect(await Promise.all(calls.map(rejectionOf))).toEqual([leaderless, leaderless]);
    store.onLook = see({});
    expect(await prefix.look(1_000)).toBe(prefix.view);
  });

  test("that shows older data than the watch has seen has that begin anew", async () => {
    watching(see({ lockIndex: 9n }), waiting, see({ lockIndex: 4n }));
    prefix.watch({ ...SUBSCRIPTION }, { shown: () => undefined, failed: () => undefined });
    await wait(201);
    store.onLook = see({ lockIndex: 3n });
    await prefix.look(1_000);
    await wait();
    const asked = store.of("watch").map(({ options }) => options?.index);
    expect(asked).toEqual([0n, 9n, 0n]);
    expect(prefix.view?.snapshot.lockIndex).toBe(4n);
  });

  test("is told to whoever watches", async () => {
    const shown = vi.fn();
    prefix.watch(SUBSCRIPTION, { shown, failed: () => undefined });
    store.onLook = see({ contenders: "a" });
    const reading = await prefix.look(1_000);
    expect(shown.mock.calls).toEqual([[reading]]);
  });
});

/** Does what a store does in a departure, with the heir that is chosen among these holders. */
function leaving(
  lock: SemaphoreLock,
  { modifyIndex = 9n, ms = 0, reading }: Partial<LeavingOptions> = {},
): (session: string, options: LeaveOptions) => Promise<Leaving> {
  return async (session, { handover }) => {
    const heir = handover?.heir(lock);
    if (ms > 0) await after(ms, undefined);
    const left = new Set(lock.holders);
    left.delete(session);
    if (heir !== undefined) left.add(heir);
    return { lock: { limit: lock.limit, holders: left, modifyIndex }, heir, reading };
  };
}

interface LeavingOptions {
  readonly modifyIndex: bigint;
  readonly ms: number;
  readonly reading: PrefixReading;
}

const lockOf = (names: string, limit = 1): SemaphoreLock => ({ limit, holders: new Set(names) });

describe("who leaves", () => {
  test("passes the slot on to the first of ours", async () => {
    await know({ contenders: "xab", holders: "x" });
    const [first, second] = [place("a"), place("b")];
    const told = news(first);
    store.onLeave = leaving(lockOf("x"));
    await prefix.leave("x", { timeout: 3_000 });
    await wait();
    expect([first.joinedAt, second.joinedAt]).toEqual([9n, undefined]);
    expect(told.outcome).toMatchObject({ value: { snapshot: { holders: new Set("a") } } });
    expect(holders()).toBe("a");
    expect(contenders()).toBe("ab");
    expect(store.of("leave")).toMatchObject([{ session: "x", options: { timeout: 3_000 } }]);
  });

  test("passes it on to nobody whom no look has shown: others may be before it", async () => {
    await know({ contenders: "x", holders: "x" });
    const first = place("a");
    store.onLeave = leaving(lockOf("x"));
    await prefix.leave("x");
    expect(first).toMatchObject({ joinedAt: undefined, mayHold: false, isOpen: true });
  });

  test("leaves it to others who are before ours", async () => {
    await know({ contenders: "xfa", holders: "x" });
    const first = place("a");
    store.onLeave = leaving(lockOf("x"));
    await prefix.leave("x");
    expect(first).toMatchObject({ joinedAt: undefined, mayHold: false });
    expect(holders()).toBe("");
    expect(contenders()).toBe("fa");
  });

  test("passes by others who had their turn", async () => {
    await know({ limit: 2, contenders: "xfag", holders: "x" });
    // Somebody has waited for the first in line, and goes past it.
    await wait(200);
    await know({ limit: 2, contenders: "xfag", holders: "xg", lockIndex: 6n });
    const first = place("a", 2);
    store.onLeave = leaving(lockOf("xg", 2));
    await prefix.leave("x");
    expect(first.joinedAt).toBe(9n);
  });

  test("passes on no slot that there should not be", async () => {
    await know({ contenders: "xya", holders: "xy" });
    const first = place("a");
    store.onLeave = leaving(lockOf("xy"));
    await prefix.leave("x");
    expect(first.joinedAt).toBeUndefined();
  });

  test("passes it on to nobody who reckons with another limit", async () => {
    await know({ contenders: "xa", holders: "x" });
    const first = place("a", 2);
    store.onLeave = leaving(lockOf("x"));
    await prefix.leave("x");
    expect(first.joinedAt).toBeUndefined();
  });

  test("passes it on to nobody whose session is over", async () => {
    await know({ contenders: "xa", holders: "x" });
    const term = { sentAt: performance.now() - 16_000, ttl: 16_000 };
    const lease = new SessionLease(new FakeSessions(), { id: "a", term, own: true, scope: {} });
    const first = prefix.takePlace(lease, 1, SUBSCRIPTION);
    store.onLeave = leaving(lockOf("x"));
    await prefix.leave("x");
    expect(first.joinedAt).toBeUndefined();
  });

  test("passes it on to nobody who has left the queue", async () => {
    await know({ contenders: "xa", holders: "x" });
    const first = place("a");
    prefix.leavePlace(first);
    store.onLeave = leaving(lockOf("x"));
    await prefix.leave("x");
    expect(first.joinedAt).toBeUndefined();
  });

  test("passes it on to the next where the first turns out to be gone", async () => {
    await know({ contenders: "xab", holders: "x" });
    const [first, second] = [place("a"), place("b")];
    store.onLeave = async (session, options) => {
      const heir = options.handover?.heir(lockOf("x"));
      if (heir !== undefined) options.handover?.isGone(heir);
      return await leaving(lockOf("x"))(session, options);
    };
    await prefix.leave("x");
    expect(first).toMatchObject({ joinedAt: undefined, isOpen: true });
    expect(second.joinedAt).toBe(9n);
  });

  test("lets the one it chose go on where the slot is not passed on after all", async () => {
    await know({ contenders: "xa", holders: "x" });
    const first = place("a");
    const told = news(first);
    store.onLeave = async (_, { handover }) => {
      handover?.heir(lockOf("x"));
      await after(10, undefined);
      expect(first.isBeingHanded).toBe(true);
      return leftAsItIs;
    };
    void prefix.leave("x");
    await wait(10);
    expect(first).toMatchObject({ isOpen: true, joinedAt: undefined });
    expect(told.outcome).toBeUndefined();
  });

  test("leaves the one it chose to look for itself where nobody knows what became of it", async () => {
    await know({ contenders: "xa", holders: "x" });
    const first = place("a");
    const told = news(first);
    await wait(1);
    store.onLook = see({ contenders: "a", holders: "a", lockIndex: 9n });
    store.onLeave = async (_, { handover }) => {
      handover?.heir(lockOf("x"));
      return await failWith(timedOut)();
    };
    expect(await rejectionOf(prefix.leave("x"))).toBe(timedOut);
    await wait();
    expect(store.of("look")).toHaveLength(1);
    expect(told.outcome).toMatchObject({ value: { snapshot: { holders: new Set("a") } } });
    expect(first).toMatchObject({ joinedAt: undefined, mayHold: true, isUnsettled: false });
  });

  test("is gone from what is known, and the next swap begins there", async () => {
    await know({ limit: 2, contenders: "xy", holders: "xy" });
    store.onLeave = leaving(lockOf("xy", 2));
    await prefix.leave("x");
    expect(prefix.view?.snapshot).toMatchObject({ holders: new Set("y"), lockIndex: 9n });
    expect(contenders()).toBe("y");
  });

  test("changes nothing that is known where the lock was left as it is", async () => {
    await know({ contenders: "x", holders: "x" });
    store.onLeave = () => Promise.resolve(leftAsItIs);
    const before = prefix.view;
    await prefix.leave("x");
    expect(prefix.view).toBe(before);
  });

  test("has Consul tell who is left where no watch does", async () => {
    await know({ limit: 2, contenders: "xy", holders: "xy" });
    const reading = readingOf(
      seen({ limit: 2, contenders: "yz", holders: "y", lockIndex: 9n }),
      9n,
    );
    store.onLeave = leaving(lockOf("xy", 2), { reading });
    await vi.advanceTimersByTimeAsync(11);
    await prefix.leave("x");
    expect(store.of("leave")).toMatchObject([{ options: { lookBack: true } }]);
    expect(contenders()).toBe("yz");
    prefix.watch(SUBSCRIPTION, { shown: () => undefined, failed: () => undefined });
    await prefix.leave("y");
    expect(store.of("leave")[1]).toMatchObject({ options: { lookBack: false } });
  });

  test("needs not be told that again within 10 ms", async () => {
    await know({ limit: 2, contenders: "xy", holders: "xy" });
    store.onLeave = leaving(lockOf("xy", 2));
    await vi.advanceTimersByTimeAsync(9);
    await prefix.leave("x");
    expect(store.of("leave")).toMatchObject([{ options: { lookBack: false } }]);
  });

  test("has the watch look at once where the slot goes to nobody here", async () => {
    watching(see({ contenders: `xa${"f".repeat(400)}`, holders: "x" }));
    store.onEnterAndJoin = joined(5n);
    await know({ lockIndex: 4n });
    joining("x");
    await wait();
    news(place("a"));
    await wait(50);
    expect(store.of("watch")).toHaveLength(1);
    store.onLeave = (session) => leaving(lockOf("x"))(session, {});
    await prefix.leave("x");
    await wait();
    expect(store.of("watch").map(({ at }) => at - start)).toEqual([1, 51]);
  });

  test("waits for those whose writes are under way", async () => {
    await know({ limit: 2, contenders: "x", holders: "x" });
    store.onEnterAndJoin = () => after(20, { joinedAt: 8n });
    store.onLeave = leaving(lockOf("xn", 2));
    joining("n", 2);
    void prefix.leave("x");
    await wait(19);
    expect(store.steps).toEqual(["enterAndJoin"]);
    await wait(1);
    expect(store.steps).toEqual(["enterAndJoin", "leave"]);
  });
});

describe("the lock is known in a departure", () => {
  const knownTo = (call = 0): unknown => store.of("leave")[call]?.options?.known;

  beforeEach(async () => {
    await know({ limit: 2 });
    let index = 5n;
    store.onEnterAndJoin = () => Promise.resolve({ joinedAt: (index += 1n) });
    store.onLeave = leaving(lockOf("no", 2));
    joining("n", 2);
    joining("o", 2);
    await wait();
  });

  test("where all in it are ours, and nobody has written it since", async () => {
    await prefix.leave("n");
    expect(knownTo()).toEqual({ limit: 2, holders: new Set("no"), modifyIndex: 7n });
    // From one departure to the next as well.
    store.onLeave = leaving(lockOf("o", 2), { modifyIndex: 10n });
    await prefix.leave("o");
    expect(knownTo(1)).toEqual({ limit: 2, holders: new Set("o"), modifyIndex: 9n });
  });

  test("where a look has shown the same", async () => {
    await know({ limit: 2, contenders: "nof", holders: "no", lockIndex: 7n });
    await prefix.leave("n");
    expect(knownTo()).toMatchObject({ modifyIndex: 7n });
  });

  test("where it has passed on a slot to one of ours", async () => {
    await know({ limit: 2, contenders: "noa", holders: "no", lockIndex: 7n });
    place("a", 2);
    await prefix.leave("n");
    store.onLeave = leaving(lockOf("oa", 2), { modifyIndex: 10n });
    await prefix.leave("o");
    expect(knownTo(1)).toEqual({ limit: 2, holders: new Set("oa"), modifyIndex: 9n });
  });

  test("but not where somebody else has written it", async () => {
    await know({ limit: 2, contenders: "no", holders: "no", lockIndex: 8n });
    await prefix.leave("n");
    expect(store.of("leave")).toHaveLength(1);
    expect(knownTo()).toBeUndefined();
  });

  test("nor where it has to be found out who holds", async () => {
    await prefix.leave("n", { unlessHolder: true });
    expect(knownTo()).toBeUndefined();
  });
});

test("the lock is not known where somebody else's session is in it, also of our own write", async () => {
  await know({ limit: 2, contenders: "f", holders: "f" });
  store.onEnterAndJoin = joined(6n);
  joining("n", 2);
  await wait();
  store.onLeave = leaving(lockOf("nf", 2));
  await prefix.leave("n");
  expect(store.of("leave")).toMatchObject([{ options: { known: undefined } }]);
});

describe("a slot that stays free", () => {
  /** The first of ours is behind others whose turn it is. */
  async function behind(others: string): Promise<{
    readonly first: Place;
    readonly told: Watched<PrefixReading | undefined>;
    /** When that was seen. */
    readonly at: number;
  }> {
    watching(see({ contenders: `${others}a` }));
    const first = place("a");
    const told = news(first);
    await wait();
    return { first, told, at: performance.now() };
  }

  test.each([
    ["no sooner than after 250 ms", 0, 250],
    ["nor later than after 300", 1, 300],
  ])("may be taken by the next in line, %s", async (_, random, grace) => {
    vi.spyOn(Math, "random").mockReturnValue(random);
    const { told } = await behind("f");
    await wait(grace - 1);
    expect(prefix.isUpNext("a")).toBe(false);
    expect(told.outcome).toBeUndefined();
    await wait(1);
    expect(prefix.isUpNext("a")).toBe(true);
    expect(told.outcome).toMatchObject({ at: start + grace });
    await wait();
    // The watch alone goes on.
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([
    [1, 250],
    [2, 250 + 150],
    [8, 250 + 7 * 150],
    [9, 250 + 7 * 150 + 40],
    [12, 250 + 7 * 150 + 4 * 40],
  ])("costs one behind %d that do not move %d ms: they are passed faster", async (count, ms) => {
    const { told } = await behind("fghijklmnopq".slice(0, count));
    await wait(3_000);
    expect(told.outcome).toMatchObject({ at: start + ms });
  });

  test("is no longer one to be taken once somebody has", async () => {
    const { told } = await behind("f");
    await wait(150);
    store.onLook = see({ contenders: "fa", holders: "f", lockIndex: 6n });
    await prefix.look(1_000);
    await wait(1_000);
    expect(told.outcome).toBeUndefined();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is another where somebody has had it meanwhile", async () => {
    const { told } = await behind("f");
    await wait(150);
    store.onLook = see({ contenders: "fa", lockIndex: 7n });
    await prefix.look(1_000);
    await wait(249);
    expect(told.outcome).toBeUndefined();
    await wait(1);
    expect(told.outcome).toMatchObject({ at: start + 400 });
  });

  test("is the same while others come and go: one that does not move blocks none for good", async () => {
    watching(see({ limit: 2, contenders: "xfa", holders: "x" }));
    const told = news(place("a", 2));
    await wait();
    for (const lockIndex of [6n, 7n]) {
      await wait(100);
      store.onLook = see({ limit: 2, contenders: "xfa", holders: "x", lockIndex });
      await prefix.look(1_000);
    }
    await wait(49);
    expect(told.outcome).toBeUndefined();
    await wait(1);
    expect(told.outcome).toMatchObject({ at: start + 250 });
  });

  test("is another for each who is first in line", async () => {
    watching(see({ limit: 2, contenders: "xfga", holders: "x" }));
    const told = news(place("a", 2));
    await wait(200);
    store.onLook = see({ limit: 2, contenders: "xga", holders: "x" });
    await prefix.look(1_000);
    await wait(249);
    expect(told.outcome).toBeUndefined();
    await wait(1);
    expect(told.outcome).toMatchObject({ at: start + 450 });
  });

  test("is the same however often it is looked at", async () => {
    const { told } = await behind("f");
    await wait(150);
    store.onLook = see({ contenders: "fab" });
    await prefix.look(1_000);
    await wait(100);
    expect(told.outcome).toMatchObject({ at: start + 250 });
  });

  test("is of no interest once nobody here waits", async () => {
    const { first } = await behind("f");
    prefix.leavePlace(first);
    await wait(LINGER_MS);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is that of the first of ours at once, and of the second after a while", async () => {
    watching(see({ contenders: "ab" }));
    const told = [news(place("a")), news(place("b"))];
    await wait();
    expect(told.map(({ outcome }) => outcome === undefined)).toEqual([false, true]);
    await wait(250);
    expect(told[1]?.outcome).toMatchObject({ at: start + 250 });
  });
});

describe("a try for a slot", () => {
  test("is made on what is known, by whose turn it is", async () => {
    await know({ contenders: "ab" });
    const first = place("a");
    store.onLook = see({ contenders: "ab" });
    await prefix.look(1_000);
    store.onJoin = joined(9n);
    expect(await prefix.join(first, () => 3_000)).toEqual({ joinedAt: 9n });
    expect(store.of("join")).toMatchObject([
      { session: "a", limit: 1, snapshot: { lockIndex: 5n }, options: { timeout: 3_000 } },
    ]);
    expect(holders()).toBe("a");
    expect(prefix.isUpNext("b")).toBe(false);
  });

  test("is refused with the index of the state that it was made on", async () => {
    const first = place("a");
    await know({ contenders: "a", lockIndex: 6n });
    store.onJoin = refused;
    expect(await prefix.join(first, () => 3_000)).toEqual({ refusal: "stale index", index: 6n });
  });

  test("makes sure of a slot that is there already", async () => {
    const first = place("a");
    await know({ contenders: "a", holders: "a" });
    store.onJoinAgain = joined(9n);
    expect(await prefix.join(first, () => 3_000)).toEqual({ joinedAt: 9n });
    expect(store.steps).toEqual(["joinAgain"]);
  });

  test.each<[string, Seen]>([
    ["it is not its turn", { contenders: "fa" }],
    ["no slot is free", { contenders: "fa", holders: "f" }],
  ])("is not made where %s", async (_, given) => {
    const first = place("a");
    await know(given);
    expect(await prefix.join(first, () => 3_000)).toBeUndefined();
    expect(store.steps).toEqual([]);
  });

  test("is not made once it is its turn no more when it comes to it", async () => {
    const first = place("a");
    await know({ contenders: "a", lockIndex: 6n });
    store.onLeave = () => after(20, leftAsItIs);
    void prefix.leave("x");
    const trying = prefix.join(first, () => 3_000);
    store.onLook = see({ contenders: "fa", holders: "f", lockIndex: 7n });
    await prefix.look(1_000);
    await wait(20);
    expect(await trying).toBeUndefined();
    expect(store.of("join")).toEqual([]);
  });

  test("keeps a slot from being passed on to who makes it", async () => {
    await know({ limit: 2, contenders: "xa", holders: "x" });
    const first = place("a", 2);
    await know({ limit: 2, contenders: "xa", holders: "x" });
    store.onJoin = () => after(60_000, { joinedAt: 9n });
    void prefix.join(first, () => 3_000);
    store.onLeave = leaving(lockOf("x", 2));
    void prefix.leave("x");
    await wait(100);
    expect(store.steps).toEqual(["join", "leave"]);
    expect(first.joinedAt).toBeUndefined();
  });
});

describe("the watch of a prefix", () => {
  const events = (pause?: number) => ({
    shown: vi.fn<(reading: PrefixReading) => void>(),
    failed: vi.fn<(error: unknown) => number | undefined>(() => pause),
  });

  test("tells all what it shows, as long as they want to know", async () => {
    watching(see({ contenders: "a" }));
    const [first, second] = [events(), events()];
    const end = prefix.watch(SUBSCRIPTION, first);
    prefix.watch({ ...SUBSCRIPTION }, second);
    expect(prefix.isWatched).toBe(true);
    await wait();
    expect(first.shown.mock.calls).toEqual([[prefix.view]]);
    expect(second.shown).toHaveBeenCalledOnce();
    end();
    store.onLook = see({});
    await prefix.look(1_000);
    expect(first.shown).toHaveBeenCalledOnce();
    expect(second.shown).toHaveBeenCalledTimes(2);
  });

  describe("while others come first", () => {
    /** The queue moves by one in 40 ms, and three come before the first of ours. */
    async function far(limit: number): Promise<void> {
      watching(see({ limit, contenders: "xyvwfgha", holders: "xy" }), () =>
        after(40, readingOf(seen({ limit, contenders: "xywfgha", holders: "xy" }), 6n)),
      );
      const first = place("a", limit);
      news(first);
      await wait(1_000);
    }

    test("waits for the departure that makes room, with a request that costs little", async () => {
      store.onUntilContenderChanges = () => after(30, undefined);
      await far(2);
      const [vigil] = store.of("untilChanged");
      // Of w, f, g and h, who come first, two leave before there is a slot for a.
      expect(vigil).toMatchObject({ session: "g", options: { index: 6n } });
      const lookedAt = store.of("watch").map(({ at }) => at);
      expect(lookedAt).toContain((vigil?.at ?? 0) + 30);
    });

    test("waits as long by itself where that cannot be asked", async () => {
      store.onUntilContenderChanges = failWith(leaderless);
      await far(2);
      const [vigil] = store.of("untilChanged");
      const ms = Number(vigil?.options?.wait);
      expect(ms).toBeGreaterThanOrEqual(20);
      expect(store.steps.length).toBeLessThan(10);
      controller.abort();
    });
  });

  test("ends a moment after the last who wants to know, and leaves nothing behind", async () => {
    watching(see({}));
    const end = prefix.watch(SUBSCRIPTION, events());
    const first = place("a");
    news(first);
    await wait(1_000);
    end();
    await wait(1_000);
    expect(prefix.isWatched).toBe(true);
    prefix.leavePlace(first);
    controller.abort();
    await wait(LINGER_MS);
    expect(prefix.isWatched).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });

  test("hurries for the first who waits: for holders it takes its time", async () => {
    watching(see({ contenders: "x", holders: "x" }));
    prefix.watch(SUBSCRIPTION, events());
    await wait(50);
    expect(store.of("watch")).toHaveLength(1);
    place("a");
    await wait();
    expect(store.of("watch").map(({ at }) => at - start)).toEqual([0, 50]);
  });

  test("tells all of a failure, and waiters only of one that does not pass", async () => {
    const holder = events();
    prefix.watch(SUBSCRIPTION, holder);
    const told = news(place("a"));
    store.onWatch = inTurn<Parameters<Look>, ReturnType<Look>>(
      failWith(leaderless),
      failWith(forbidden),
      waiting,
    );
    prefix.watch({ wait: 1_000, grace: 1_000 }, events());
    await wait();
    expect(holder.failed.mock.calls).toEqual([[leaderless]]);
    expect(told.outcome).toBeUndefined();
    await wait(50);
    expect(holder.failed.mock.calls).toEqual([[leaderless], [forbidden]]);
    expect(told.outcome).toEqual({ error: forbidden, at: start + 50 });
  });

  test.each([
    ["as long as all who watch want", [3_000, 2_000], "", 2_000],
    ["as long as usual where one has no wish", [3_000, undefined], "", 50],
    ["as long as usual where somebody waits", [3_000, 2_000], "a", 50],
  ])("pauses after a failure %s", async (_, pauses, waiter, ms) => {
    store.onWatch = inTurn<Parameters<Look>, ReturnType<Look>>(failWith(leaderless), waiting);
    for (const pause of pauses) prefix.watch({ ...SUBSCRIPTION }, events(pause));
    for (const session of waiter) place(session);
    await wait(5_000);
    expect(store.of("watch").map(({ at }) => at - start)).toEqual([0, ms]);
  });
});

describe("a holder that may be dead", () => {
  /** While a look was on its way, a write of ours has left a holder in the lock that it did not show. */
  async function inDoubt(): Promise<void> {
    await know({ limit: 2, contenders: "f", holders: "f" });
    watching(async () => {
      await after(20, undefined);
      return { ...readingOf(seen({ limit: 2 }), 5n), sentAt: performance.now() - 20 };
    });
    prefix.watch({ ...SUBSCRIPTION }, { shown: () => undefined, failed: () => undefined });
    await wait(1);
    store.onEnterAndJoin = joined(6n);
    joining("n", 2);
    await wait(18);
    expect(holders()).toBe("fn");
    expect(store.of("look")).toEqual([]);
  }

  test("is looked for at once, between two writes", async () => {
    await inDoubt();
    store.onLook = see({ limit: 2, contenders: "n", holders: "n", lockIndex: 6n });
    store.onLeave = () => after(10, leftAsItIs);
    void prefix.leave("z");
    await wait(5);
    expect(store.of("look")).toEqual([]);
    await wait(5);
    expect(store.of("look")).toMatchObject([{ options: { timeout: 1_000, consistent: true } }]);
    expect(holders()).toBe("n");
  });

  test("is nobody's failure where that look fails", async () => {
    await inDoubt();
    store.onLook = failWith(leaderless);
    await wait(1);
    expect(store.of("look")).toHaveLength(1);
    expect(holders()).toBe("fn");
  });

  test("is none where a look has shown its entry", async () => {
    watching(see({ limit: 2, contenders: "fn", holders: "fn" }));
    prefix.watch({ ...SUBSCRIPTION }, { shown: () => undefined, failed: () => undefined });
    await wait(1);
    expect(store.of("look")).toEqual([]);
  });
});

describe("what semaphores share", () => {
  const consul = { kv: new FakeKV(), session: new FakeSessions() };

  test.each([
    ["the same name", "jobs", {}, true],
    ["a name that comes to the same", "jobs//", {}, true],
    ["another name", "other", {}, false],
    ["another namespace", "jobs", { namespace: "team-a" }, false],
    ["another partition", "jobs", { partition: "west" }, false],
  ])("is there for a client and %s: %s %o", (_, name, scope, isSame) => {
    const one = sharedPrefix(consul, "jobs", {});
    expect(sharedPrefix(consul, name, scope) === one).toBe(isSame);
  });

  test("is not there for another client", () => {
    const other = { kv: new FakeKV(), session: new FakeSessions() };
    expect(sharedPrefix(other, "jobs", {})).not.toBe(sharedPrefix(consul, "jobs", {}));
  });
});
