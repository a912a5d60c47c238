import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { PrefixView, type LockWrite } from "../../src/queue/prefix-view.js";
import type { PrefixReading } from "../../src/queue/requests.js";
import { contender, readingOf } from "./fake-store.js";
import { after } from "./failures.js";
import { rejectionOf } from "./rejection.js";

let view: PrefixView;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  view = new PrefixView();
});

afterEach(() => {
  vi.useRealTimers();
});

/** A lock with these holders, all of whom contend, as well as `waiter`. */
function lockAt(index: bigint, holders: string, sentAt = performance.now()): PrefixReading {
  const contenders = [...new Set(holders), "waiter"].map((session) => contender(session));
  const snapshot = { limit: 3, holders: new Set(holders), contenders, lockIndex: index };
  return { ...readingOf(snapshot, index), sentAt };
}

const writeAt = (index: bigint, holders: string, left?: string): LockWrite => ({
  index,
  limit: 3,
  holders: new Set(holders),
  left,
});

const holders = (): string => [...(view.current?.snapshot.holders ?? [])].join("");

/** Time that passes. */
const wait = (ms = 1): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

/** A look that is answered after so long with what there was when it was asked. */
const looking = (reading: PrefixReading, ms: number): Promise<PrefixReading> =>
  view.look(() => after(ms, reading));

describe("a view", () => {
  test("is of nothing before the first look", () => {
    expect(view.current).toBeUndefined();
    expect(view.shownAt).toBe(-Infinity);
    view.wrote(writeAt(5n, "a"));
    expect(view.current).toBeUndefined();
  });

  test("is what a look has shown, as soon as it is answered", async () => {
    const reading = lockAt(5n, "a");
    const look = looking(reading, 10);
    await wait(9);
    expect(view.current).toBeUndefined();
    await wait(1);
    expect(await look).toBe(reading);
    expect(view.current).toBe(reading);
    expect(view.shownAt).toBe(performance.now());
  });

  test("is as it was where a look fails", async () => {
    view.show(lockAt(5n, "a"));
    const shownAt = performance.now();
    await wait();
    const failure = new Error("it failed");
    expect(await rejectionOf(view.look(() => Promise.reject(failure)))).toBe(failure);
    expect(holders()).toBe("a");
    expect(view.shownAt).toBe(shownAt);
  });
});

describe("a reading", () => {
  test("that is newer counts", async () => {
    view.show(lockAt(5n, "a"));
    await wait();
    view.show(lockAt(6n, "b"));
    expect(holders()).toBe("b");
  });

  test("of the same index counts: who waits may have changed where the lock has not", () => {
    const sentAt = performance.now();
    view.show(lockAt(5n, "a", sentAt));
    view.show(lockAt(5n, "b", sentAt));
    expect(holders()).toBe("b");
  });

  test("that is older and was sent earlier counts for nothing, and tells what is known", async () => {
    const sentAt = performance.now();
    await wait();
    const newest = lockAt(6n, "b");
    view.show(newest);
    await wait(10);
    const shownAt = view.shownAt;
    expect(view.show(lockAt(5n, "a", sentAt))).toBe(newest);
    expect(view.current).toBe(newest);
    expect(view.shownAt).toBe(shownAt);
  });

  test("that is older counts for nothing also where only its answer was overtaken", async () => {
    // It was sent later; but what is known already came from a look that was answered later still.
    const first = looking(lockAt(6n, "b"), 10);
    await wait();
    const second = looking(lockAt(5n, "a"), 20);
    await wait(20);
    await Promise.all([first, second]);
    expect(holders()).toBe("b");
  });

  test("that is older but was asked for since is believed: Consul's data was restored", async () => {
    view.show(lockAt(100n, "a"));
    await wait();
    view.show(lockAt(5n, "b"));
    expect(holders()).toBe("b");
    // And so is what comes after it.
    await wait();
    view.show(lockAt(6n, "c"));
    expect(holders()).toBe("c");
  });

  test("that is restored forgets what was written before, though its index was greater", async () => {
    view.show(lockAt(100n, "a"));
    view.wrote(writeAt(101n, "ab"));
    await wait();
    expect(view.show(lockAt(5n, "c"))).toMatchObject({ index: 5n });
    expect(holders()).toBe("c");
  });
});

