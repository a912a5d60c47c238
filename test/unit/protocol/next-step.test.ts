import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { SemaphoreLimitConflictError } from "../../../src/errors.js";
import { entersAsTail } from "../../../src/protocol/long-queue.js";
import {
  isNextInLine,
  limitFor,
  mayJoinAtOnce,
  mayPassOn,
  nextStep,
  requireSameLimit,
} from "../../../src/protocol/next-step.js";
import type { Step, Waiter } from "../../../src/protocol/step.js";
import { afterCheck, type QueueView } from "../../../src/protocol/queue-view.js";
import {
  contender,
  contenders,
  entriesOf,
  HEARD,
  lockOf,
  passedUntil,
  tailOf,
  viewOf,
  waiter,
} from "./views.js";

interface Case {
  readonly that: string;
  readonly view: QueueView;
  readonly me?: Waiter;
  /** Whom it has waited for so far, and for how long. */
  readonly target?: number;
  readonly waited?: number;
  /** How long ago all of this was heard. */
  readonly later?: number;
  readonly step: Step;
}

function stepOf({
  view,
  me = waiter(9),
  target = 8,
  waited = 0,
  later = 0,
}: Omit<Case, "that" | "step">): Step {
  const now = HEARD + later;
  const step = nextStep(view, me, { createIndex: BigInt(target), since: now - waited }, now);
  // What is left of a time is no round number to the last bit.
  return "atMost" in step ? { ...step, atMost: Number(step.atMost.toFixed(3)) } : step;
}

const goesTo = (cases: readonly Case[]): void => {
  const titled = cases.map(({ that, ...rest }) => [that, rest] as const);
  test.each(titled)("%s", (_, { step, ...given }) => {
    expect(stepOf(given)).toEqual(step);
  });
};

const queueOf = (length: number) => contenders(...Array.from({ length }, (_, index) => index + 1));

const JOIN: Step = { kind: "join", passing: [] };
const FULL = lockOf(1, ["h"]);

describe("a waiter whose view is not good enough", () => {
  goesTo([
    {
      that: "reads the prefix where the last reading is older than its entry",
      view: viewOf({ waiters: contenders(9), readAt: HEARD - 1 }),
      step: { kind: "read prefix" },
    },
    {
      that: "does not where that reading was asked for at the moment of its entry",
      view: viewOf({ waiters: contenders(9), readAt: HEARD }),
      step: JOIN,
    },
    {
      that: "looks at the lock where something has happened that the lock tells of",
      view: viewOf({ waiters: contenders(9), isLockStale: true }),
      step: { kind: "read lock" },
    },
    {
      that: "gives one that has joined a moment to leave again, where the lock is known as of before",
      view: viewOf({
        ...{ lock: lockOf(2, ["h"], 100n), waiters: contenders(9) },
        ...{ isLockStale: true, joinIndex: 101n },
      }),
      step: { kind: "read lock after join", index: 101n, atMost: 1 },
    },
    {
      that: "looks at once where there was room for both a moment ago",
      me: waiter(9, { limit: 2 }),
      view: viewOf({
        ...{ lock: lockOf(2, [], 100n), waiters: contenders(9) },
        ...{ isLockStale: true, joinIndex: 101n },
      }),
      step: { kind: "read lock" },
    },
    {
      that: "gives a moment where that was longer ago: the others come and go",
      me: waiter(9, { limit: 2 }),
      view: viewOf({
        ...{ lock: lockOf(2, [], 100n), waiters: contenders(9) },
        ...{ isLockStale: true, joinIndex: 101n, lockAt: HEARD - 1 },
      }),
      step: { kind: "read lock after join", index: 101n, atMost: 1 },
    },
    {
      that: "looks at once where the lock is known as of a later write than that",
      view: viewOf({
        ...{ lock: lockOf(2, ["h"], 101n), waiters: contenders(9) },
        ...{ isLockStale: true, joinIndex: 101n },
      }),
      step: { kind: "read lock" },
    },
    {
      that: "reads the prefix, which shows the lock as well, where it needs both",
      view: viewOf({ waiters: contenders(9), readAt: HEARD - 1, isLockStale: true }),
      step: { kind: "read prefix" },
    },
    {
      that: "takes those ahead of the last turn for gone",
      view: viewOf({ waiters: contenders(9), lastTurn: { createIndex: 8n, at: HEARD - 4_999 } }),
      step: JOIN,
    },
    {
      that: "reads the prefix where that turn is long ago: somebody ahead may only have been slow",
      view: viewOf({ waiters: contenders(9), lastTurn: { createIndex: 8n, at: HEARD - 5_000 } }),
      step: { kind: "read prefix" },
    },
    {
      that: "looks before it says that the limit in the lock is another",
      view: viewOf({ lock: lockOf(2), waiters: contenders(9), isLockStale: true }),
      step: { kind: "read lock" },
    },
  ]);
});

