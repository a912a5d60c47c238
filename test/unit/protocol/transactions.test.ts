import { beforeEach, describe, expect, test } from "vitest";

import { prefixKeys } from "../../../src/protocol/keys.js";
import { encodeLock, SEMAPHORE_FLAG_VALUE } from "../../../src/protocol/lock-entry.js";
import { liveHolders, type KnownLock } from "../../../src/protocol/snapshot.js";
import { Transactions } from "../../../src/protocol/transactions.js";
import { Store } from "./store.js";
import { lockOf } from "./views.js";

const FLAGS = SEMAPHORE_FLAG_VALUE;

describe("the operations", () => {
  const transactions = new Transactions(prefixKeys("jobs"));
  const me = { session: "me", value: "host:1" };
  const next = { session: "next", value: Uint8Array.of(7) };
  const own = { key: "jobs/me", value: "host:1", flags: FLAGS, session: "me" };
  const others = { key: "jobs/next", value: next.value, flags: FLAGS, session: "next" };

  const lockWrite = (limit: number, holders: readonly string[]) => ({
    key: "jobs/.lock",
    value: encodeLock({ limit, holders: new Set(holders) }),
    flags: FLAGS,
  });
  const swap = (limit: number, holders: readonly string[], modifyIndex: bigint) => ({
    ...{ verb: "cas", ...lockWrite(limit, holders), modifyIndex },
  });
  const known = (holders: readonly string[], dead: Record<string, bigint> = {}): KnownLock => ({
    lock: lockOf(3, holders),
    dead: new Map(Object.entries(dead)),
  });
  const unwritten: KnownLock = { lock: lockOf(undefined, [], 0n), dead: new Map() };

  const checkSession = { verb: "check-session", key: "jobs/me", session: "me" };
  const touch = [
    { verb: "unlock", ...own },
    { verb: "lock", ...own },
  ];

  const noTail = { verb: "delete-tree", key: "jobs/.tail/" };

  test("to enter make the contender entry, locked by its session, and leave no tail", () => {
    expect(transactions.enter(me)).toEqual([{ verb: "lock", ...own }, noTail]);
  });

  test("to enter without a value leave it out", () => {
    expect(transactions.enter({ session: "me", value: undefined })).toEqual([
      { verb: "lock", ...own, value: undefined },
      noTail,
    ]);
  });

  test("to read the tail read the lock entry as well", () => {
    expect(transactions.readTail()).toEqual([
      { verb: "get-tree", key: "jobs/.lock" },
      { verb: "get-tree", key: "jobs/.tail/" },
    ]);
  });

  test("to enter as the tail leave no other one", () => {
    expect(transactions.enterAsTail(me)).toEqual([
      { verb: "lock", ...own },
      noTail,
      { verb: "lock", key: "jobs/.tail/me", flags: FLAGS, session: "me" },
    ]);
  });

  test("to read everything read the prefix with its slash", () => {
    expect(transactions.readAll()).toEqual({ verb: "get-tree", key: "jobs/" });
  });

  test("to enter and join at once swap the lock too, without a touch", () => {
    expect(transactions.enterAndJoin(me, known(["b", "a"]), 3)).toEqual([
      { verb: "lock", ...own },
      swap(3, ["a", "b", "me"], 100n),
    ]);
  });

  test("to join where nobody has written a lock demand that there still is none", () => {
    expect(transactions.enterAndJoin(me, unwritten, 3)).toEqual([
      { verb: "lock", ...own },
      swap(3, ["me"], 0n),
    ]);
    expect(transactions.join(me, unwritten, 3)).toContainEqual(swap(3, ["me"], 0n));
  });

  test("to join demand the contender entry, swap the lock, and touch the entry", () => {
    expect(transactions.join(me, known(["a"]), 3)).toEqual([
      checkSession,
      swap(3, ["a", "me"], 100n),
      ...touch,
    ]);
  });

  test("to join leave dead holders out, as long as their entries are as they were seen", () => {
    const withDead = known(["a", "gone", "unlocked"], { gone: 0n, unlocked: 42n });
    const swapped = [
      { verb: "check-not-exists", key: "jobs/gone" },
      { verb: "check-index", key: "jobs/unlocked", modifyIndex: 42n },
      swap(3, ["a", "me"], 100n),
    ];
    expect(transactions.join(me, withDead, 3)).toEqual([checkSession, ...swapped, ...touch]);
    expect(transactions.enterAndJoin(me, withDead, 3)).toEqual([
      { verb: "lock", ...own },
      ...swapped,
    ]);
  });

  test("to join demand nothing of one that is dead, but not in the lock", () => {
    expect(transactions.join(me, known(["a"], { gone: 0n }), 3)).toEqual([
      checkSession,
      swap(3, ["a", "me"], 100n),
      ...touch,
    ]);
  });

  test("to join again leave the lock, get back in, and touch the entry", () => {
    expect(transactions.rejoin(me, known(["a", "me"]), 3)).toEqual([
      checkSession,
      swap(3, ["a"], 100n),
      { verb: "set", ...lockWrite(3, ["a", "me"]) },
      ...touch,
    ]);
  });

  test("to join again leave dead holders out, but do not count oneself as one", () => {
    expect(transactions.rejoin(me, known(["gone", "me"], { gone: 0n, me: 0n }), 3)).toEqual([
      checkSession,
      { verb: "check-not-exists", key: "jobs/gone" },
      swap(3, [], 100n),
      { verb: "set", ...lockWrite(3, ["me"]) },
      ...touch,
    ]);
  });

  const deletion = { verb: "delete", key: "jobs/me" };

  test("to leave swap the lock and delete the contender entry", () => {
    expect(transactions.leave("me", lockOf(3, ["b", "me", "a"]))).toEqual([
      swap(3, ["a", "b"], 100n),
      deletion,
    ]);
  });

  test("to leave for a successor put it in the own stead, and touch its entry", () => {
    expect(transactions.leave("me", lockOf(3, ["a", "me"]), { successor: next })).toEqual([
      { verb: "check-session", key: "jobs/next", session: "next" },
      swap(3, ["a", "next"], 100n),
      { verb: "unlock", ...others },
      { verb: "lock", ...others },
      deletion,
    ]);
  });

  test.each([
    ["of a waiter", lockOf(3, ["a"])],
    ["where the lock has no value", lockOf(undefined)],
  ])("to leave %s demand that the lock is as it was read", (_, lock) => {
    expect(transactions.leave("me", lock)).toEqual([
      { verb: "check-index", key: "jobs/.lock", modifyIndex: 100n },
      deletion,
    ]);
  });

  test.each([false, true])(
    "to leave where there is no lock demand that there still is none (a swap may come: %s)",
    (swapMayCome) => {
      expect(transactions.leave("me", unwritten.lock, { swapMayCome })).toEqual([
        { verb: "check-not-exists", key: "jobs/.lock" },
        deletion,
      ]);
    },
  );

  test("to leave where a swap may come move the lock on, with the same holders", () => {
    expect(transactions.leave("me", lockOf(3, ["a"]), { swapMayCome: true })).toEqual([
      swap(3, ["a", "me"], 100n),
      { verb: "set", ...lockWrite(3, ["a"]) },
      deletion,
    ]);
  });

  test("to leave the lock need no more than that where a swap may come", () => {
    expect(transactions.leave("me", lockOf(3, ["a", "me"]), { swapMayCome: true })).toEqual([
      swap(3, ["a"], 100n),
      deletion,
    ]);
  });

  test("to leave the queue delete the contender entry", () => {
    expect(transactions.leaveQueue("me")).toEqual(deletion);
  });

  test("to see whether a session contends check its entry", () => {
    expect(transactions.checkContender("me")).toEqual(checkSession);
  });
});

