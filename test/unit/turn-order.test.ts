import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";

import {
  freeSlots,
  TurnOrder,
  waitersOf,
  type QueueSnapshot,
} from "../../src/protocol/turn-order.js";
import { contender } from "./fake-store.js";

let order: TurnOrder;
let now: number;

beforeEach(() => {
  now = 1_000;
  order = new TurnOrder(() => now);
});

/** Contenders in the order of their arrival, of whom some hold a slot. */
function queue(contenders: string, holders = "", limit = 1): QueueSnapshot {
  return {
    limit,
    holders: new Set(holders),
    // The same session came with the same index wherever it is seen.
    contenders: Array.from(contenders, (name) => contender(name, BigInt(name.charCodeAt(0)))),
  };
}

/** How many have to be let go before it. */
const before = (snapshot: QueueSnapshot, session: string): number =>
  order.claimantsBefore(snapshot, session).length;

const upNext = (snapshot: QueueSnapshot, free: number): string =>
  [...order.upNext(snapshot, free)].join("");

describe("a queue", () => {
  test.each([
    ["has nobody waiting who holds", "abcd", "ac", "bd"],
    ["has everybody waiting where nobody holds", "ab", "", "ab"],
    ["does not count holders that do not contend", "b", "x", "b"],
  ])("%s", (_, contenders, holders, waiters) => {
    const found = waitersOf(queue(contenders, holders));
    expect(found.map(({ session }) => session).join("")).toBe(waiters);
  });

  test.each([
    ["as the lock says", { limit: 3, holders: new Set("a") }, 2],
    ["as we say where there is no lock", { limit: undefined, holders: new Set("") }, 5],
    ["none where there are too many holders", { limit: 1, holders: new Set("ab") }, 0],
  ])("has so many free slots, %s", (_, given, free) => {
    expect(freeSlots({ contenders: [], ...given }, 5)).toBe(free);
  });
});

describe("whose turn it is", () => {
  test.each([
    [0, ""],
    [1, "b"],
    [2, "bc"],
    [9, "bcd"],
  ])("goes by arrival: with %d free slots, %s", (free, expected) => {
    expect(upNext(queue("abcd", "a"), free)).toBe(expected);
  });

  test("counts who has to be let go first", () => {
    const snapshot = queue("abcd", "a");
    expect(order.claims(snapshot)).toBe(3);
    expect(["b", "c", "d"].map((session) => before(snapshot, session))).toEqual([0, 1, 2]);
    expect(before(snapshot, "a newcomer")).toBe(3);
  });
});

/** A slot that was free for so long has been let go by whoever was first. */
const LET_GO_BY_MS = 150;

describe("one past whom somebody else has gone after a while", () => {
  beforeEach(() => {
    order.observe(queue("bcd"));
    now += LET_GO_BY_MS;
    order.observe(queue("bcd", "d"));
  });

  test("has had its turn: it may still try, but nobody waits for it", () => {
    expect(upNext(queue("bc"), 1)).toBe("bc");
    expect(order.claims(queue("bc"))).toBe(1);
    expect(before(queue("bc"), "c")).toBe(0);
  });

  test("still has none where no slot is free", () => {
    expect(upNext(queue("bcd", "d"), 0)).toBe("");
  });

  test("is another each time", () => {
    order.observe(queue("bce"));
    now += LET_GO_BY_MS;
    order.observe(queue("bce", "e"));
    expect(upNext(queue("bcf"), 1)).toBe("bcf");
    expect(order.claims(queue("bc"))).toBe(0);
  });

  test("comes in again as everybody else does", () => {
    order.observe(queue("c"));
    const again = { ...queue("c"), contenders: [contender("c", 3n), contender("b", 9n)] };
    order.observe(again);
    expect(order.claims(again)).toBe(2);
    expect(upNext(again, 1)).toBe("c");
  });

  test("begins anew where nobody has seen that it was away", () => {
    const again = { ...queue("c"), contenders: [contender("c", 99n), contender("b", 100n)] };
    order.observe(again);
    expect(order.claims(again)).toBe(2);
  });

  test("has its turn again after it has had a slot", () => {
    order.observe(queue("bc", "b"));
    order.observe(queue("bc"));
    expect(order.claims(queue("bc"))).toBe(2);
  });
});