describe("a waiter that has entered behind the tail of a long queue", () => {
  const tail = tailOf(8);
  const joined = tailOf(8, { hasJoined: true });
  /** A reading of 200 contenders, from before it has entered. */
  const long = { read: queueOf(200), readAt: HEARD - 1, waiters: queueOf(7) };
  const full = viewOf({ ...long, lock: FULL, tail });
  const free = viewOf({ ...long, tail });
  const watch = (atMost: number): Step => ({ kind: "watch entry", entry: contender(8), atMost });

  goesTo([
    { that: "waits for that one, whoever else is ahead", view: full, step: watch(2_000) },
    { that: "does so where a slot is free", view: free, step: watch(2_000) },
    {
      that: "reads the prefix where the tail was asked for by another",
      view: full,
      me: waiter(10),
      step: { kind: "read prefix" },
    },
    {
      that: "reads the prefix where it has entered anew",
      view: full,
      me: waiter(9, { enteredAt: HEARD + 1 }),
      step: { kind: "read prefix" },
    },
    {
      that: "reads the prefix where that one has gone: others may be ahead",
      view: viewOf({ ...long, lock: FULL }),
      step: { kind: "read prefix" },
    },
    {
      that: "reads the prefix where it has not been read for a minute",
      view: { ...full, readAt: HEARD - 60_000 },
      step: { kind: "read prefix" },
    },
    {
      that: "does not where that is a little less",
      view: { ...full, readAt: HEARD - 59_999 },
      step: watch(2_000),
    },
    {
      that: "reads the prefix where something is not as it was known",
      view: { ...full, readAt: -Infinity },
      step: { kind: "read prefix" },
    },
    {
      that: "looks at the lock where something has happened that the lock tells of",
      view: { ...full, isLockStale: true },
      step: { kind: "read lock" },
    },
    {
      that: "makes sure of a slot that it has already",
      view: { ...full, lock: lockOf(1, ["s9"]) },
      step: { kind: "rejoin" },
    },
    {
      that: "makes sure after a while that the holders are alive: the first in line may not be",
      view: full,
      waited: 2_000,
      later: 2_000,
      step: { kind: "check holders" },
    },
    {
      that: "does so again after a longer while",
      view: { ...full, lockAt: HEARD + 2_000 },
      waited: 2_500,
      later: 2_500,
      step: watch(3_500),
    },
    {
      that: "does so in the end after a quarter of a second for each of the queue",
      view: { ...full, lockAt: HEARD + 30_000 },
      waited: 30_000,
      later: 30_000,
      step: watch(50_000),
    },
    {
      that: "looks at the lock after a while where a slot was free",
      view: free,
      waited: 2_000,
      later: 2_000,
      step: { kind: "read lock" },
    },
    {
      that: "looks soon again where others have taken it, and a slot is free again",
      view: { ...free, lockAt: HEARD + 6_000, lockSince: HEARD + 6_000 },
      waited: 6_000,
      later: 6_000,
      step: watch(1_000),
    },
    {
      that: "reads who is ahead where nobody has taken it: one of them does not move",
      view: { ...free, lockAt: HEARD + 2_000 },
      waited: 2_000,
      later: 2_000,
      step: { kind: "read prefix" },
    },
    {
      that: "does not where that is not so long yet",
      view: { ...free, lockAt: HEARD + 999 },
      waited: 1_500,
      later: 1_500,
      step: watch(499),
    },
    { that: "joins once that one has", view: { ...free, tail: joined }, step: JOIN },
    {
      that: "watches the lock then, where no slot is free",
      view: { ...full, tail: joined },
      step: { kind: "watch lock", atMost: 800 },
    },
    {
      that: "makes sure then that the holders are alive",
      view: { ...full, tail: joined },
      later: 800,
      step: { kind: "check holders" },
    },
    {
      that: "reads after a while who else there is: somebody that was passed may only have been slow",
      view: { ...full, tail: joined, lastTurn: { createIndex: 8n, at: HEARD } },
      later: 5_000,
      step: { kind: "read prefix" },
    },
  ]);

  test("rejects another limit than its own", () => {
    const view = { ...full, lock: lockOf(2, ["h"]) };
    expect(() => stepOf({ view })).toThrow(SemaphoreLimitConflictError);
  });

  test("is handed no slot of its own client: others may be ahead", () => {
    expect(isNextInLine(free, waiter(9), HEARD)).toBe(false);
    expect(isNextInLine({ ...free, waiters: [], tail: joined }, waiter(9), HEARD)).toBe(false);
  });
});

describe("a queue", () => {
  test.each([
    [50, false],
    [51, true],
  ])("of %d is entered as its tail: %s", (length, expected) => {
    expect(entersAsTail(viewOf({ read: queueOf(length) }))).toBe(expected);
  });

  test("in which somebody was overtaken is read, however long it is", () => {
    expect(entersAsTail(viewOf({ read: queueOf(200), readInOrder: false }))).toBe(false);
  });
});

describe("a waiter", () => {
  goesTo([
    {
      that: "joins where it is alone and nobody has written a lock yet",
      view: viewOf({ lock: lockOf(undefined, [], 0n), waiters: contenders(9) }),
      step: JOIN,
    },
    {
      that: "joins when it is first in line and a slot is free",
      view: viewOf({ lock: lockOf(2, ["h"]), waiters: contenders(9, 10) }),
      me: waiter(9, { limit: 2 }),
      step: JOIN,
    },
    {
      that: "lets those ahead join first where there is a slot for each of them too",
      view: viewOf({ lock: lockOf(4, ["h"]), waiters: contenders(7, 8, 9) }),
      me: waiter(9, { limit: 4 }),
      step: { kind: "watch entry", entry: contender(8), atMost: 200 },
    },
    {
      that: "does not join where there is a slot for all but one of them",
      view: viewOf({ lock: lockOf(4, ["h", "i"]), waiters: contenders(7, 8, 9) }),
      me: waiter(9, { limit: 4 }),
      step: { kind: "watch entry", entry: contender(8), atMost: 200 },
    },
    {
      that: "joins in place of a dead holder",
      view: viewOf({ lock: FULL, dead: new Map([["h", 0n]]), waiters: contenders(9) }),
      step: JOIN,
    },
    {
      that: "does not count those behind it",
      view: viewOf({ waiters: contenders(9, 10, 11) }),
      step: JOIN,
    },
    {
      that: "joins before those that have let somebody go first",
      view: viewOf({ waiters: contenders(7, 8, 9), passed: passedUntil(HEARD + 1, 7, 8) }),
      step: JOIN,
    },
    {
      that: "waits for them again after a while",
      view: viewOf({ waiters: contenders(8, 9), passed: passedUntil(HEARD + 1, 8) }),
      later: 1,
      step: { kind: "watch entry", entry: contender(8), atMost: 200 },
    },
    {
      that: "does not join where more hold than the limit allows",
      view: viewOf({ lock: lockOf(1, ["h", "i"]), waiters: contenders(9) }),
      step: { kind: "watch lock", atMost: 800 },
    },
    {
      that: "makes sure of a slot that it has already",
      view: viewOf({ lock: lockOf(1, ["s9"]) }),
      step: { kind: "rejoin" },
    },
    {
      that: "is gone where it is in the lock, but was seen without a contender entry",
      view: viewOf({ lock: lockOf(1, ["s9"]), dead: new Map([["s9", 0n]]) }),
      step: { kind: "gone" },
    },
    {
      that: "is gone where the reading does not show its contender entry",
      view: viewOf({ waiters: contenders(7, 8) }),
      step: { kind: "gone" },
    },
  ]);

  test.each([
    ["smaller", 1],
    ["greater", 3],
    ["missing in what the lock says", 0],
  ])("refuses to go on where the limit of the others is %s", (_, limit) => {
    const view = viewOf({ lock: lockOf(limit), waiters: contenders(9) });
    const me = waiter(9, { limit: 2 });
    expect(() => stepOf({ view, me })).toThrow(new SemaphoreLimitConflictError(limit, 2));
  });

  test("refuses another limit also with a slot, or without a contender entry", () => {
    const me = waiter(9, { limit: 2 });
    expect(() => stepOf({ view: viewOf({ lock: lockOf(3, ["s9"]) }), me })).toThrow(
      SemaphoreLimitConflictError,
    );
    expect(() => stepOf({ view: viewOf({ lock: lockOf(3) }), me })).toThrow(
      SemaphoreLimitConflictError,
    );
  });
});

