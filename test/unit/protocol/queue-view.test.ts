import { describe, expect, test } from "vitest";

import {
  afterCheck,
  withStaleLock,
  afterEntering,
  afterEntry,
  afterLockRead,
  afterPassing,
  afterReading,
  afterWrite,
  freeSlots,
  type QueueView,
  UNREAD,
} from "../../../src/protocol/queue-view.js";
import { isWaitedFor } from "../../../src/protocol/passes.js";
import type { ContenderEntry, Snapshot } from "../../../src/protocol/snapshot.js";
import { contender, contenders, HEARD, lockOf, passedUntil, tailOf, viewOf } from "./views.js";

/** When the news of a test was asked for, and answered: after all that is in a view. */
const ASKED = HEARD + 100;
const NOW = ASKED + 20;
const LATER = { sentAt: ASKED, now: NOW };
/** Asked for before the lock was last heard of, and answered after that. */
const CROSSED = { sentAt: HEARD - 5, now: HEARD + 5 };

function snapshotOf({ lock = lockOf(1), dead = new Map(), contenders = [] }: Partial<Snapshot>) {
  return { lock, dead, contenders };
}

const sessions = ({ waiters }: QueueView): readonly string[] =>
  waiters.map(({ session }) => session);

/** Those that somebody behind them waits for. */
const waitedFor = (view: QueueView, now = NOW): readonly string[] =>
  sessions({ ...view, waiters: view.waiters.filter((it) => isWaitedFor(view, it, now)) });

describe("the first reading of a prefix", () => {
  const lock = lockOf(3, ["s4", "s5", "s6"], 60n);
  const view = afterReading(
    UNREAD,
    snapshotOf({ lock, dead: new Map([["s6", 0n]]), contenders: contenders(4, 5, 7, 8) }),
    LATER,
  );

  test("tells the lock and its dead holders", () => {
    expect(view).toMatchObject({ lock, dead: new Map([["s6", 0n]]), isLockStale: false });
  });

  test("tells who waits: all contenders but the holders, in their order", () => {
    expect(sessions(view)).toEqual(["s7", "s8"]);
  });

  test("tells whom it has shown: holders and waiters, but nobody without a contender entry", () => {
    expect(view.read.map(({ session }) => session)).toEqual(["s4", "s5", "s7", "s8"]);
  });

  test("is as old as the request, and the lock as the answer", () => {
    expect(view).toMatchObject({ readAt: ASKED, lockAt: NOW, readIndex: 60n });
    expect(view.readTook).toBe(NOW - ASKED);
  });

  test("shows that the holders with an entry were alive when it was asked for", () => {
    expect(view.aliveAt.get("s4")).toBe(ASKED);
    expect(view.aliveAt.get("s5")).toBe(ASKED);
    expect([...view.aliveAt.keys()]).not.toContain("s7");
  });

  test("has the greatest index of all entries, not only the lock's", () => {
    const entries = [contender(7, { modifyIndex: 90n }), contender(80)];
    const { readIndex } = afterReading(UNREAD, snapshotOf({ lock, contenders: entries }), LATER);
    expect(readIndex).toBe(90n);
  });

  test("of an empty prefix shows nobody", () => {
    const nothing = snapshotOf({ lock: lockOf(undefined, [], 0n) });
    expect(afterReading(UNREAD, nothing, LATER)).toMatchObject({
      lock: { limit: undefined, modifyIndex: 0n },
      waiters: [],
      idleFront: undefined,
    });
  });
});