describe("one that has let a slot go by", () => {
  const snapshot = queue("abc");

  test("is waited for again after five seconds: it may just have been slow", () => {
    order.pass(snapshot, 1);
    now += 4_999;
    expect(order.claims(snapshot)).toBe(2);
    expect(upNext(snapshot, 1)).toBe("ab");
    now += 1;
    expect(order.claims(snapshot)).toBe(3);
    expect(before(snapshot, "b")).toBe(1);
    expect(upNext(snapshot, 1)).toBe("a");
  });

  test("is waited for after twice as long each time it does so again", () => {
    for (const ms of [5_000, 10_000, 20_000]) {
      order.pass(snapshot, 1);
      now += ms - 1;
      expect(upNext(snapshot, 1)).toBe("ab");
      now += 1;
      expect(upNext(snapshot, 1)).toBe("a");
    }
  });

  test("begins anew where it comes again", () => {
    order.pass(snapshot, 1);
    now += 5_000;
    order.pass(snapshot, 1);
    order.observe(queue("bc"));
    order.observe(snapshot);
    order.pass(snapshot, 1);
    now += 5_000;
    expect(upNext(snapshot, 1)).toBe("a");
  });

  test("is not the one to be passed, nor the one past whom somebody goes", () => {
    order.observe(snapshot);
    order.pass(snapshot, 1);
    now += LET_GO_BY_MS;
    order.observe(queue("abc", "c"));
    expect(order.claims(queue("abc", "c"))).toBe(0);
  });
});

test("the clock is that of the process where none is given", () => {
  const turns = new TurnOrder();
  turns.pass(queue("ab"), 1);
  expect(turns.claims(queue("ab"))).toBe(1);
});

describe("one past whom nobody has gone keeps its turn", () => {
  test.each<[string, readonly QueueSnapshot[]]>([
    ["where a slot goes to the first", [queue("abc", "a"), queue("bc", "b")]],
    ["where who came before it leaves", [queue("abc", "x"), queue("bc", "x")]],
    ["where a holder is seen for the first time", [queue("bcd", "d")]],
    ["where a holder stays one", [queue("bcd", "d"), queue("bcd", "d")]],
    ["where a holder is not alive", [queue("bc"), queue("bc", "z")]],
    ["where there is a slot for each", [queue("bc", "", 2), queue("bc", "c", 2)]],
    ["where nobody had seen a free slot", [queue("abc", "a"), queue("bc", "c")]],
  ])("%s", (_, snapshots) => {
    for (const snapshot of snapshots) {
      now += LET_GO_BY_MS;
      order.observe(snapshot);
    }
    const last = snapshots.at(-1) ?? queue("");
    expect(order.claims(last)).toBe(waitersOf(last).length);
  });
});

test("one who was only beaten to it keeps its turn", () => {
  order.observe(queue("abc", "a"));
  now += LET_GO_BY_MS;
  order.observe(queue("bc"));
  now += LET_GO_BY_MS - 1;
  // A client that knows no order takes the slot.
  order.observe(queue("bc", "c"));
  expect(order.claims(queue("bc", "c"))).toBe(1);
  order.observe(queue("bcd"));
  expect(upNext(queue("bcd"), 1)).toBe("b");
});

test("each slot has its own time in which to be let go by", () => {
  order.observe(queue("bcd", "", 2));
  now += LET_GO_BY_MS;
  order.observe(queue("bcd", "b", 2));
  now += LET_GO_BY_MS - 1;
  order.observe(queue("bcd", "bd", 2));
  expect(order.claims(queue("bcd", "bd", 2))).toBe(1);
});