describe("a waiter of which the one right ahead has gone unseen", () => {
  const LOOK_AHEAD: Step = { kind: "read entry", entry: contender(6) };
  const goneRightAhead = (count: number, given: Partial<QueueView> = {}): QueueView =>
    viewOf({ waiters: contenders(5, 6, 9), vanished: { count, createIndex: 7n }, ...given });

  goesTo([
    {
      that: "looks whether the next is there, while a slot is free",
      view: goneRightAhead(1),
      step: LOOK_AHEAD,
    },
    {
      that: "does so while none is free",
      view: goneRightAhead(1, { lock: FULL }),
      step: LOOK_AHEAD,
    },
    {
      that: "looks at the lock first",
      view: goneRightAhead(1, { isLockStale: true }),
      step: { kind: "read lock" },
    },
    {
      that: "joins where the next has gone as well, and a slot is free",
      view: goneRightAhead(2),
      step: JOIN,
    },
    {
      that: "looks at one more where the next has gone as well, and none is free",
      view: goneRightAhead(2, { lock: FULL }),
      step: LOOK_AHEAD,
    },
    {
      that: "reads the prefix where three have gone, and no slot is free",
      view: goneRightAhead(3, { lock: FULL }),
      step: { kind: "read prefix" },
    },
    {
      that: "has nobody to look for where it is the first in line by now",
      view: goneRightAhead(1, { waiters: contenders(9), lock: FULL }),
      step: { kind: "watch lock", atMost: 800 },
    },
    {
      that: "does not go by those that were gone further ahead, right ahead of another of its client",
      view: goneRightAhead(2, { waiters: contenders(5, 6, 8, 9) }),
      step: { kind: "watch entry", entry: contender(8), atMost: 200 },
    },
  ]);
});

describe("the first in line, while no slot is free,", () => {
  const front = viewOf({ lock: FULL, waiters: contenders(9, 10) });

  goesTo([
    {
      that: "watches the lock until the holder may have died unseen",
      view: front,
      step: { kind: "watch lock", atMost: 800 },
    },
    {
      that: "watches the lock for what is left of that time",
      view: front,
      later: 799,
      step: { kind: "watch lock", atMost: 1 },
    },
    {
      that: "then checks that the holder is alive",
      view: front,
      later: 800,
      step: { kind: "check holders" },
    },
    {
      that: "goes by the holder that it has not heard of for longest",
      view: viewOf({
        lock: lockOf(2, ["h", "i"]),
        waiters: contenders(9),
        aliveAt: new Map([
          ["h", HEARD],
          ["i", HEARD - 500],
        ]),
      }),
      me: waiter(9, { limit: 2 }),
      step: { kind: "watch lock", atMost: 300 },
    },
    {
      that: "is also one that has only those ahead that have let somebody go first",
      view: viewOf({
        lock: FULL,
        waiters: contenders(8, 9),
        passed: passedUntil(HEARD + 5_000, 8),
      }),
      step: { kind: "watch lock", atMost: 800 },
    },
    {
      that: "does not go by a holder that is known to be dead",
      view: viewOf({
        lock: lockOf(1, ["h", "i"]),
        dead: new Map([["i", 0n]]),
        waiters: contenders(9),
        aliveAt: new Map([
          ["h", HEARD],
          ["i", HEARD - 5_000],
        ]),
      }),
      step: { kind: "watch lock", atMost: 800 },
    },
    {
      that: "checks a holder at once that was never seen alive",
      view: viewOf({
        lock: lockOf(2, ["h", "i"]),
        waiters: contenders(9),
        aliveAt: new Map([["h", HEARD]]),
      }),
      me: waiter(9, { limit: 2 }),
      step: { kind: "check holders" },
    },
  ]);
});

describe("a waiter behind others, while no slot is free,", () => {
  const behind = (...indexes: readonly number[]): QueueView =>
    viewOf({ lock: FULL, waiters: contenders(...indexes, 9) });

  goesTo([
    {
      that: "watches the entry right ahead",
      view: behind(7, 8),
      step: { kind: "watch entry", entry: contender(8), atMost: 200 },
    },
    {
      that: "passes over those that have let somebody go first",
      view: { ...behind(6, 7, 8), passed: passedUntil(HEARD + 1, 6, 8) },
      step: { kind: "watch entry", entry: contender(7), atMost: 200 },
    },
    {
      that: "watches the entry as it was last seen",
      view: viewOf({ lock: FULL, waiters: [contender(8, { modifyIndex: 50n }), contender(9)] }),
      step: { kind: "watch entry", entry: contender(8, { modifyIndex: 50n }), atMost: 200 },
    },
    {
      that: "leaves it to the first in line to look after the holders",
      view: { ...behind(8), aliveAt: new Map([["h", 0]]) },
      step: { kind: "watch entry", entry: contender(8), atMost: 200 },
    },
    {
      that: "looks at the lock alone where that is not known any more",
      view: { ...behind(8), isLockStale: true },
      later: 200,
      step: { kind: "read lock" },
    },
    {
      that: "passes nobody, for however long they have let slots go by",
      view: { ...behind(8), idleFront: { createIndex: 8n, since: 0 } },
      step: { kind: "watch entry", entry: contender(8), atMost: 200 },
    },
  ]);
});