describe("a reading of the prefix", () => {
  test.each([
    { that: "nobody", contenders: [], holders: [], inOrder: true },
    { that: "waiters alone", contenders: contenders(4, 5), holders: [], inOrder: true },
    { that: "holders alone", contenders: contenders(4, 5), holders: ["s4", "s5"], inOrder: true },
    {
      that: "waiters behind holders",
      contenders: contenders(4, 5),
      holders: ["s4"],
      inOrder: true,
    },
    { that: "one overtaken", contenders: contenders(4, 5), holders: ["s5"], inOrder: false },
    {
      that: "one overtaken by the last of several",
      contenders: contenders(4, 5, 6),
      holders: ["s4", "s6"],
      inOrder: false,
    },
  ])("that shows $that is in order: $inOrder", ({ contenders, holders, inOrder }) => {
    const view = afterReading(UNREAD, snapshotOf({ lock: lockOf(3, holders), contenders }), LATER);
    expect(view.readInOrder).toBe(inOrder);
  });
});

describe("another reading of the prefix", () => {
  const before = viewOf({
    lock: lockOf(2, ["s4", "s5"], 100n),
    waiters: contenders(7, 8),
    readIndex: 100n,
  });

  test("replaces what was known", () => {
    const lock = lockOf(2, ["s5", "s7"], 110n);
    const view = afterReading(before, snapshotOf({ lock, contenders: contenders(5, 7, 9) }), LATER);
    expect(view).toMatchObject({ lock, readAt: ASKED, lockAt: NOW, readIndex: 110n });
    expect(sessions(view)).toEqual(["s9"]);
    expect(view.read.map(({ session }) => session)).toEqual(["s5", "s7", "s9"]);
  });

  test("is ignored where it is older than what is known", () => {
    const old = snapshotOf({ lock: lockOf(2, ["s4"], 90n), contenders: contenders(4, 7, 8) });
    expect(afterReading(before, old, CROSSED)).toBe(before);
  });

  test("is taken where its indexes are smaller, but it was asked for later: Consul was restored", () => {
    const restored = snapshotOf({ lock: lockOf(2, ["s1"], 5n), contenders: contenders(1, 2) });
    const view = afterReading(before, restored, LATER);
    expect(view).toMatchObject({ lock: restored.lock, readIndex: 5n, readAt: ASKED });
    expect(sessions(view)).toEqual(["s2"]);
  });

  test("is taken where it was asked for at the moment when the lock was heard of", () => {
    const restored = snapshotOf({ lock: lockOf(2, ["s1"], 5n), contenders: contenders(1, 2) });
    expect(afterReading(before, restored, { sentAt: HEARD, now: NOW }).lock).toBe(restored.lock);
  });

  test("is taken where it was asked for earlier, but its indexes are greater", () => {
    const newer = snapshotOf({ lock: lockOf(2, ["s4"], 110n), contenders: contenders(4, 8, 109) });
    const view = afterReading(before, newer, CROSSED);
    expect(view.lock).toBe(newer.lock);
    expect(sessions(view)).toEqual(["s8", "s109"]);
  });

  test("does not bring back a lock that is older than the one that was heard of since", () => {
    const lock = lockOf(2, ["s4", "s7"], 100n);
    const view = afterReading(
      viewOf({ lock, readIndex: 90n, waiters: contenders(8) }),
      snapshotOf({ lock: lockOf(2, ["s4"], 80n), contenders: contenders(4, 7, 8, 95) }),
      CROSSED,
    );
    expect(view.lock).toBe(lock);
    expect(sessions(view)).toEqual(["s8", "s95"]);
    expect(view.read.map(({ session }) => session)).toEqual(["s4", "s7", "s8", "s95"]);
  });

  test("remembers who was passed, and forgets those that have left", () => {
    const view = afterReading(
      { ...before, passed: passedUntil(NOW, 6, 7) },
      snapshotOf({ contenders: contenders(7, 8) }),
      LATER,
    );
    expect(view.passed).toEqual(passedUntil(NOW, 7));
  });

  test("shows who is dead now, among the holders", () => {
    const view = afterReading(
      { ...before, dead: new Map([["s4", 0n]]) },
      snapshotOf({ lock: before.lock, dead: new Map([["s5", 12n]]), contenders: contenders(4) }),
      LATER,
    );
    expect(view.dead).toEqual(new Map([["s5", 12n]]));
  });

  test("tells nothing of a holder that is not in a newer lock any more", () => {
    const view = afterReading(
      viewOf({ lock: lockOf(2, ["s4"], 100n), readIndex: 90n }),
      snapshotOf({
        lock: lockOf(2, ["s4", "s5"], 80n),
        dead: new Map([["s5", 0n]]),
        contenders: contenders(4, 95),
      }),
      CROSSED,
    );
    expect(view.dead).toEqual(new Map());
  });

  test("shows that the holders are alive", () => {
    const view = afterReading(
      before,
      snapshotOf({ lock: before.lock, contenders: contenders(4, 5) }),
      LATER,
    );
    expect(view.aliveAt).toEqual(
      new Map([
        ["s4", ASKED],
        ["s5", ASKED],
      ]),
    );
  });

  test("settles what the lock was to be looked at for", () => {
    const doubtful = { ...before, isLockStale: true };
    expect(afterReading(doubtful, snapshotOf({ lock: before.lock }), LATER).isLockStale).toBe(
      false,
    );
  });
});