describe("one that was given up, as it seemed to let a free slot go by,", () => {
  const snapshot = queue("abcd");

  beforeEach(() => {
    order.observe(snapshot);
    order.pass(snapshot, 2);
    expect(order.claims(snapshot)).toBe(2);
  });

  test("has missed its turn once somebody behind it has the slot", () => {
    order.observe(queue("abcd", "c"));
    order.observe(queue("abd"));
    expect(upNext(queue("abd"), 1)).toBe("abd");
  });

  test.each([
    ["has taken it", queue("abcd", "a"), queue("bcd")],
    ["has given up", queue("bcd"), queue("bcd")],
  ])("keeps its turn where one before it %s: word of that was slow", (_, then, later) => {
    order.observe(then);
    order.observe(later);
    expect(order.claims(later)).toBe(3);
    expect(upNext(later, 1)).toBe("b");
  });

  test("is given up until something happens", () => {
    order.observe(snapshot);
    order.observe({ ...snapshot, contenders: [...snapshot.contenders, contender("e", 200n)] });
    expect(order.claims(snapshot)).toBe(2);
  });

  test("has missed as much as before where word was slow", () => {
    order.observe(queue("abcd", "c"));
    now += 5_000;
    order.pass(queue("abd"), 2);
    order.observe(queue("abd", "a"));
    expect(order.claims(queue("b"))).toBe(1);
    // This is the second time, not the third.
    order.pass(queue("bd"), 1);
    now += 10_000;
    expect(order.claims(queue("b"))).toBe(1);
  });
});

describe("who lets a free slot stay free", () => {
  test("has had its turn, one after the other", () => {
    const snapshot = queue("abc");
    const expected = ["ab", "abc", "abc", "abc"];
    for (const [passed, next] of expected.entries()) {
      order.pass(snapshot, passed + 1);
      expect(upNext(snapshot, 1)).toBe(next);
      expect(order.claims(snapshot)).toBe(Math.max(0, 2 - passed));
    }
  });

  test("is one of the first, whether or not anybody still waits for those", () => {
    const snapshot = queue("abc");
    order.pass(snapshot, 1);
    order.pass(snapshot, 1);
    expect(order.claims(snapshot)).toBe(2);
    order.pass(snapshot, 2);
    expect(order.claims(snapshot)).toBe(1);
  });

  test("is nobody who holds", () => {
    order.pass(queue("abc", "a"), 1);
    expect(order.claims(queue("abc"))).toBe(2);
    expect(before(queue("abc"), "b")).toBe(1);
  });
});