describe("a waiter behind others that has heard nothing for a while", () => {
  const quiet = viewOf({ lock: FULL, waiters: contenders(8, 9) });
  const watchFor = (atMost: number): Step => ({ kind: "watch entry", entry: contender(8), atMost });

  // How many are ahead, how long it had waited for the last of them at its last look, and how much
  // later it looks again.
  test.each([
    [1, 0, 200],
    [1, 100, 200],
    [1, 101, 202],
    [1, 149, 298],
    [1, 151, 300],
    [1, 60_000, 300],
    [2, 0, 200],
    [2, 224, 448],
    [2, 226, 450],
    [9, 60_000, 1_500],
    [10, 0, 200],
    [10, 749, 1_498],
    [10, 751, 1_500],
    [11, 0, 220],
    [20, 60_000, 1_500],
    [21, 60_000, 1_800],
    [100, 0, 2_000],
    [100, 1_001, 2_002],
    [100, 12_749, 25_498],
    [100, 60_000, 25_500],
    [215, 600_000, 60_000],
    [300, 0, 6_000],
    [300, 600_000, 60_000],
    [3_001, 0, 60_000],
  ])(
    "%d of them, and had waited %d ms then, looks again %d ms later, and after the holders",
    (ahead, waited, after) => {
      const waiters = contenders(...Array.from({ length: ahead + 1 }, (_, i) => i + 1));
      const given = { view: { ...quiet, waiters }, me: waiter(ahead + 1), target: ahead };
      const stepAfter = (later: number): Step =>
        stepOf({ ...given, waited: waited + later, later });
      expect(stepAfter(0)).toEqual({ kind: "watch entry", entry: contender(ahead), atMost: after });
      expect(stepAfter(after - 1)).toMatchObject({ kind: "watch entry", atMost: 1 });
      expect(stepAfter(after)).toEqual({ kind: "check holders" });
    },
  );

  goesTo([
    {
      that: "has not looked before it waited for the one right ahead: not yet",
      view: quiet,
      waited: 199,
      later: 5_000,
      step: watchFor(1),
    },
    {
      that: "has not looked before it waited for the one right ahead: now",
      view: quiet,
      waited: 200,
      later: 5_000,
      step: { kind: "check holders" },
    },
    {
      that: "begins anew where it has waited for another so far",
      view: quiet,
      target: 7,
      waited: 5_000,
      later: 5_000,
      step: watchFor(200),
    },
    {
      that: "does not look as long as it hears of the lock by other ways",
      view: { ...quiet, lockAt: HEARD + 4_900 },
      waited: 5_000,
      later: 5_000,
      step: watchFor(200),
    },
    {
      that: "looks at the lock alone while a slot is free",
      view: { ...quiet, lock: lockOf(1) },
      waited: 200,
      later: 200,
      step: { kind: "read lock" },
    },
  ]);
});

describe("a waiter behind some that do not move, while newcomers hold,", () => {
  /** The reading has not shown the holder, the lock was last seen so much later, and no check is due. */
  const overtaken = (lookedAfter: number, given: Partial<QueueView> = {}): QueueView =>
    viewOf({
      lock: FULL,
      waiters: contenders(7, 8, 9),
      read: entriesOf("s7", "s8", "s9"),
      lockAt: HEARD + lookedAfter,
      aliveAt: new Map([["h", HEARD + 60_000]]),
      ...given,
    });
  const looks: Step = { kind: "watch entry", entry: contender(8), atMost: 450 };

  goesTo([
    {
      that: "goes by what it has read for a second",
      view: overtaken(999),
      later: 999,
      waited: 999,
      step: looks,
    },
    {
      that: "then reads the prefix again",
      view: overtaken(1_000),
      later: 1_000,
      waited: 1_000,
      step: { kind: "read prefix" },
    },
    {
      that: "reads it rather than only the lock",
      view: overtaken(0),
      later: 2_000,
      waited: 2_000,
      step: { kind: "read prefix" },
    },
    {
      that: "reads it after twice as long each time: not yet",
      view: overtaken(5_999),
      later: 5_999,
      waited: 6_000 + 5_999,
      step: looks,
    },
    {
      that: "reads it after twice as long each time: now",
      view: overtaken(6_000),
      later: 6_000,
      waited: 6_000 + 6_000,
      step: { kind: "read prefix" },
    },
    {
      that: "reads it after a second at the soonest, however little it has waited before: not yet",
      view: overtaken(999),
      later: 999,
      waited: 999 + 999,
      step: looks,
    },
    {
      that: "reads it after a second at the soonest, however little it has waited before: now",
      view: overtaken(1_000),
      later: 1_000,
      waited: 1_000 + 999,
      step: { kind: "read prefix" },
    },
    {
      that: "reads it after two seconds where it has waited for another so far",
      view: overtaken(2_000),
      target: 7,
      later: 2_000,
      waited: 60_000,
      step: { kind: "read prefix" },
    },
    {
      that: "reads it where one of the holders is a newcomer",
      view: overtaken(2_000, {
        lock: lockOf(2, ["s4", "h"]),
        read: entriesOf("s4", "s7", "s8", "s9"),
        aliveAt: new Map(["s4", "h"].map((session) => [session, HEARD + 60_000])),
      }),
      me: waiter(9, { limit: 2 }),
      later: 2_000,
      waited: 2_000,
      step: { kind: "read prefix" },
    },
    {
      that: "reads it also while a slot is free",
      view: overtaken(2_000, { lock: lockOf(2, ["h"]) }),
      me: waiter(9, { limit: 2 }),
      later: 2_000,
      waited: 2_000,
      step: { kind: "read prefix" },
    },
    {
      that: "has no reason to read it where the reading has shown those that hold",
      view: overtaken(5_000, { read: entriesOf("h", "s7", "s8", "s9") }),
      later: 5_000,
      waited: 5_000,
      step: looks,
    },
    {
      that: "has no reason to read it where one that it has read of has become a holder",
      view: overtaken(5_000, {
        lock: lockOf(1, ["s6"], 110n),
        read: entriesOf("s6"),
        aliveAt: new Map([["s6", HEARD + 60_000]]),
      }),
      later: 5_000,
      waited: 5_000,
      step: looks,
    },
    {
      that: "has no reason to read it right behind the first in line, of whose moves it hears",
      view: overtaken(5_000, { waiters: contenders(8, 9) }),
      later: 5_000,
      waited: 5_000,
      step: { ...looks, atMost: 300 },
    },
    {
      that: "has no reason to read it either where the others have let somebody go first",
      view: overtaken(5_000, { passed: passedUntil(HEARD + 60_000, 7) }),
      later: 5_000,
      waited: 5_000,
      step: { ...looks, atMost: 300 },
    },
  ]);
});