describe("after a restore, a write of our own", () => {
  beforeEach(async () => {
    view.show(lockAt(100n, "a"));
    await wait();
    view.show(lockAt(50n, "c"));
  });

  test("that was made before it counts for nothing, though its index is greater", async () => {
    const look = looking(lockAt(51n, "c"), 10);
    await wait();
    view.wrote(writeAt(101n, "ab"));
    expect(holders()).toBe("c");
    await wait(9);
    await look;
    expect(holders()).toBe("c");
  });

  test("that was made since counts", () => {
    view.wrote(writeAt(51n, "cd"));
    expect(holders()).toBe("cd");
  });

  test("counts as ever once indexes have grown again", async () => {
    await wait();
    view.show(lockAt(100n, "c"));
    view.wrote(writeAt(101n, "cd"));
    expect(holders()).toBe("cd");
  });
});

describe("a write of our own", () => {
  test("counts at once, and is where the next swap begins", async () => {
    view.show(lockAt(5n, "a"));
    // It tells nothing of who else has come.
    const shownAt = performance.now();
    await wait();
    view.wrote(writeAt(6n, "ab"));
    expect(view.current?.snapshot).toMatchObject({
      limit: 3,
      holders: new Set("ab"),
      lockIndex: 6n,
    });
    expect(view.shownAt).toBe(shownAt);
    expect(view.current?.snapshot.contenders.map(({ session }) => session)).toEqual([
      "a",
      "waiter",
    ]);
  });

  test("takes who has left with it out of the contenders", () => {
    view.show(lockAt(5n, "ab"));
    view.wrote(writeAt(6n, "b", "a"));
    expect(view.current?.snapshot.contenders.map(({ session }) => session)).toEqual([
      "b",
      "waiter",
    ]);
  });

  test("that is answered after a newer look counts for nothing", () => {
    view.show(lockAt(7n, "c"));
    view.wrote(writeAt(6n, "ab"));
    expect(holders()).toBe("c");
    expect(view.current?.snapshot.lockIndex).toBe(7n);
  });

  test("that is answered after a look at what has come of it counts for nothing", () => {
    // Since then the lock has been deleted.
    const snapshot = { limit: undefined, holders: new Set<string>(), contenders: [] };
    view.show(readingOf({ ...snapshot, lockIndex: 0n }, 7n));
    view.wrote(writeAt(6n, "ab"));
    expect(holders()).toBe("");
    expect(view.current?.snapshot.lockIndex).toBe(0n);
  });

  test("is not undone by a look that was on its way meanwhile", async () => {
    view.show(lockAt(5n, "a"));
    const look = looking(lockAt(5n, "a"), 10);
    await wait();
    view.wrote(writeAt(6n, "ab"));
    view.wrote(writeAt(7n, "b", "a"));
    await wait(9);
    expect(await look).toMatchObject({ index: 5n, snapshot: { lockIndex: 7n } });
    expect(holders()).toBe("b");
    expect(view.current?.snapshot.contenders.map(({ session }) => session)).toEqual(["waiter"]);
  });

  test("is not undone either where there was no look before", async () => {
    const look = looking(lockAt(5n, "a"), 10);
    await wait();
    view.wrote(writeAt(6n, "ab"));
    await wait(9);
    await look;
    expect(holders()).toBe("ab");
  });

  test("is not undone by the second of two looks that were on their way", async () => {
    const looks = [looking(lockAt(5n, "a"), 10), looking(lockAt(5n, "a"), 20)];
    await wait();
    view.wrote(writeAt(6n, "ab"));
    await wait(19);
    await Promise.all(looks);
    expect(holders()).toBe("ab");
  });

  test("is part of what a look shows that came after it", async () => {
    const look = looking(lockAt(8n, "c"), 10);
    await wait();
    view.wrote(writeAt(6n, "ab"));
    await wait(9);
    await look;
    expect(holders()).toBe("c");
  });

  test("is undone by a look that was sent after it: it was taken back since", async () => {
    const early = looking(lockAt(5n, "a"), 10);
    await wait();
    view.wrote(writeAt(6n, "ab"));
    await wait();
    // Its index is smaller than that of the write, as after a restore.
    const late = looking(lockAt(4n, "z"), 5);
    await wait(8);
    await Promise.all([early, late]);
    expect(view.show(lockAt(4n, "z"))).toMatchObject({ index: 4n });
    expect(holders()).toBe("z");
  });
});