describe("in Consul,", () => {
  let store: Store;
  let transactions: Transactions;
  let a: string;
  let b: string;
  let c: string;

  beforeEach(() => {
    store = new Store();
    transactions = new Transactions(store.keys);
    a = store.createSession();
    b = store.createSession();
    c = store.createSession();
  });

  const APPLIED: readonly string[] = [];
  const write = (session: string) => ({ session, value: `value of ${session}` });
  const entryOf = (session: string) => store.get(store.keys.contender(session));
  const holders = () => liveHolders(store.snapshot());

  function enter(...sessions: readonly string[]): void {
    for (const session of sessions) {
      expect(store.write(transactions.enter(write(session)))).toEqual(APPLIED);
    }
  }

  function join(...sessions: readonly string[]): void {
    for (const session of sessions) {
      const operations = transactions.join(write(session), store.snapshot(), 2);
      expect(store.write(operations)).toEqual(APPLIED);
    }
  }

  const leave = (session: string, options: Parameters<Transactions["leave"]>[2] = {}) =>
    store.write(transactions.leave(session, store.snapshot().lock, options));

  test("a contender entry has its session, its value and the flags, and is locked for the first time", () => {
    enter(a);
    expect(entryOf(a)).toMatchObject({
      ...{ session: a, flags: FLAGS, lockIndex: 1n },
      value: Buffer.from(`value of ${a}`),
    });
  });

  test("to enter twice changes nothing", () => {
    enter(a);
    const before = entryOf(a);
    enter(a);
    expect(entryOf(a)).toEqual(before);
  });

  test("the touch of one that joins makes its lock and modify index grow, and leaves all else", () => {
    enter(a);
    const before = entryOf(a);
    join(a);
    const { lock } = store.snapshot();
    expect(entryOf(a)).toEqual({ ...before, lockIndex: 2n, modifyIndex: lock.modifyIndex });
  });

  test("one that enters and joins at once is a holder with one write", () => {
    expect(store.write(transactions.enterAndJoin(write(a), store.snapshot(), 2))).toEqual(APPLIED);
    const { lock } = store.snapshot();
    expect(holders()).toEqual(new Set([a]));
    expect(entryOf(a)).toMatchObject({ createIndex: lock.modifyIndex, lockIndex: 1n });
  });

  test("one that enters and joins at once does neither where another came first", () => {
    const seen = store.snapshot();
    enter(b);
    join(b);
    const operations = transactions.enterAndJoin(write(a), seen, 2);
    expect(store.write(operations)).toEqual([store.keys.lock]);
    expect(entryOf(a)).toBeNull();
  });

  test("of two that join at the same time one fails, and is still a contender as it was", () => {
    enter(a, b);
    const [seen, before] = [store.snapshot(), entryOf(b)];
    join(a);
    expect(store.write(transactions.join(write(b), seen, 2))).toEqual([store.keys.lock]);
    expect(holders()).toEqual(new Set([a]));
    expect(entryOf(b)).toEqual(before);
  });

  test("a join takes the slot of a dead holder", () => {
    enter(a, b, c);
    join(a, b);
    store.endSession(a);
    join(c);
    expect(store.snapshot().lock.holders).toEqual(new Set([b, c]));
  });

  test("a join fails where the session of the dead holder has come back since", () => {
    enter(a, b, c);
    join(a, b);
    store.write([transactions.leaveQueue(a)]);
    const seen = store.snapshot();
    enter(a);
    const operations = transactions.join(write(c), seen, 2);
    expect(store.write(operations)).toEqual([store.keys.contender(a)]);
    expect(holders()).toEqual(new Set([a, b]));
  });

  test("a join fails where a holder's unlocked entry was locked again since", () => {
    enter(a, b, c);
    join(a, b);
    const entry = { ...write(a), key: store.keys.contender(a), flags: FLAGS };
    store.write([{ verb: "unlock", ...entry }]);
    const seen = store.snapshot();
    expect(liveHolders(seen)).toEqual(new Set([b]));
    enter(a);
    expect(store.write(transactions.join(write(c), seen, 2))).toEqual([entry.key]);
    expect(holders()).toEqual(new Set([a, b]));
  });

  test("a join takes the slot of a holder whose unlocked entry stays so", () => {
    enter(a, b, c);
    join(a, b);
    store.write([{ verb: "unlock", ...write(a), key: store.keys.contender(a), flags: FLAGS }]);
    join(c);
    expect(store.snapshot().lock.holders).toEqual(new Set([b, c]));
  });

  test("one that is in the lock by an unknown write gets an index of its own, and is touched", () => {
    enter(a, b);
    join(a, b);
    const { lock } = store.snapshot();
    const before = entryOf(a);
    expect(store.write(transactions.rejoin(write(a), store.snapshot(), 2))).toEqual(APPLIED);
    const now = store.snapshot().lock;
    expect(now.holders).toEqual(new Set([a, b]));
    expect(now.modifyIndex).toBeGreaterThan(lock.modifyIndex);
    expect(entryOf(a)).toEqual({ ...before, lockIndex: 3n, modifyIndex: now.modifyIndex });
  });

  test("a swap of one who saw a holder dead fails when that holder has joined again", () => {
    enter(a, b, c);
    join(a, b);
    store.write([transactions.leaveQueue(a)]);
    const seen = store.snapshot();
    enter(a);
    store.write(transactions.rejoin(write(a), store.snapshot(), 2));
    expect(store.write(transactions.join(write(c), seen, 2))).toContain(store.keys.lock);
    expect(holders()).toEqual(new Set([a, b]));
  });

  test("one that leaves is neither holder nor contender", () => {
    enter(a, b);
    join(a, b);
    expect(leave(a)).toEqual(APPLIED);
    expect(store.snapshot().lock.holders).toEqual(new Set([b]));
    expect(entryOf(a)).toBeNull();
  });

  test("one that leaves for a successor passes the slot on, and touches the successor's entry", () => {
    enter(a, b);
    join(a);
    const before = entryOf(b);
    expect(leave(a, { successor: write(b) })).toEqual(APPLIED);
    const { lock } = store.snapshot();
    expect(lock.holders).toEqual(new Set([b]));
    expect(entryOf(a)).toBeNull();
    expect(entryOf(b)).toEqual({ ...before, lockIndex: 2n, modifyIndex: lock.modifyIndex });
  });

  test("one that leaves stays where its successor has gone", () => {
    enter(a, b);
    join(a);
    store.endSession(b);
    expect(leave(a, { successor: write(b) })).toContain(store.keys.contender(b));
    expect(holders()).toEqual(new Set([a]));
  });

  test("one that leaves stays where the lock has changed since it was read", () => {
    enter(a, b);
    join(a);
    const { lock } = store.snapshot();
    join(b);
    expect(store.write(transactions.leave(a, lock))).toEqual([store.keys.lock]);
    expect(holders()).toEqual(new Set([a, b]));
  });

  test("a late join fails after its session has left", () => {
    enter(a, b);
    join(b);
    const late = transactions.join(write(a), store.snapshot(), 2);
    expect(leave(a)).toEqual(APPLIED);
    expect(store.write(late)).toContain(store.keys.contender(a));
    expect(holders()).toEqual(new Set([b]));
  });

  test("a late join fails after its session has left and entered again", () => {
    enter(a, b);
    join(b);
    const late = transactions.join(write(a), store.snapshot(), 2);
    expect(leave(a, { swapMayCome: true })).toEqual(APPLIED);
    enter(a);
    expect(store.write(late)).toEqual([store.keys.lock]);
    expect(holders()).toEqual(new Set([b]));
  });

  test("to leave where a swap may come changes nobody else's slot", () => {
    enter(a, b);
    join(b);
    const before = store.snapshot().lock;
    leave(a, { swapMayCome: true });
    const { lock } = store.snapshot();
    expect(lock).toMatchObject({ limit: 2, holders: new Set([b]) });
    expect(lock.modifyIndex).toBeGreaterThan(before.modifyIndex);
  });

  test("a waiter that leaves twice has left", () => {
    enter(a);
    expect([leave(a), leave(a)]).toEqual([APPLIED, APPLIED]);
  });

  test("a join fails without a contender entry", () => {
    const operations = transactions.join(write(a), store.snapshot(), 2);
    expect(store.write(operations)).toContain(store.keys.contender(a));
    expect(store.snapshot()).toMatchObject({ lock: { modifyIndex: 0n }, contenders: [] });
  });

  test("a lock entry without a value is filled by the first that joins", () => {
    store.write([{ verb: "set", key: store.keys.lock, flags: FLAGS }]);
    enter(a);
    join(a);
    expect(store.snapshot().lock).toMatchObject({ limit: 2, holders: new Set([a]) });
  });

  test("a lock with the flags of Go's first release gets the right ones by the first swap", () => {
    const value = encodeLock({ limit: 2, holders: new Set() });
    store.write([{ verb: "set", key: store.keys.lock, value, flags: 0n }]);
    enter(a);
    join(a);
    expect(store.get(store.keys.lock)?.flags).toBe(FLAGS);
  });
});