describe("a look at the lock", () => {
  const before = viewOf({
    lock: lockOf(2, ["s4", "s5"], 100n),
    dead: new Map([["s5", 0n]]),
    waiters: contenders(6, 7, 8),
    passed: passedUntil(NOW, 6),
    isLockStale: true,
  });

  test("tells the lock, and settles what it was to be looked at for", () => {
    const lock = lockOf(2, ["s4"], 110n);
    const view = afterLockRead(before, lock, LATER);
    expect(view).toMatchObject({ lock, lockAt: NOW, isLockStale: false });
  });

  test("says nothing of those that wait, but that holders do not", () => {
    const view = afterLockRead(before, lockOf(2, ["s4", "s7"], 110n), LATER);
    expect(sessions(view)).toEqual(["s6", "s8"]);
    expect(view).toMatchObject({ readAt: HEARD, readIndex: 100n, passed: before.passed });
  });

  test("tells of a waiter once and for all that it has stopped waiting", () => {
    const joined = afterLockRead(before, lockOf(2, ["s4", "s7"], 110n), LATER);
    const left = afterLockRead(joined, lockOf(2, ["s4"], 120n), { sentAt: NOW, now: NOW + 20 });
    expect(sessions(left)).toEqual(["s6", "s8"]);
  });

  test("is ignored where it is older than what is known", () => {
    expect(afterLockRead(before, lockOf(2, [], 90n), CROSSED)).toBe(before);
    expect(afterLockRead(before, before.lock, CROSSED)).toBe(before);
  });

  test("is taken where it was asked for earlier, but its index is greater", () => {
    const lock = lockOf(2, ["s4"], 101n);
    expect(afterLockRead(before, lock, CROSSED).lock).toBe(lock);
  });

  test.each([
    ["after the lock was last heard of", LATER],
    ["at the moment when the lock was last heard of", { sentAt: HEARD, now: NOW }],
  ])("is taken where its index is smaller, but it was asked for %s", (_, times) => {
    const restored = lockOf(2, ["s4"], 5n);
    expect(afterLockRead(before, restored, times).lock).toBe(restored);
    const removed = lockOf(undefined, [], 0n);
    expect(afterLockRead(before, removed, times).lock).toBe(removed);
  });

  test("leaves a dead holder dead while it is in the lock, and forgets it then", () => {
    const still = afterLockRead(before, lockOf(2, ["s4", "s5"], 110n), LATER);
    expect(still.dead).toEqual(new Map([["s5", 0n]]));
    const pruned = afterLockRead(still, lockOf(2, ["s4"], 120n), { sentAt: NOW, now: NOW + 20 });
    expect(pruned.dead).toEqual(new Map());
  });

  test("does not show that a holder is alive, but for one that has just become one", () => {
    const { aliveAt } = afterLockRead(before, lockOf(2, ["s4", "s7"], 110n), LATER);
    expect(aliveAt).toEqual(
      new Map([
        ["s4", HEARD],
        ["s7", NOW],
      ]),
    );
  });
});