describe("a waiter behind one that does not take a free slot", () => {
  /** The slot has been free since a second before all of this was heard. */
  const IDLE_SINCE = HEARD - 1_000;
  const idle = (...ahead: readonly number[]): QueueView =>
    viewOf({
      waiters: contenders(...ahead, 9),
      idleFront: { createIndex: BigInt(ahead[0] ?? 0), since: IDLE_SINCE },
    });
  const since = (at: number, front = 8): Pick<QueueView, "idleFront"> => ({
    idleFront: { createIndex: BigInt(front), since: at },
  });
  /** The prefix and its lock were read after all that. */
  const freshly = (view: QueueView): QueueView => ({
    ...view,
    ...{ readAt: HEARD + 60_000, lockAt: HEARD + 60_000 },
  });

  goesTo([
    {
      that: "leaves it the slot for a quarter of a second",
      view: freshly(idle(8)),
      later: 249 - 1_000,
      step: { kind: "watch entry", entry: contender(8), atMost: 1 },
    },
    {
      that: "then passes it",
      view: freshly(idle(8)),
      later: 250 - 1_000,
      step: { kind: "join", passing: contenders(8) },
    },
    {
      that: "is twice as patient behind two",
      view: freshly(idle(7, 8)),
      later: 499 - 1_000,
      step: { kind: "watch entry", entry: contender(8), atMost: 1 },
    },
    {
      that: "passes both of them",
      view: freshly(idle(7, 8)),
      later: 500 - 1_000,
      step: { kind: "join", passing: contenders(7, 8) },
    },
    {
      that: "is three times as patient behind four",
      view: freshly(idle(5, 6, 7, 8)),
      later: 749 - 1_000,
      step: { kind: "watch entry", entry: contender(8), atMost: 1 },
    },
    {
      that: "passes all four of them",
      view: freshly(idle(5, 6, 7, 8)),
      later: 750 - 1_000,
      step: { kind: "join", passing: contenders(5, 6, 7, 8) },
    },
    {
      that: "counts only those for whom there is no slot: not yet",
      view: freshly({ ...idle(6, 7, 8), lock: lockOf(2) }),
      me: waiter(9, { limit: 2 }),
      later: 499 - 1_000,
      step: { kind: "watch entry", entry: contender(8), atMost: 1 },
    },
    {
      that: "counts only those for whom there is no slot: now",
      view: freshly({ ...idle(7, 8), lock: lockOf(2) }),
      me: waiter(9, { limit: 2 }),
      later: 250 - 1_000,
      step: { kind: "join", passing: contenders(7, 8) },
    },
    {
      that: "leaves those their slots as well for whom there is one",
      view: freshly({ ...idle(7, 8), lock: lockOf(3) }),
      me: waiter(9, { limit: 3 }),
      later: 249 - 1_000,
      step: { kind: "watch entry", entry: contender(8), atMost: 1 },
    },
    {
      that: "then joins before them",
      view: freshly({ ...idle(7, 8), lock: lockOf(3) }),
      me: waiter(9, { limit: 3 }),
      later: 250 - 1_000,
      step: { kind: "join", passing: contenders(7, 8) },
    },
    {
      that: "does not name those that were passed before",
      view: freshly({ ...idle(8), waiters: contenders(7, 8, 9), passed: passedUntil(HEARD, 7) }),
      later: 250 - 1_000,
      step: { kind: "join", passing: contenders(8) },
    },
    {
      that: "names those as well that are waited for again since",
      view: freshly({ ...idle(7, 8), passed: passedUntil(HEARD - 500, 7) }),
      later: 500 - 1_000,
      step: { kind: "join", passing: contenders(7, 8) },
    },
    {
      that: "passes it where it has let the slot go by",
      view: freshly(idle(8)),
      step: { kind: "join", passing: contenders(8) },
    },
    {
      that: "passes it behind others that were passed before",
      view: freshly({
        ...idle(8),
        ...{ waiters: contenders(7, 8, 9), passed: passedUntil(HEARD + 1, 7) },
      }),
      step: { kind: "join", passing: contenders(8) },
    },
    {
      that: "gives 50 ms more to each from the twentieth on: not yet",
      view: freshly(idle(...Array.from({ length: 32 }, (_, i) => i - 23))),
      later: 1_499 + 550 - 1_000,
      step: { kind: "watch entry", entry: contender(8), atMost: 1 },
    },
    {
      that: "gives 50 ms more to each from the twentieth on: now",
      view: freshly(idle(...Array.from({ length: 32 }, (_, i) => i - 23))),
      later: 1_500 + 550 - 1_000,
      step: { kind: "join", passing: contenders(...Array.from({ length: 32 }, (_, i) => i - 23)) },
    },
    {
      that: "gives it four times as long as it takes itself to read the prefix: not yet",
      view: freshly({ ...idle(8), readTook: 100 }),
      later: 649 - 1_000,
      step: { kind: "watch entry", entry: contender(8), atMost: 1 },
    },
    {
      that: "gives it four times as long as it takes itself to read the prefix: now",
      view: freshly({ ...idle(8), readTook: 100 }),
      later: 650 - 1_000,
      step: { kind: "join", passing: contenders(8) },
    },
    {
      that: "leaves it the time to notice that the holder is dead: not yet",
      view: freshly({ ...idle(8), lock: FULL, dead: new Map([["h", 0n]]) }),
      later: 1_049 - 1_000,
      step: { kind: "watch entry", entry: contender(8), atMost: 1 },
    },
    {
      that: "leaves it the time to notice that the holder is dead: now",
      view: freshly({ ...idle(8), lock: FULL, dead: new Map([["h", 0n]]) }),
      later: 1_050 - 1_000,
      step: { kind: "join", passing: contenders(8) },
    },
    {
      that: "leaves it no time for that where the lock shows a free slot all the same",
      view: freshly({ ...idle(7, 8), lock: lockOf(2, ["h"]), dead: new Map([["h", 0n]]) }),
      me: waiter(9, { limit: 2 }),
      later: 250 - 1_000,
      step: { kind: "join", passing: contenders(7, 8) },
    },
    {
      that: "leaves two of them no more time for that than one: not yet",
      view: freshly({ ...idle(7, 8), lock: FULL, dead: new Map([["h", 0n]]) }),
      later: 1_299 - 1_000,
      step: { kind: "watch entry", entry: contender(8), atMost: 1 },
    },
    {
      that: "leaves two of them no more time for that than one: now",
      view: freshly({ ...idle(7, 8), lock: FULL, dead: new Map([["h", 0n]]) }),
      later: 1_300 - 1_000,
      step: { kind: "join", passing: contenders(7, 8) },
    },
    {
      that: "looks at the lock once patience is over",
      view: { ...idle(8), lockAt: IDLE_SINCE + 249, readAt: IDLE_SINCE + 249 },
      me: waiter(9, { enteredAt: 0 }),
      step: { kind: "read lock" },
    },
    {
      that: "looks at it also where the prefix was asked for when patience was over",
      view: { ...idle(8), lockAt: IDLE_SINCE + 249, readAt: IDLE_SINCE + 250 },
      me: waiter(9, { enteredAt: 0 }),
      step: { kind: "read lock" },
    },
    {
      that: "reads the prefix once, after that, before it passes anybody",
      view: { ...idle(8), lockAt: IDLE_SINCE + 250, readAt: IDLE_SINCE + 249 },
      me: waiter(9, { enteredAt: 0 }),
      step: { kind: "read prefix" },
    },
    {
      that: "does not read it again where that was asked for when patience was over",
      view: { ...idle(8), lockAt: IDLE_SINCE + 250, readAt: IDLE_SINCE + 250 },
      me: waiter(9, { enteredAt: 0 }),
      step: { kind: "join", passing: contenders(8) },
    },
    {
      that: "reads the prefix again at once where one is ahead, however short ago that was read",
      view: { ...idle(8), lockAt: HEARD + 250, readAt: HEARD + 249, ...since(HEARD) },
      me: waiter(9, { enteredAt: 0 }),
      later: 250,
      step: { kind: "read prefix" },
    },
    {
      that: "reads it again where several are ahead as well",
      view: { ...idle(6, 7, 8), lockAt: HEARD + 1_000, readAt: HEARD + 600, ...since(HEARD, 6) },
      me: waiter(9, { enteredAt: 0 }),
      later: 650,
      step: { kind: "read prefix" },
    },
    {
      that: "watches its entry no longer than for the usual time",
      view: { ...idle(8), idleFront: { createIndex: 8n, since: HEARD } },
      step: { kind: "watch entry", entry: contender(8), atMost: 200 },
    },
    {
      that: "watches its entry until patience is over, where that is sooner",
      view: { ...idle(8), idleFront: { createIndex: 8n, since: HEARD - 100 } },
      step: { kind: "watch entry", entry: contender(8), atMost: 150 },
    },
    {
      that: "does not pass it while nobody knows since when the slot is free",
      view: { ...idle(8), idleFront: undefined },
      later: 60_000,
      step: { kind: "watch entry", entry: contender(8), atMost: 200 },
    },
    {
      that: "does not pass it for what is known of one that nobody waits for",
      view: {
        ...freshly(idle(7, 8)),
        ...{ passed: passedUntil(HEARD + 60_000, 7), lockAt: HEARD },
      },
      step: { kind: "watch entry", entry: contender(8), atMost: 200 },
    },
    {
      that: "does not pass those behind one that is waited for again, for what is known of them",
      view: { ...freshly(idle(7, 8)), ...{ idleFront: idle(8).idleFront, lockAt: HEARD } },
      step: { kind: "watch entry", entry: contender(8), atMost: 200 },
    },
    {
      that: "has no reason to check the holders",
      view: viewOf({ lock: lockOf(2, ["h"]), waiters: contenders(8, 9) }),
      me: waiter(9, { limit: 2 }),
      later: 60_000,
      step: { kind: "watch entry", entry: contender(8), atMost: 200 },
    },
  ]);
});

