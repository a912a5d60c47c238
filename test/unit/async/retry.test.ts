import { getEventListeners } from "node:events";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { persist, type PersistOptions } from "../../../src/async/retry.js";
import { inTurn } from "../failures.js";
import { Watched } from "../outcome.js";

const FATAL = new Error("fatal");

let start: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  // Each pause in full.
  vi.spyOn(Math, "random").mockReturnValue(0);
  start = performance.now();
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const elapsed = (): number => performance.now() - start;

interface Persistence {
  /** When each try was made. */
  readonly tries: number[];
  readonly told: unknown[];
  readonly watched: Watched<string>;
}

/** Persists with steps that do what `step` does, where all failures but `FATAL` pass. */
function persisting(
  step: (attempt: number) => Promise<string>,
  options: Partial<PersistOptions> = {},
): Persistence {
  const tries: number[] = [];
  const told: unknown[] = [];
  const promise = persist(
    () => {
      tries.push(elapsed());
      return step(tries.length);
    },
    {
      passing: (error) => error !== FATAL,
      until: Infinity,
      failed: (error) => told.push(error),
      ...options,
    },
  );
  return { tries, told, watched: new Watched(promise) };
}

const fail = (attempt: number): Promise<never> => Promise.reject(new Error(`failure ${attempt}`));

describe("a step that can be repeated", () => {
  test("is taken once where it succeeds, and leaves nothing behind", async () => {
    const { signal } = new AbortController();
    const { tries, told, watched } = persisting(() => Promise.resolve("done"), { signal });
    await vi.advanceTimersByTimeAsync(0);
    expect(watched.outcome).toEqual({ value: "done", at: start });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(tries).toEqual([0]);
    expect(told).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  test("is tried again with growing pauses until it succeeds", async () => {
    const succeeds = (attempt: number): Promise<string> =>
      attempt === 8 ? Promise.resolve("done") : fail(attempt);
    const { tries, watched } = persisting(succeeds);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(tries).toEqual([0, 50, 150, 350, 750, 1_550, 2_550, 3_550]);
    expect(watched.outcome).toEqual({ value: "done", at: start + 3_550 });
  });

  test("tells of each failure that another try follows, and of no other", async () => {
    const step = inTurn(fail, fail, () => Promise.reject<string>(FATAL));
    const { told, watched } = persisting(step);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(told).toEqual([new Error("failure 1"), new Error("failure 2")]);
    expect(watched.outcome).toMatchObject({ error: FATAL });
  });

  test("is not tried again after a failure that does not pass", async () => {
    const { tries, told, watched } = persisting(() => Promise.reject(FATAL));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(watched.outcome).toEqual({ error: FATAL, at: start });
    expect(tries).toEqual([0]);
    expect(told).toEqual([]);
  });

  test("is tried for the last time when its time is over, and fails with that failure", async () => {
    const { tries, told, watched } = persisting(fail, { until: start + 300 });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(tries).toEqual([0, 50, 150, 300]);
    expect(watched.outcome).toEqual({ error: new Error("failure 4"), at: start + 300 });
    expect(told).toHaveLength(3);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is tried once also where its time is over from the start", async () => {
    const { tries, watched } = persisting(fail, { until: start - 1 });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(tries).toEqual([0]);
    expect(watched.outcome).toEqual({ error: new Error("failure 1"), at: start });
  });
});

describe("a signal", () => {
  test("that aborts during a pause ends it at once, with the last failure", async () => {
    const controller = new AbortController();
    const { tries, watched } = persisting(fail, { signal: controller.signal });
    await vi.advanceTimersByTimeAsync(200);
    expect(tries).toEqual([0, 50, 150]);
    controller.abort(new Error("enough"));
    await vi.advanceTimersByTimeAsync(0);
    expect(watched.outcome).toEqual({ error: new Error("failure 3"), at: start + 200 });
    expect(vi.getTimerCount()).toBe(0);
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });

  test("that has aborted before leaves the first try, and no other", async () => {
    const { tries, told, watched } = persisting(fail, { signal: AbortSignal.abort() });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(tries).toEqual([0]);
    expect(told).toEqual([]);
    expect(watched.outcome).toEqual({ error: new Error("failure 1"), at: start });
  });

  test("that aborts during a step does not undo its success", async () => {
    const controller = new AbortController();
    const { watched } = persisting(
      () => {
        controller.abort();
        return Promise.resolve("done");
      },
      { signal: controller.signal },
    );
    await vi.advanceTimersByTimeAsync(0);
    expect(watched.outcome).toMatchObject({ value: "done" });
  });
});

describe("a pause", () => {
  /** Whether each pause so far kept the process alive. */
  const pausesKeepingAlive = async (options: Partial<PersistOptions>): Promise<boolean[]> => {
    const timers = vi.spyOn(globalThis, "setTimeout");
    persisting(fail, options);
    await vi.advanceTimersByTimeAsync(200);
    return timers.mock.results.map(({ type, value }) => type === "return" && value.hasRef());
  };

  test("keeps the process alive if not told otherwise", async () => {
    expect(await pausesKeepingAlive({})).toEqual([true, true, true]);
  });

  test("keeps it alive or not as is said for it when it begins", async () => {
    const answers = [true, false, true];
    const keepAlive = (): boolean => answers.shift() ?? false;
    expect(await pausesKeepingAlive({ keepAlive })).toEqual([true, false, true]);
  });
});