describe("a write of ours to the lock", () => {
  const before = viewOf({
    lock: lockOf(2, ["s4"], 100n),
    waiters: contenders(7, 8),
    isLockStale: true,
  });

  test("tells the lock, and that the new holder waits no more", () => {
    const lock = lockOf(2, ["s4", "s7"], 110n);
    const view = afterWrite(before, lock, undefined, NOW);
    expect(view).toMatchObject({ lock, lockAt: NOW, isLockStale: false, readAt: HEARD });
    expect(sessions(view)).toEqual(["s8"]);
  });

  test("takes the one that left with it out of the queue", () => {
    const view = afterWrite(before, lockOf(2, [], 110n), "s8", NOW);
    expect(view.lock.holders).toEqual(new Set());
    expect(sessions(view)).toEqual(["s7"]);
  });

  test("does not undo what was heard of the lock since, but who left has left", () => {
    const view = afterWrite(before, lockOf(2, ["s4", "s8"], 90n), "s7", NOW);
    expect(view.lock).toBe(before.lock);
    expect(sessions(view)).toEqual(["s8"]);
  });
});

describe("news of the contender entry of a waiter", () => {
  const before = viewOf({
    lock: lockOf(1, ["h"]),
    waiters: contenders(5, 6, 7, 8, 9),
    passed: passedUntil(NOW, 5),
  });
  const touched = contender(7, { modifyIndex: 110n, lockIndex: 2n });
  const news = (index: number, entry: ContenderEntry | null, view = before): QueueView =>
    afterEntry(view, contender(index), entry, NOW);

  test("that its lock was taken again: it waits no more, nor does anybody ahead of it", () => {
    const view = news(7, touched);
    expect(waitedFor(view)).toEqual(["s8", "s9"]);
    expect(view).toMatchObject({ isLockStale: true, joinIndex: 110n, readAt: HEARD });
  });

  test("that its lock was taken again: a lock that is known as of then or later tells nothing new", () => {
    const known = { ...before, lock: lockOf(1, ["h"], 110n) };
    expect(news(7, touched, known)).toMatchObject({ isLockStale: false, joinIndex: 0n });
    expect(waitedFor(news(7, touched, known))).toEqual(["s8", "s9"]);
    expect(news(7, touched, { ...known, isLockStale: true }).isLockStale).toBe(true);
  });

  test("that its lock was taken again: nobody joins behind others, also where there is room for all", () => {
    const view = news(7, touched, { ...before, lock: lockOf(9, ["h"]) });
    expect(waitedFor(view)).toEqual(["s8", "s9"]);
    expect(view.lastTurn).toEqual({ createIndex: 7n, at: NOW });
  });

  /** A reading that shows the holder, and all that came before it. */
  const readAfter = (view: QueueView): QueueView =>
    afterReading(
      view,
      snapshotOf({ lock: lockOf(1, ["s7"], 110n), contenders: contenders(5, 6, 7, 8) }),
      LATER,
    );

  test("that its lock was taken again: those ahead count as passed if a reading still shows them", () => {
    const view = news(7, touched);
    expect(view.lastTurn).toEqual({ createIndex: 7n, at: NOW });
    const read = readAfter(view);
    expect(read.passed).toEqual(
      new Map([
        [5n, { times: 2, until: NOW + 10_000 }],
        [6n, { times: 1, until: NOW + 5_000 }],
      ]),
    );
    expect(waitedFor(read)).toEqual(["s8"]);
    expect(read.lastTurn).toBeUndefined();
  });

  test("that its lock was taken again: one ahead that holds by the next reading was not passed", () => {
    const lock = lockOf(2, ["s5", "s7"], 110n);
    const shown = snapshotOf({ lock, contenders: contenders(5, 6, 7, 8) });
    const read = afterReading(
      news(7, touched, viewOf({ waiters: contenders(5, 6, 7, 8) })),
      shown,
      LATER,
    );
    expect(read.passed).toEqual(passedUntil(NOW + 5_000, 6));
  });

  test("that its lock was taken again: one that nobody waited for was not passed once more", () => {
    const passed = passedUntil(NOW + 1, 5);
    const read = readAfter(news(7, touched, { ...before, passed }));
    expect(read.passed).toEqual(new Map([...passed, ...passedUntil(NOW + 5_000, 6)]));
  });

  test("that its lock was taken again, while it was first in line: nobody was passed", () => {
    const view = news(7, touched, viewOf({ waiters: contenders(7, 8) }));
    expect(view.lastTurn).toBeUndefined();
    expect(sessions(view)).toEqual(["s8"]);
  });

  test.each([
    ["is gone", null],
    ["is another one, made anew", contender(120, { session: "s7", lockIndex: 2n })],
  ])("that it %s: it waits no more, those ahead still do", (_, entry) => {
    const view = news(7, entry);
    expect(sessions(view)).toEqual(["s5", "s6", "s8", "s9"]);
    expect(view.passed).toEqual(before.passed);
  });

  test("that it is gone: it may have held and left, of which the lock tells, and others with it", () => {
    const view = news(7, null);
    expect(view).toMatchObject({ isLockStale: true, vanished: { count: 1, createIndex: 7n } });
    const further = afterEntry(view, contender(6), null, NOW);
    expect(further).toMatchObject({ isLockStale: true, vanished: { count: 2, createIndex: 6n } });
  });

  test.each([
    ["further back", 9],
    ["further ahead, with one in between", 5],
  ])("that it is gone, and another %s: they are not in a row", (_, index) => {
    const view = afterEntry(news(7, null), contender(index), null, NOW);
    expect(view.vanished).toEqual({ count: 1, createIndex: BigInt(index) });
  });

  test.each([
    ["is there", contender(6)],
    ["has been written to", contender(6, { modifyIndex: 110n })],
    ["has become a holder", contender(6, { modifyIndex: 110n, lockIndex: 2n })],
  ])("that it is gone: those further ahead have not where the next %s", (_, entry) => {
    expect(afterEntry(news(7, null), contender(6), entry, NOW).vanished).toBeUndefined();
  });

  test("that it is gone means nothing any more after a reading", () => {
    const read = afterReading(news(7, null), snapshotOf({ contenders: contenders(5, 6) }), LATER);
    expect(read.vanished).toBeUndefined();
  });

  test("that it is as it was changes nothing", () => {
    expect(news(7, contender(7))).toEqual(before);
  });

  test("that it was only written to: it keeps its place, and the next query goes on from there", () => {
    const rewritten = contender(7, { modifyIndex: 110n });
    const view = news(7, rewritten);
    expect(view).toEqual({
      ...before,
      waiters: [...contenders(5, 6), rewritten, ...contenders(8, 9)],
    });
  });

  test.each([
    ["gone", null],
    ["changed", touched],
  ])("that it is %s means nothing where it is no waiter any more", (_, entry) => {
    const view = viewOf({ waiters: contenders(8, 9) });
    expect(news(7, entry, view)).toBe(view);
  });

  test("means nothing for one that has entered again under the same name", () => {
    const again = contender(120, { session: "s7" });
    const view = viewOf({ waiters: [contender(8), again] });
    expect(news(7, null, view)).toBe(view);
  });
});