describe("any step", () => {
  const anyView = fc
    .record({
      limit: fc.integer({ min: 1, max: 4 }),
      isWritten: fc.boolean(),
      holders: fc.subarray(["h1", "h2", "h3", "h4", "s5"]),
      dead: fc.subarray(["h1", "h2", "h3", "h4"]),
      waiters: fc.subarray([1, 2, 3, 4, 5, 6, 7]),
      passed: fc.subarray([1, 2, 3, 4]),
      /** Those that were passed are waited for again from now on, or not yet. */
      passUntil: fc.constantFrom(HEARD, HEARD + 1),
      isLockStale: fc.boolean(),
      joinIndex: fc.constantFrom(0n, 1_000n),
      hasIdleFront: fc.boolean(),
      known: fc.subarray(["h1", "h2", "h3", "h4"]),
      ages: fc.array(fc.integer({ min: 0, max: 6_000 }), { minLength: 5, maxLength: 5 }),
    })
    .map(({ limit, isWritten, holders, dead, waiters, passed, passUntil, ages, ...given }) => {
      const [readAge = 0, aliveAge = 0, idleAge = 0, lookAge = 0] = ages;
      const lock = isWritten ? lockOf(limit, holders) : lockOf(undefined, [], 0n);
      const [front] = waiters.filter((it) => passUntil <= HEARD || !passed.includes(it));
      const isFull = lock.holders.size - dead.filter((it) => lock.holders.has(it)).length >= limit;
      const view = viewOf({
        ...{
          lock,
          isLockStale: given.isLockStale,
          joinIndex: given.joinIndex,
          passed: passedUntil(passUntil, ...passed),
        },
        readAt: HEARD - readAge,
        ...{ lockAt: HEARD - lookAge, read: entriesOf(...given.known, "s5") },
        dead: new Map(dead.filter((it) => lock.holders.has(it)).map((it) => [it, 0n])),
        waiters: contenders(...waiters).filter(({ session }) => !lock.holders.has(session)),
        idleFront:
          front === undefined || (isFull && !given.hasIdleFront)
            ? undefined
            : { createIndex: BigInt(front), since: HEARD - idleAge },
        aliveAt: new Map([...lock.holders].map((session) => [session, HEARD - aliveAge])),
      });
      return { view, limit };
    });
  const ageOfEntry = fc.integer({ min: 0, max: 6_000 });
  const anyTarget = fc.record({
    createIndex: fc.constantFrom(-1n, 1n, 2n, 3n, 4n),
    since: fc.integer({ min: HEARD - 6_000, max: HEARD }),
  });

  test("that waits, waits for some time, and not for ever", () => {
    fc.assert(
      fc.property(anyView, ageOfEntry, anyTarget, ({ view, limit }, age, target) => {
        const me = waiter(5, { limit, enteredAt: HEARD - age });
        const step = nextStep(view, me, target, HEARD);
        if (step.kind !== "watch lock" && step.kind !== "watch entry") return;
        expect(step.atMost).toBeGreaterThan(0);
        // The last of five looks every 1.2 s at the latest.
        expect(step.atMost).toBeLessThanOrEqual(1_200);
      }),
    );
  });

  test("that asks for something is not to be taken again once that is answered", () => {
    fc.assert(
      fc.property(anyView, ageOfEntry, anyTarget, ({ view, limit }, age, target) => {
        const me = waiter(5, { limit, enteredAt: HEARD - age });
        const stepFor = (known: QueueView) => nextStep(known, me, target, HEARD).kind;
        const looked = { ...view, lockAt: HEARD, isLockStale: false };
        const read = { ...looked, readAt: HEARD };
        // A check reads the lock as well.
        const checked = afterCheck({ ...view, lockAt: HEARD }, view.lock.holders, HEARD);
        expect(["read lock", "read lock after join"]).not.toContain(stepFor(looked));
        expect(stepFor(read)).not.toBe("read lock");
        expect(stepFor(read)).not.toBe("read prefix");
        expect(stepFor(checked)).not.toBe("check holders");
      }),
    );
  });

  test("that takes a slot takes one that is free, and passes those it names and no others", () => {
    fc.assert(
      fc.property(anyView, ageOfEntry, anyTarget, ({ view, limit }, age, target) => {
        const me = waiter(5, { limit, enteredAt: HEARD - age });
        const step = nextStep(view, me, target, HEARD);
        if (step.kind !== "join") return;
        const free = limit - view.lock.holders.size + view.dead.size;
        const ahead = view.waiters.filter(
          ({ createIndex }) =>
            createIndex < 5n && (view.passed.get(createIndex)?.until ?? 0) <= HEARD,
        );
        expect(free).toBeGreaterThan(0);
        expect(step.passing).toEqual(ahead);
      }),
    );
  });
});