describe("however a queue moves", () => {
  type Move =
    | { readonly kind: "arrive" }
    | { readonly kind: "give back" }
    | { readonly kind: "wait"; readonly ms: number }
    | { readonly kind: "go in turn"; readonly who: number }
    | { readonly kind: "barge"; readonly who: number }
    | { readonly kind: "give up"; readonly who: number }
    | { readonly kind: "pass"; readonly count: number };

  const anyOrderlyMove = fc.oneof(
    fc.constantFrom<Move>({ kind: "arrive" }, { kind: "give back" }),
    fc.nat(20).map((who): Move => ({ kind: "go in turn", who })),
    fc.nat(2 * LET_GO_BY_MS).map((ms): Move => ({ kind: "wait", ms })),
  );
  const anyMove = fc.oneof(
    anyOrderlyMove,
    fc.nat(20).map((who): Move => ({ kind: "barge", who })),
    fc.nat(20).map((who): Move => ({ kind: "give up", who })),
    fc.integer({ min: 1, max: 8 }).map((count): Move => ({ kind: "pass", count })),
  );

  const LIMIT = 3;

  /** A queue that moves like that, and is observed after each move. */
  class MovingQueue {
    readonly order = new TurnOrder(() => now);
    readonly #contenders: string[] = [];
    readonly #holders = new Set<string>();
    #arrived = 0n;
    readonly #indexes = new Map<string, bigint>();

    get snapshot(): QueueSnapshot {
      const contenders = this.#contenders.map((session) =>
        contender(session, this.#indexes.get(session) ?? 0n),
      );
      return { limit: LIMIT, holders: new Set(this.#holders), contenders };
    }

    get waiters(): readonly string[] {
      return this.#contenders.filter((session) => !this.#holders.has(session));
    }

    get free(): number {
      return LIMIT - this.#holders.size;
    }

    make(move: Move): void {
      if (move.kind === "arrive") {
        this.#arrived += 1n;
        this.#contenders.push(`c${this.#arrived}`);
        this.#indexes.set(`c${this.#arrived}`, this.#arrived);
      } else if (move.kind === "give back") {
        const [holder] = this.#holders;
        if (holder !== undefined) this.#leave(holder);
      } else if (move.kind === "wait") now += move.ms;
      else if (move.kind === "go in turn") {
        // Those for whom there is a slot have their turn at the same time.
        this.#take(this.waiters.slice(0, this.free)[move.who % this.free]);
      } else if (move.kind === "barge") this.#take(this.waiters[move.who % this.waiters.length]);
      else if (move.kind === "give up") this.#leave(this.waiters[move.who % this.waiters.length]);
      else this.order.pass(this.snapshot, move.count);
      this.order.observe(this.snapshot);
    }

    #take(session: string | undefined): void {
      if (session !== undefined && this.free > 0) this.#holders.add(session);
    }

    #leave(session: string | undefined): void {
      if (session === undefined) return;
      this.#holders.delete(session);
      this.#contenders.splice(this.#contenders.indexOf(session), 1);
      this.#indexes.delete(session);
    }
  }

  test("the first are up next, so many of whom somebody waits for as there are slots", () => {
    fc.assert(
      fc.property(fc.array(anyMove, { maxLength: 40, size: "max" }), (moves) => {
        const moving = new MovingQueue();
        for (const move of moves) {
          moving.make(move);
          const { order: turns, snapshot, waiters, free } = moving;
          const next = [...turns.upNext(snapshot, free)];
          expect(next).toEqual(waiters.slice(0, next.length));
          const claims = turns.claims(snapshot);
          const after = waiters[next.length];
          const ahead =
            after === undefined ? claims : turns.claimantsBefore(snapshot, after).length;
          expect(ahead).toBe(Math.min(free, claims));
          // Whoever has let a slot go by is not shut out for it.
          if (free > claims) expect(next).toEqual(waiters);
        }
      }),
    );
  });

  test("nobody loses a turn where all keep to the order", () => {
    fc.assert(
      fc.property(fc.array(anyOrderlyMove, { maxLength: 40, size: "max" }), (moves) => {
        const moving = new MovingQueue();
        for (const move of moves) {
          moving.make(move);
          expect(moving.order.claims(moving.snapshot)).toBe(moving.waiters.length);
        }
      }),
    );
  });

  test("each who goes out of turn costs one other a turn at most", () => {
    fc.assert(
      fc.property(fc.array(anyMove, { maxLength: 40, size: "max" }), fc.nat(20), (moves, who) => {
        const moving = new MovingQueue();
        for (const move of moves) moving.make(move);
        const before = moving.order.claims(moving.snapshot);
        const waited = moving.waiters.length;
        moving.make({ kind: "barge", who });
        const went = waited - moving.waiters.length;
        expect(before - moving.order.claims(moving.snapshot)).toBeLessThanOrEqual(1 + went);
      }),
    );
  });

  test("everybody has a turn after enough has been passed", () => {
    fc.assert(
      fc.property(fc.array(anyMove, { maxLength: 40, size: "max" }), (moves) => {
        const moving = new MovingQueue();
        for (const move of moves) moving.make(move);
        const { order: turns, snapshot, waiters } = moving;
        turns.pass(snapshot, waiters.length);
        expect([...turns.upNext(snapshot, 1)]).toEqual(waiters);
      }),
    );
  });
});