describe("a waiter that enters behind the tail of a long queue", () => {
  const before = viewOf({
    waiters: contenders(5),
    lastTurn: { createIndex: 4n, at: HEARD },
    vanished: { count: 1, createIndex: 6n },
  });
  const tail = tailOf(8, { enteredAt: NOW });
  const view = afterEntering(before, tail);
  const touched = contender(8, { modifyIndex: 112n, lockIndex: 2n });

  test("knows that one, and nothing of whom it waited behind last", () => {
    expect(view).toEqual({ ...before, tail, lastTurn: undefined, vanished: undefined });
    expect(afterEntering(view, undefined).tail).toBeUndefined();
  });

  test("knows when that one has joined, and looks at the lock", () => {
    expect(afterEntry(view, contender(8), touched, NOW)).toEqual({
      ...view,
      tail: { ...tail, entry: touched, hasJoined: true },
      lastTurn: { createIndex: 8n, at: NOW },
      isLockStale: true,
      joinIndex: 112n,
    });
  });

  test("goes on from where the entry was written without that", () => {
    const written = contender(8, { modifyIndex: 12n });
    const then = afterEntry(view, contender(8), written, NOW);
    expect(then).toEqual({ ...view, tail: { ...tail, entry: written } });
    expect(afterEntry(view, contender(8), contender(8), NOW)).toEqual(view);
  });

  test.each([
    { that: "is gone", found: null },
    { that: "is that of a later wait", found: contender(8, { createIndex: 20n, lockIndex: 2n }) },
  ])("knows nothing any more when the entry $that", ({ found }) => {
    expect(afterEntry(view, contender(8), found, NOW)).toEqual({ ...view, tail: undefined });
  });

  test("still knows that it has joined when it leaves after that", () => {
    const joined = afterEntry(view, contender(8), touched, NOW);
    expect(afterEntry(joined, contender(8), null, NOW)).toEqual(joined);
  });

  test("hears nothing of it from the entries of others", () => {
    expect(afterEntry(view, contender(7), null, NOW)).toEqual(view);
  });

  test.each([
    { asked: "since", sentAt: NOW, then: undefined },
    { asked: "before", sentAt: NOW - 1, then: tail },
  ])("goes by a reading that was asked for $asked", ({ sentAt, then }) => {
    const reading = snapshotOf({ contenders: contenders(5, 8, 9) });
    const known = afterReading(view, reading, { sentAt, now: NOW + 20 });
    expect(known.tail).toEqual(then);
    expect(sessions(known)).toEqual(["s5", "s8", "s9"]);
  });

  test("takes those ahead of the tail that a reading shows for passed", () => {
    const joined = afterEntry(view, contender(8), touched, NOW);
    const reading = snapshotOf({ contenders: contenders(7, 9) });
    const known = afterReading(joined, reading, { sentAt: NOW + 10, now: NOW + 20 });
    expect(waitedFor(known, NOW + 20)).toEqual(["s9"]);
  });
});

