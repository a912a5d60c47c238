import { getEventListeners } from "node:events";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { QueryOptions } from "../../src/consul/query.js";
import { PrefixWatch } from "../../src/queue/prefix-watch.js";
import { readingOf, waiting, type Look } from "./fake-store.js";
import { after, inTurn, silence } from "./failures.js";

/** For so long a watch goes on without a subscriber. */
const LINGER_MS = 50;

const SUBSCRIPTION = { wait: 16_000, grace: 2_000 };

let start: number;
let watch: PrefixWatch;
let queries: (QueryOptions & { readonly at: number })[];
let onLook: Look;
let pause: number;
let until: string | undefined;
/** How each wait for somebody to leave went on. */
let vigils: { readonly session: string; readonly ms: number; readonly signal: AbortSignal }[];
let leave: () => void;
let pauseAfterFailure: number | undefined;
/** What was told, and when. */
let told: { readonly at: number; readonly failure?: unknown }[];
let closing: AbortController;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  // Each pause in full.
  vi.spyOn(Math, "random").mockReturnValue(0);
  start = performance.now();
  queries = [];
  onLook = waiting;
  pause = 0;
  until = undefined;
  vigils = [];
  pauseAfterFailure = undefined;
  told = [];
  closing = new AbortController();
  watch = new PrefixWatch({
    look: (query) => {
      queries.push({ ...query, at: performance.now() - start });
      return onLook(query);
    },
    pause: () => ({ ms: pause, until }),
    closing: closing.signal,
    untilGone: (session, ms, signal) => {
      vigils.push({ session, ms, signal });
      return new Promise((resolve) => {
        leave = resolve;
        signal.addEventListener("abort", () => {
          resolve();
        });
      });
    },
    shown: () => told.push({ at: performance.now() - start }),
    failed: (failure) => {
      told.push({ at: performance.now() - start, failure });
      return pauseAfterFailure;
    },
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** A look that is answered after so long. */
const shows =
  (index: bigint, { ms = 0, nextIndex = index } = {}): Look =>
  async () => {
    if (ms > 0) await after(ms, undefined);
    return { ...readingOf({}, index), nextIndex };
  };

const failure = new Error("it failed");
const fails: Look = () => Promise.reject(failure);

/** Does what each of these does, and then nothing changes any more. */
const looks = (...all: readonly Look[]): void => {
  onLook = inTurn<Parameters<Look>, ReturnType<Look>>(...all, waiting);
};

const wait = (ms = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

const times = (): readonly number[] => queries.map(({ at }) => at);
const indexes = (): readonly (bigint | undefined)[] => queries.map(({ index }) => index);

/** What is still asked for. */
const underWay = (): number => queries.filter(({ signal }) => signal?.aborted === false).length;

/** The watch has ended, and left nothing behind. */
function expectNothingLeft(): void {
  expect(watch.isRunning).toBe(false);
  expect(vi.getTimerCount()).toBe(0);
  for (const { signal } of queries) {
    if (signal !== undefined) expect(getEventListeners(signal, "abort")).toEqual([]);
  }
}

describe("a watch", () => {
  test("asks nothing before it has a subscriber", async () => {
    await wait(60_000);
    expect(watch.isRunning).toBe(false);
    expect(queries).toEqual([]);
  });

  test("begins with the first: with a look at once, and then one for each change", async () => {
    looks(shows(7n, { ms: 5 }), shows(9n, { ms: 1_000 }), shows(9n, { ms: 1_000 }));
    watch.subscribe(SUBSCRIPTION);
    expect(watch.isRunning).toBe(true);
    expect(queries).toMatchObject([
      // Consul itself adds up to a sixteenth.
      { index: 0n, wait: 16_000, timeout: 19_000, consistent: true, at: 0 },
    ]);
    await wait(5_000);
    expect(indexes()).toEqual([0n, 7n, 9n, 9n]);
    expect(times()).toEqual([0, 5, 1_005, 2_005]);
    expect(queries.every(({ consistent }) => consistent)).toBe(true);
    expect(told).toEqual([{ at: 5 }, { at: 1_005 }, { at: 2_005 }]);
  });

  test("starts again from nothing where the index does", async () => {
    looks(shows(7n, { ms: 1 }), shows(3n, { ms: 1, nextIndex: 0n }), shows(3n, { ms: 1 }));
    watch.subscribe(SUBSCRIPTION);
    await wait(10);
    expect(indexes()).toEqual([0n, 7n, 0n, 3n]);
  });

  test("asks one thing at a time, however many subscribe", async () => {
    looks(shows(7n, { ms: 5 }));
    const ends = Array.from({ length: 20 }, () => watch.subscribe({ ...SUBSCRIPTION }));
    await wait(100);
    expect(times()).toEqual([0, 5]);
    ends.slice(1).forEach((end) => {
      end();
    });
    await wait(1_000);
    expect(queries).toHaveLength(2);
    expect(underWay()).toBe(2);
    ends[0]?.();
    await wait(LINGER_MS);
    expectNothingLeft();
  });

  test("is asked as every subscriber wants it", async () => {
    watch.subscribe({ wait: 8_000, grace: 3_000 });
    watch.subscribe({ wait: 16_000, grace: 1_000 });
    looks(shows(7n));
    watch.subscribe({ wait: 4_000, grace: 2_000 });
    await wait();
    expect(queries.at(-1)).toMatchObject({ wait: 4_000, timeout: 4_000 + 250 + 1_000 });
  });
});

describe("the end of a watch", () => {
  test("comes a moment after that of the last subscription", async () => {
    const ends = [watch.subscribe(SUBSCRIPTION), watch.subscribe({ ...SUBSCRIPTION })];
    ends[0]?.();
    await wait(1_000);
    expect(underWay()).toBe(1);
    ends[1]?.();
    await wait(LINGER_MS - 1);
    expect(watch.isRunning).toBe(true);
    expect(underWay()).toBe(1);
    await wait(1);
    expect(underWay()).toBe(0);
    expect(told).toEqual([]);
    expectNothingLeft();
  });

  test("does not come where somebody else subscribes in that moment", async () => {
    watch.subscribe(SUBSCRIPTION)();
    await wait(LINGER_MS - 1);
    const end = watch.subscribe({ ...SUBSCRIPTION });
    await wait(10_000);
    expect(underWay()).toBe(1);
    expect(queries).toHaveLength(1);
    end();
    await wait(LINGER_MS);
    expectNothingLeft();
  });

  test("comes at once where the client closes, so that nobody can follow", async () => {
    watch.subscribe(SUBSCRIPTION)();
    closing.abort();
    await wait();
    expectNothingLeft();
    const end = watch.subscribe(SUBSCRIPTION);
    await wait(10);
    expect(underWay()).toBe(1);
    end();
    await wait();
    expectNothingLeft();
    expect(getEventListeners(closing.signal, "abort")).toEqual([]);
  });

  test("comes once, however often a subscription is ended", async () => {
    const first = watch.subscribe(SUBSCRIPTION);
    first();
    await wait(LINGER_MS - 10);
    first();
    await wait(10);
    expectNothingLeft();
    const second = watch.subscribe(SUBSCRIPTION);
    first();
    first();
    // A subscription that is over does not end another's.
    second();
    await wait(LINGER_MS);
    expectNothingLeft();
  });

  test("is not kept up by a look that hangs", async () => {
    onLook = silence;
    watch.subscribe(SUBSCRIPTION)();
    await wait(LINGER_MS);
    expect(watch.isRunning).toBe(false);
    expect(underWay()).toBe(0);
    onLook = waiting;
    watch.subscribe(SUBSCRIPTION);
    expect(queries).toHaveLength(2);
  });

  test("comes also in a pause", async () => {
    pause = 60_000;
    looks(shows(7n));
    watch.subscribe(SUBSCRIPTION)();
    await wait(LINGER_MS);
    expectNothingLeft();
    expect(queries).toHaveLength(1);
  });

  test("lets a look that is answered after it tell nothing more to do", async () => {
    looks(shows(7n, { ms: LINGER_MS + 10 }));
    pause = 1_000;
    watch.subscribe(SUBSCRIPTION)();
    await wait(LINGER_MS + 10);
    expect(queries).toHaveLength(1);
    expectNothingLeft();
  });

  test("is followed by another watch, which begins at once and knows nothing", async () => {
    looks(shows(7n, { ms: 1 }));
    watch.subscribe(SUBSCRIPTION)();
    await wait(LINGER_MS);
    looks(shows(9n, { ms: 1 }));
    watch.subscribe(SUBSCRIPTION);
    await wait(10);
    expect(indexes()).toEqual([0n, 7n, 0n, 9n]);
  });
});

describe("a pause that somebody's departure ends", () => {
  beforeEach(() => {
    until = "a";
    pause = 20;
    looks(shows(7n));
  });

  test("ends with it, and the next look follows at once", async () => {
    watch.subscribe(SUBSCRIPTION);
    await wait(15);
    expect(vigils).toMatchObject([{ session: "a", ms: 20 }]);
    expect(times()).toEqual([0]);
    leave();
    await wait();
    expect(times()).toEqual([0, 15]);
  });

  test("ends as others do where there is a hurry", async () => {
    watch.subscribe(SUBSCRIPTION);
    await wait(5);
    watch.hurry();
    await wait();
    expect(vigils[0]?.signal.aborted).toBe(true);
    expect(times()).toEqual([0, 5]);
  });

  test("ends with the last subscriber", async () => {
    const end = watch.subscribe(SUBSCRIPTION);
    await wait(5);
    end();
    await wait(LINGER_MS);
    expect(vigils[0]?.signal.aborted).toBe(true);
    expect(times()).toEqual([0]);
  });

  test("is waited out where it is too short to ask for anything", async () => {
    pause = 19;
    watch.subscribe(SUBSCRIPTION);
    await wait(19);
    expect(vigils).toEqual([]);
    expect(times()).toEqual([0, 19]);
  });
});

describe("a pause", () => {
  test("lets changes gather before the next look", async () => {
    pause = 100;
    looks(shows(7n), shows(9n));
    watch.subscribe(SUBSCRIPTION);
    await wait(99);
    expect(times()).toEqual([0]);
    await wait(101);
    expect(times()).toEqual([0, 100, 200]);
  });

  test("ends where somebody is in a hurry", async () => {
    pause = 100;
    looks(shows(7n));
    watch.subscribe(SUBSCRIPTION);
    await wait(30);
    watch.hurry();
    await wait();
    expect(times()).toEqual([0, 30]);
  });

  test("is no shorter for a hurry that came before it", async () => {
    pause = 100;
    looks(shows(7n, { ms: 10 }));
    watch.hurry();
    watch.subscribe(SUBSCRIPTION);
    await wait(5);
    watch.hurry();
    await wait(104);
    expect(times()).toEqual([0]);
    await wait(1);
    expect(times()).toEqual([0, 110]);
  });
});

describe("looks that are answered at once though nothing has changed", () => {
  const idle = shows(7n, { ms: 1 });

  test("are paused between, longer and longer: something on the way does not let them wait", async () => {
    looks(...Array.from({ length: 9 }, () => idle));
    watch.subscribe(SUBSCRIPTION);
    await wait(3_000);
    // Twice it may be by chance.
    expect(times()).toEqual([0, 1, 2, 53, 154, 355, 756, 1_257, 1_758, 2_259]);
  });

  test("are so for long only as nothing does change", async () => {
    looks(idle, idle, idle, idle, shows(9n, { ms: 1 }), shows(9n, { ms: 1 }), shows(9n, { ms: 1 }));
    watch.subscribe(SUBSCRIPTION);
    await wait(1_000);
    expect(times()).toEqual([0, 1, 2, 53, 154, 155, 156, 207]);
  });

  test("have no vigil between them, which would not wait either", async () => {
    [until, pause] = ["a", 20];
    looks(idle, idle, idle);
    watch.subscribe(SUBSCRIPTION);
    await wait(1);
    leave();
    await wait(1);
    leave();
    await wait(51);
    expect(vigils).toHaveLength(2);
    expect(times()).toEqual([0, 1, 2, 53]);
  });

  test("are none that have waited in full", async () => {
    const patient = shows(7n, { ms: 8_000 });
    looks(shows(7n), patient, patient, patient);
    watch.subscribe(SUBSCRIPTION);
    await wait(30_000);
    expect(times()).toEqual([0, 0, 8_000, 16_000, 24_000]);
  });
});

describe("a subscriber that wants shorter looks", () => {
  test("has the one under way asked anew, at once: the index that it waited for may be outdated", async () => {
    looks(shows(7n, { ms: 5 }));
    watch.subscribe(SUBSCRIPTION);
    await wait(1_000);
    watch.subscribe({ wait: 4_000, grace: 1_000 });
    await wait();
    expect(queries.slice(1)).toMatchObject([
      { index: 7n, wait: 16_000, at: 5 },
      { index: 0n, wait: 4_000, at: 1_000 },
    ]);
    expect(queries[1]?.signal?.aborted).toBe(true);
    expect(told).toEqual([{ at: 5 }]);
  });

  test.each([
    ["the same", 16_000],
    ["longer ones", 30_000],
  ])("is not one that wants %s", async (_, longer) => {
    watch.subscribe(SUBSCRIPTION);
    await wait(1_000);
    watch.subscribe({ wait: longer, grace: 1_000 });
    await wait();
    expect(queries).toHaveLength(1);
  });

  test("has its way only as long as it subscribes", async () => {
    watch.subscribe(SUBSCRIPTION);
    const end = watch.subscribe({ wait: 4_000, grace: 1_000 });
    await wait();
    end();
    watch.subscribe({ wait: 3_000, grace: 1_000 })();
    await wait();
    expect(queries.map(({ wait: ms }) => ms)).toEqual([16_000, 4_000, 16_000]);
  });
});

describe("a look that was made otherwise", () => {
  const compare = (index: bigint, sentAt = performance.now()): void => {
    watch.compare({ ...readingOf({}, index), sentAt });
  };

  beforeEach(async () => {
    looks(shows(7n, { ms: 5 }));
    watch.subscribe(SUBSCRIPTION);
    await wait(10);
    expect(indexes()).toEqual([0n, 7n]);
  });

  test("and shows an index from before has the watch begin anew: who waits would wait in vain", async () => {
    compare(3n);
    await wait();
    expect(indexes()).toEqual([0n, 7n, 0n]);
    expect(queries[1]?.signal?.aborted).toBe(true);
    expect(told).toEqual([{ at: 5 }]);
  });

  test.each<[string, bigint, number]>([
    ["shows the same", 7n, 10],
    ["shows something newer", 9n, 10],
    ["was asked for before that was answered", 3n, 5],
  ])("is none of its business where it %s", async (_, index, sentAt) => {
    compare(index, start + sentAt);
    await wait(1_000);
    expect(indexes()).toEqual([0n, 7n]);
  });
});

describe("a look that fails", () => {
  test("is told, and repeated from nothing after growing pauses", async () => {
    looks(shows(7n), ...Array.from({ length: 7 }, () => fails));
    watch.subscribe(SUBSCRIPTION);
    await wait(2_250);
    expect(times()).toEqual([0, 0, 50, 150, 350, 750, 1_250, 1_750, 2_250]);
    expect(indexes()).toEqual([0n, 7n, 0n, 0n, 0n, 0n, 0n, 0n, 0n]);
    expect(told.slice(0, 3)).toEqual([{ at: 0 }, { at: 0, failure }, { at: 50, failure }]);
  });

  test("is repeated after pauses that are shortened by chance, to a half at the least", async () => {
    vi.spyOn(Math, "random").mockReturnValue(1);
    looks(fails, fails);
    watch.subscribe(SUBSCRIPTION);
    await wait(75);
    expect(times()).toEqual([0, 25, 75]);
  });

  test("is repeated after short pauses again when one has succeeded", async () => {
    looks(fails, fails, shows(7n), fails, fails);
    watch.subscribe(SUBSCRIPTION);
    await wait(300);
    expect(times()).toEqual([0, 50, 150, 150, 200, 300]);
  });

  test("is repeated after the pause that is wanted, if one is", async () => {
    looks(fails, fails, fails);
    watch.subscribe(SUBSCRIPTION);
    await wait();
    pauseAfterFailure = 3_000;
    await wait(50);
    pauseAfterFailure = undefined;
    await wait(3_000);
    expect(times()).toEqual([0, 50, 3_050]);
  });

  test("is repeated at once where somebody is in a hurry", async () => {
    looks(fails);
    watch.subscribe(SUBSCRIPTION);
    await wait(10);
    watch.hurry();
    await wait();
    expect(times()).toEqual([0, 10]);
  });

  test("leaves nothing behind", async () => {
    onLook = fails;
    const end = watch.subscribe(SUBSCRIPTION);
    await wait(10_000);
    end();
    await wait(LINGER_MS);
    expectNothingLeft();
    const count = queries.length;
    await wait(60_000);
    expect(queries).toHaveLength(count);
  });
});

test("a look that is due while nobody subscribes any more is one that can be asked for", async () => {
  looks(shows(7n, { ms: 10 }));
  watch.subscribe(SUBSCRIPTION)();
  await wait(LINGER_MS - 1);
  for (const { wait: ms, timeout } of queries) {
    expect(ms).toBeLessThanOrEqual(SUBSCRIPTION.wait);
    expect(timeout).toBeLessThanOrEqual(19_000);
  }
});
