import { getEventListeners } from "node:events";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { retry, type RetryOptions } from "../../../src/async/retry.js";
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

interface Retried {
  /** When each attempt started. */
  readonly attempts: number[];
  readonly reported: unknown[];
  readonly watched: Watched<string>;
}

/** Retries `step`, which gets the number of the attempt. All failures but `FATAL` are transient. */
function retrying(
  step: (attempt: number) => Promise<string>,
  options: Partial<RetryOptions> = {},
): Retried {
  const attempts: number[] = [];
  const reported: unknown[] = [];
  const promise = retry(
    () => {
      attempts.push(elapsed());
      return step(attempts.length);
    },
    {
      isTransient: (error) => error !== FATAL,
      until: Infinity,
      failed: (error) => reported.push(error),
      ...options,
    },
  );
  return { attempts, reported, watched: new Watched(promise) };
}

const fail = (attempt: number): Promise<never> => Promise.reject(new Error(`failure ${attempt}`));

describe("an idempotent step", () => {
  test("runs once if it succeeds, and leaves nothing behind", async () => {
    const { signal } = new AbortController();
    const { attempts, reported, watched } = retrying(() => Promise.resolve("done"), { signal });
    await vi.advanceTimersByTimeAsync(0);
    expect(watched.outcome).toEqual({ value: "done", at: start });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(attempts).toEqual([0]);
    expect(reported).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  test("is retried with growing pauses until it succeeds", async () => {
    const succeeds = (attempt: number): Promise<string> =>
      attempt === 8 ? Promise.resolve("done") : fail(attempt);
    const { attempts, watched } = retrying(succeeds);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(attempts).toEqual([0, 50, 150, 350, 750, 1_550, 2_550, 3_550]);
    expect(watched.outcome).toEqual({ value: "done", at: start + 3_550 });
  });

  test("reports each failure that is retried, and no other", async () => {
    const step = inTurn(fail, fail, () => Promise.reject<string>(FATAL));
    const { reported, watched } = retrying(step);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(reported).toEqual([new Error("failure 1"), new Error("failure 2")]);
    expect(watched.outcome).toMatchObject({ error: FATAL });
  });

  test("is not retried after a permanent failure", async () => {
    const { attempts, reported, watched } = retrying(() => Promise.reject(FATAL));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(watched.outcome).toEqual({ error: FATAL, at: start });
    expect(attempts).toEqual([0]);
    expect(reported).toEqual([]);
  });

  test("runs for the last time when its time is over, and fails with that failure", async () => {
    const { attempts, reported, watched } = retrying(fail, { until: start + 300 });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(attempts).toEqual([0, 50, 150, 300]);
    expect(watched.outcome).toEqual({ error: new Error("failure 4"), at: start + 300 });
    expect(reported).toHaveLength(3);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("runs once even if its time is over from the start", async () => {
    const { attempts, watched } = retrying(fail, { until: start - 1 });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(attempts).toEqual([0]);
    expect(watched.outcome).toEqual({ error: new Error("failure 1"), at: start });
  });
});

describe("a signal", () => {
  test("that aborts during a pause ends the retries at once, with the last failure", async () => {
    const controller = new AbortController();
    const { attempts, watched } = retrying(fail, { signal: controller.signal });
    await vi.advanceTimersByTimeAsync(200);
    expect(attempts).toEqual([0, 50, 150]);
    controller.abort(new Error("enough"));
    await vi.advanceTimersByTimeAsync(0);
    expect(watched.outcome).toEqual({ error: new Error("failure 3"), at: start + 200 });
    expect(vi.getTimerCount()).toBe(0);
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });

  test("that has aborted before allows the first attempt, and no other", async () => {
    const { attempts, reported, watched } = retrying(fail, { signal: AbortSignal.abort() });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(attempts).toEqual([0]);
    expect(reported).toEqual([]);
    expect(watched.outcome).toEqual({ error: new Error("failure 1"), at: start });
  });

  test("that aborts during a step does not undo its success", async () => {
    const controller = new AbortController();
    const { watched } = retrying(
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
  const pausesKeepingAlive = async (options: Partial<RetryOptions>): Promise<boolean[]> => {
    const timers = vi.spyOn(globalThis, "setTimeout");
    retrying(fail, options);
    await vi.advanceTimersByTimeAsync(200);
    return timers.mock.results.map(({ type, value }) => type === "return" && value.hasRef());
  };

  test("keeps the process alive by default", async () => {
    expect(await pausesKeepingAlive({})).toEqual([true, true, true]);
  });

  test("keeps the process alive or not, as `keepAlive` says when it starts", async () => {
    const answers = [true, false, true];
    const keepAlive = (): boolean => answers.shift() ?? false;
    expect(await pausesKeepingAlive({ keepAlive })).toEqual([true, false, true]);
  });
});