describe("the lock entry", () => {
  const known = viewOf({ lock: lockOf(1, ["a"], 100n), lockSince: HEARD - 50 });
  const later = { sentAt: HEARD + 10, now: HEARD + 20 };

  test("is known as it is since it was first seen so", () => {
    const again = afterLockRead(known, lockOf(1, ["a"], 100n), later);
    expect(again).toMatchObject({ lockAt: HEARD + 20, lockSince: HEARD - 50 });
    const changed = afterLockRead(known, lockOf(1, ["b"], 101n), later);
    expect(changed).toMatchObject({ lockAt: HEARD + 20, lockSince: HEARD + 20 });
  });
});

describe("a doubt", () => {
  test("has the lock looked at, and changes nothing else", () => {
    const before = viewOf({ lock: lockOf(1, ["h"]), waiters: contenders(7) });
    expect(withStaleLock(before)).toEqual({ ...before, isLockStale: true });
  });
});

describe("a check of the holders", () => {
  test("shows that those that it found were alive when it was asked for, and tells nothing else", () => {
    const before = viewOf({ lock: lockOf(3, ["s4", "s5", "s6"]), waiters: contenders(7) });
    expect(afterCheck(before, ["s4", "s5"], ASKED)).toEqual({
      ...before,
      aliveAt: new Map([
        ["s4", ASKED],
        ["s5", ASKED],
        ["s6", HEARD],
      ]),
    });
  });
});