describe("a newcomer", () => {
  const me = waiter(9, { limit: 2 });
  const nobody = { lock: lockOf(2, ["h"]) };

  test.each([
    ["a slot is free and nobody waits", nobody, 0],
    ["nobody has written a lock yet", { lock: lockOf(undefined, [], 0n) }, 0],
    ["a dead holder has a slot", { lock: lockOf(2, ["h", "i"]), dead: new Map([["i", 0n]]) }, 0],
    [
      "those that wait have let somebody go first",
      { ...nobody, waiters: contenders(7, 8), passed: passedUntil(HEARD + 1, 7, 8) },
      0,
    ],
    ["the reading is just not too old", nobody, 249],
  ])("may take a slot at once where %s", (_, given, later) => {
    expect(mayJoinAtOnce(viewOf(given), me, HEARD + later)).toBe(true);
  });

  test.each([
    ["no slot is free", { lock: lockOf(2, ["h", "i"]) }, 0],
    ["a copy of its swap has put it into the lock", { lock: lockOf(2, ["s9"]) }, 0],
    ["more hold than the limit allows", { lock: lockOf(2, ["h", "i", "j"]) }, 0],
    ["the limit is another", { lock: lockOf(3, ["h"]) }, 0],
    ["somebody waits", { ...nobody, waiters: contenders(8) }, 0],
    [
      "somebody waits behind one that has let somebody go first",
      { ...nobody, waiters: contenders(7, 8), passed: passedUntil(HEARD + 1, 7) },
      0,
    ],
    [
      "one that has let somebody go first is waited for again",
      { ...nobody, waiters: contenders(8), passed: passedUntil(HEARD + 1, 8) },
      1,
    ],
    ["the lock may have changed", { ...nobody, isLockStale: true }, 0],
    ["the reading is too old", nobody, 250],
    [
      "the lock was heard of since, but the prefix was not read",
      { ...nobody, lockAt: HEARD + 250 },
      250,
    ],
  ])("must enter the queue where %s", (_, given, later) => {
    expect(mayJoinAtOnce(viewOf(given), me, HEARD + later)).toBe(false);
  });
});