test("who gives up contends no more", () => {
  view.left("a");
  expect(view.current).toBeUndefined();
  view.show(lockAt(5n, "ab"));
  view.left("waiter");
  expect(view.current?.snapshot.contenders.map(({ session }) => session)).toEqual(["a", "b"]);
  expect(holders()).toBe("ab");
});

describe("a holder that our writes have left in the lock", () => {
  /** What a look shows that was on its way when a write of ours was answered. */
  async function crossing(contenders: string, write: LockWrite): Promise<void> {
    const snapshot = { limit: 3, holders: new Set<string>(), lockIndex: 5n };
    const entries = Array.from(contenders, (session) => contender(session));
    const look = looking(readingOf({ ...snapshot, contenders: entries }, 5n), 10);
    await wait();
    view.wrote(write);
    await wait(9);
    await look;
  }

  test.each<[string, string, LockWrite, boolean]>([
    ["is in doubt where the look has not shown its entry", "b", writeAt(6n, "ab"), true],
    ["is none where it has", "ab", writeAt(6n, "ab"), false],
    ["is none where that write made it one", "b", { ...writeAt(6n, "ab"), joined: "a" }, false],
  ])("%s", async (_, contenders, write, isInDoubt) => {
    await crossing(contenders, write);
    expect(holders()).toBe("ab");
    expect(view.isInDoubt).toBe(isInDoubt);
  });

  test("is in doubt until a look tells that was sent after it", async () => {
    await crossing("b", writeAt(6n, "ab"));
    view.show(lockAt(6n, "ab"));
    expect(view.isInDoubt).toBe(false);
  });
});

describe("however looks and writes cross", () => {
  type Move = "foreign write" | "own write" | "answer write" | "send" | "capture" | "answer";
  const anyMove = fc.record({
    move: fc.constantFrom<Move>(
      "foreign write",
      "own write",
      "answer write",
      "send",
      "capture",
      "answer",
    ),
    which: fc.nat(3),
  });

  interface Look {
    readonly sentAt: number;
    captured: { readonly index: bigint; readonly holders: string } | undefined;
    readonly answer: (reading: PrefixReading) => void;
  }

  /** One picked out of a list. */
  const pick = <Item>(items: readonly Item[], which: number): Item | undefined =>
    items[which % items.length];

  test("what is known is never older than what any answer has told", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyMove, { maxLength: 40, size: "max" }), async (moves) => {
        view = new PrefixView();
        /** The holders by the index of the write that made them so. */
        const history = new Map([[1n, ""]]);
        let index = 1n;
        let told = 0n;
        let looks: readonly Look[] = [];
        let writes: readonly LockWrite[] = [];
        const write = (): LockWrite => {
          index += 1n;
          history.set(index, `h${index}`);
          return { index, limit: 3, holders: new Set([`h${index}`]) };
        };
        const capture = (look: Look): void => {
          look.captured ??= { index, holders: history.get(index) ?? "" };
        };
        for (const { move, which } of moves) {
          await wait();
          if (move === "foreign write") write();
          else if (move === "own write") {
            // It is a swap, and refused unless what is known is what there is.
            if (view.current?.snapshot.lockIndex === index) writes = [...writes, write()];
          } else if (move === "answer write") {
            const answered = pick(writes, which);
            if (answered === undefined) continue;
            writes = writes.filter((other) => other !== answered);
            view.wrote(answered);
            if (view.current !== undefined && answered.index > told) told = answered.index;
          } else if (move === "send") {
            const sentAt = performance.now();
            void view.look(
              () =>
                new Promise((resolve) => {
                  looks = [...looks, { sentAt, captured: undefined, answer: resolve }];
                }),
            );
          } else {
            const look = pick(looks, which);
            if (look === undefined) continue;
            capture(look);
            if (move === "capture" || look.captured === undefined) continue;
            looks = looks.filter((other) => other !== look);
            const shown = look.captured;
            const snapshot = { limit: 3, holders: new Set([shown.holders]), contenders: [] };
            look.answer({
              ...readingOf({ ...snapshot, lockIndex: shown.index }, shown.index),
              sentAt: look.sentAt,
            });
            await wait(0);
            if (shown.index > told) told = shown.index;
          }
          const known = view.current?.snapshot;
          if (known === undefined) continue;
          expect(known.lockIndex).toBeGreaterThanOrEqual(told);
          expect([...known.holders]).toEqual([history.get(known.lockIndex)]);
        }
      }),
      { numRuns: 500 },
    );
  });
});