describe("passing waiters", () => {
  const before = viewOf({ waiters: contenders(5, 6, 7), passed: passedUntil(NOW + 1, 5) });

  test("adds them to those that nobody waits for; they stay waiters", () => {
    const view = afterPassing(before, contenders(6), NOW);
    expect(waitedFor(view)).toEqual(["s7"]);
    expect(sessions(view)).toEqual(["s5", "s6", "s7"]);
  });

  test("says nothing of those that were passed before", () => {
    const view = afterPassing(before, contenders(6), NOW);
    expect(view.passed.get(5n)).toBe(before.passed.get(5n));
  });

  test.each([1, 5_000])("counts for nothing where nobody waits for them for %d ms yet", (left) => {
    const passed = passedUntil(NOW + left, 6);
    const view = afterPassing({ ...before, passed }, contenders(6, 7), NOW);
    expect(view.passed).toEqual(new Map([...passed, ...passedUntil(NOW + 5_000, 7)]));
  });

  test("has nobody wait for them for five seconds, then for twice as long each time, up to a minute", () => {
    let view = viewOf({ waiters: contenders(6, 7) });
    let now = NOW;
    for (const [i, lasts] of [5_000, 10_000, 20_000, 40_000, 60_000, 60_000].entries()) {
      view = afterPassing(view, contenders(6), now);
      expect(view.passed).toEqual(new Map([[6n, { times: i + 1, until: now + lasts }]]));
      expect(waitedFor(view, now + lasts - 1)).toEqual(["s7"]);
      now += lasts;
      expect(waitedFor(view, now)).toEqual(["s6", "s7"]);
    }
  });
});

describe("the free slots", () => {
  test.each([
    [2, 3, ["a"], []],
    [0, 1, ["a"], []],
    [3, 3, [], []],
    [2, 3, ["a", "b"], ["b"]],
    [1, 1, ["a"], ["a"]],
    [0, 1, ["a", "b", "c"], []],
    [0, 1, ["a", "b"], ["b"]],
  ])(
    "are %d with limit %d, where %j hold and of these %j are dead",
    (free, limit, holders, dead) => {
      const indexes = new Map(dead.map((session) => [session, 0n]));
      expect(freeSlots({ lock: lockOf(limit, holders), dead: indexes }, limit)).toBe(free);
    },
  );
});