describe("a slot that comes free", () => {
  const me = waiter(9, { limit: 2 });

  test.each([
    ["the first in line", { lock: lockOf(2, ["h"]), waiters: contenders(9, 10) }],
    [
      "the first in line, however old the reading, since its entry",
      { lock: lockOf(2, ["h"]), waiters: contenders(9), isLockStale: true },
    ],
    [
      "the first in line right after the turn of another client's waiter",
      {
        lock: lockOf(2, ["h"]),
        waiters: contenders(9),
        lastTurn: { createIndex: 8n, at: HEARD - 249 },
      },
    ],
  ])("is for %s", (_, given) => {
    expect(isNextInLine(viewOf(given), me, HEARD)).toBe(true);
  });

  test.each([
    ["one behind another", { lock: lockOf(2, ["h"]), waiters: contenders(8, 9) }],
    ["one behind another where two are free", { lock: lockOf(2), waiters: contenders(8, 9) }],
    [
      "one behind another that has let somebody go first, and may take the slot all the same",
      {
        lock: lockOf(2, ["h"]),
        waiters: contenders(8, 9),
        passed: passedUntil(Infinity, 8),
      },
    ],
    [
      "one ahead of whom somebody may have let the last holder go first",
      {
        lock: lockOf(2, ["h"]),
        waiters: contenders(9),
        lastTurn: { createIndex: 8n, at: HEARD - 250 },
      },
    ],
    ["one that does not wait", { lock: lockOf(2, ["h"]), waiters: contenders(8) }],
    ["anybody while none is free", { lock: lockOf(2, ["h", "i"]), waiters: contenders(9) }],
    ["one with another limit", { lock: lockOf(3, ["h"]), waiters: contenders(9) }],
    ["anybody while there is no lock", { lock: lockOf(undefined, [], 0n), waiters: contenders(9) }],
    [
      "one that has entered since the reading",
      { lock: lockOf(2, ["h"]), waiters: contenders(9), readAt: HEARD - 1 },
    ],
  ])("is not for %s", (_, given) => {
    expect(isNextInLine(viewOf(given), me, HEARD)).toBe(false);
  });
});

describe("a holder's slot", () => {
  const me = { ...waiter(9, { limit: 2 }), session: "h" };
  const nobody = { lock: lockOf(2, ["h", "i"]) };

  test.each([
    ["nobody waits", nobody, 0],
    ["fewer hold than there are slots", { lock: lockOf(2, ["h"]) }, 0],
    [
      "those that wait have let somebody go first",
      { ...nobody, waiters: contenders(7, 8), passed: passedUntil(HEARD + 1, 7, 8) },
      0,
    ],
  ])("may be passed on where %s", (_, given, later) => {
    expect(mayPassOn(viewOf(given), me, HEARD + later)).toBe(true);
  });

  test.each([
    ["somebody waits", { ...nobody, waiters: contenders(8) }, 0],
    ["it holds no longer", { lock: lockOf(2, ["i"]) }, 0],
    ["it counts as dead", { ...nobody, dead: new Map([["h", 0n]]) }, 0],
    ["more hold than the limit allows", { lock: lockOf(2, ["h", "i", "j"]) }, 0],
    ["the limit is another", { lock: lockOf(3, ["h"]) }, 0],
    ["the lock may have changed", { ...nobody, isLockStale: true }, 0],
    ["the reading is too old", nobody, 250],
  ])("is given back where %s", (_, given, later) => {
    expect(mayPassOn(viewOf(given), me, HEARD + later)).toBe(false);
  });

  test("is given back, with an adopted limit, until there are fewer holders than that", () => {
    const adopting = { ...me, adoptsLimit: true };
    const hold = (limit: number, ...holders: string[]) =>
      mayPassOn(viewOf({ lock: lockOf(limit, holders) }), adopting, HEARD);
    expect(hold(3, "h", "i", "j")).toBe(true);
    expect(hold(1, "h", "i")).toBe(false);
    expect(hold(1, "h")).toBe(true);
  });
});

describe("a waiter that adopts the limit", () => {
  const me = waiter(9, { limit: 1, adoptsLimit: true });
  const adopts = (lockLimit: number | undefined): number => limitFor(me, lockLimit);

  test("goes by that in the lock, and by its own where there is none", () => {
    expect([adopts(3), adopts(undefined), adopts(0), adopts(-1)]).toEqual([3, 1, 1, 1]);
    expect(limitFor(waiter(9, { limit: 1 }), 3)).toBe(1);
  });

  test("has no conflict, unless the lock has a limit that is none", () => {
    expect(() => {
      requireSameLimit({ lock: lockOf(3) }, me);
    }).not.toThrow();
    expect(() => {
      requireSameLimit({ lock: lockOf(0) }, me);
    }).toThrow("semaphore limit conflict (lock: 0, local: 1)");
  });

  goesTo([
    {
      that: "joins where that allows it",
      me,
      view: viewOf({ lock: lockOf(2, ["h"]), waiters: contenders(9) }),
      step: JOIN,
    },
    {
      that: "waits where more hold than that allows",
      me,
      view: viewOf({ lock: lockOf(2, ["h", "i", "j"]), waiters: contenders(9) }),
      step: { kind: "watch lock", atMost: 800 },
    },
  ]);

  test("has a slot that comes free as the next in line", () => {
    const next = (lock: QueueView["lock"]) =>
      isNextInLine(viewOf({ lock, waiters: contenders(9) }), me, HEARD);
    expect(next(lockOf(3, ["h", "i"]))).toBe(true);
    expect(next(lockOf(2, ["h", "i"]))).toBe(false);
  });
});

describe("the limit of a prefix", () => {
  const check = (limit: number | undefined) => () => {
    requireSameLimit({ lock: lockOf(limit) }, waiter(9, { limit: 2 }));
  };

  test("is no conflict where it is the same, or not written yet", () => {
    expect(check(2)).not.toThrow();
    expect(check(undefined)).not.toThrow();
  });

  test("is a conflict where it is another", () => {
    expect(check(1)).toThrow("semaphore limit conflict (lock: 1, local: 2)");
    expect(check(3)).toThrow("semaphore limit conflict (lock: 3, local: 2)");
  });

  test("is a conflict where the lock says nothing of one, as in Go", () => {
    expect(check(0)).toThrow("semaphore limit conflict (lock: 0, local: 2)");
  });

  test("is told by both sides of a conflict", () => {
    expect(new SemaphoreLimitConflictError(1, 2)).toMatchObject({
      code: "SEMAPHORE_LIMIT_CONFLICT",
      lockLimit: 1,
      localLimit: 2,
    });
  });
});