describe("the first waiter that lets a slot be free", () => {
  const SINCE = HEARD - 70;
  const full = lockOf(1, ["h"], 110n);
  const free = lockOf(1, [], 110n);
  const idle = viewOf({
    waiters: contenders(7, 8),
    idleFront: { createIndex: 7n, since: SINCE },
  });
  const busy = viewOf({ lock: lockOf(1, ["h"]), waiters: contenders(7, 8) });
  const touched = contender(7, { modifyIndex: 110n, lockIndex: 2n });
  const read = (view: QueueView, given: Partial<Snapshot>): QueueView =>
    afterReading(view, snapshotOf(given), LATER);

  test.each([
    ["the lock is seen without a holder", afterLockRead(busy, free, LATER), NOW],
    ["our write leaves a slot free", afterWrite(busy, free, undefined, NOW), NOW],
    [
      "a reading shows it, from when that was asked for",
      read(busy, { lock: free, contenders: contenders(7, 8) }),
      ASKED,
    ],
    [
      "the first reading shows it, from when that was asked for",
      read(UNREAD, { contenders: contenders(7, 8) }),
      ASKED,
    ],
    [
      "a reading shows that the holder is dead",
      read(busy, { lock: full, dead: new Map([["h", 0n]]), contenders: contenders(7, 8) }),
      ASKED,
    ],
    [
      "nobody has written a lock yet",
      read(UNREAD, { lock: lockOf(undefined, [], 0n), contenders: contenders(7, 8) }),
      ASKED,
    ],
  ])("begins to when %s", (_, { idleFront }, since) => {
    expect(idleFront).toEqual({ createIndex: 7n, since });
  });

  test.each([
    ["a look shows the same", afterLockRead(idle, free, LATER)],
    ["a reading shows the same", read(idle, { contenders: contenders(7, 8) })],
    ["others take the slot before it", afterLockRead(idle, full, LATER)],
    [
      "a reading shows that others have taken the slot before it",
      read(idle, { lock: full, contenders: contenders(7, 8) }),
    ],
    [
      "a slot is free again after others had taken it",
      afterLockRead(afterLockRead(idle, full, LATER), lockOf(1, [], 120n), {
        sentAt: NOW,
        now: NOW + 20,
      }),
    ],
    ["one behind it has gone", afterEntry(idle, contender(8), null, NOW)],
    ["one behind it was passed", afterPassing(idle, contenders(8), NOW)],
    ["the lock has to be looked at", withStaleLock(idle)],
    [
      "its entry was only written to",
      afterEntry(idle, contender(7), contender(7, { modifyIndex: 110n }), NOW),
    ],
  ])("has done so as long as before when %s", (_, { idleFront }) => {
    expect(idleFront).toEqual({ createIndex: 7n, since: SINCE });
  });

  test.each([
    ["the other holds now", afterLockRead(idle, lockOf(2, ["s7"], 110n), LATER), NOW],
    ["a reading does not show the other", read(idle, { contenders: contenders(8) }), ASKED],
    ["the other has gone", afterEntry(idle, contender(7), null, NOW), NOW],
    ["the other has become a holder", afterEntry(idle, contender(7), touched, NOW), NOW],
    ["the other was passed", afterPassing(idle, contenders(7), NOW), NOW],
    ["the other has left with our write", afterWrite(idle, free, "s7", NOW), NOW],
  ])("is the next one, from now on, when %s", (_, { idleFront }, since) => {
    expect(idleFront).toEqual({ createIndex: 8n, since });
  });

  test.each([
    ["no slot is free, and none was", afterLockRead(busy, full, LATER)],
    [
      "a reading shows that no slot is free, and none was",
      read(busy, { lock: full, contenders: contenders(7, 8) }),
    ],
    [
      "the other has gone while no slot is free",
      afterEntry(afterLockRead(idle, full, LATER), contender(7), null, NOW),
    ],
    [
      "the other was passed, and the slot taken",
      afterLockRead(afterPassing(idle, contenders(7, 8), NOW), full, LATER),
    ],
    ["nobody is left", read(idle, { contenders: [] })],
    ["all were passed", afterPassing(idle, contenders(7, 8), NOW)],
  ])("is nobody when %s", (_, { idleFront }) => {
    expect(idleFront).toBeUndefined();
  });

  test("has done so from anew when it was passed, and is waited for again", () => {
    const passed = afterPassing(idle, contenders(7), NOW);
    const lookAt = (now: number) => afterLockRead(passed, free, { sentAt: NOW, now }).idleFront;
    expect(lookAt(NOW + 4_999)).toEqual({ createIndex: 8n, since: NOW });
    expect(lookAt(NOW + 5_000)).toEqual({ createIndex: 7n, since: NOW + 5_000 });
  });
});

describe("the sessions that the last reading has shown", () => {
  const lock = lockOf(1, ["s4"]);
  const before = viewOf({ lock, waiters: contenders(7, 8) });
  const touched = contender(8, { modifyIndex: 110n, lockIndex: 2n });

  test.each([
    ["a look shows another holder", afterLockRead(before, lockOf(1, ["s9"], 110n), LATER)],
    ["our write makes another holder", afterWrite(before, lockOf(1, ["s9"], 110n), "s4", NOW)],
    ["a waiter has gone", afterEntry(before, contender(7), null, NOW)],
    ["a waiter has become a holder", afterEntry(before, contender(8), touched, NOW)],
    ["waiters were passed", afterPassing(before, contenders(7), NOW)],
    ["the holders were checked", afterCheck(before, ["s4"], ASKED)],
    [
      "another reading is older",
      afterReading(before, snapshotOf({ lock: lockOf(1, [], 90n) }), CROSSED),
    ],
  ])("stay the same when %s", (_, { read }) => {
    expect(read).toBe(before.read);
  });
});
