import { getEventListeners } from "node:events";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { sleep } from "../../../src/async/sleep.js";

const listenersOf = (signal: AbortSignal): number => getEventListeners(signal, "abort").length;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** Whether each promise has settled, to be read after the microtasks of a step. */
function watch(promise: Promise<void>): { readonly over: boolean } {
  const state = { over: false };
  void promise.then(() => {
    state.over = true;
  });
  return state;
}

describe("a sleep", () => {
  test("ends when its time is over, and leaves no listener", async () => {
    const { signal } = new AbortController();
    const state = watch(sleep(1_000, signal));
    await vi.advanceTimersByTimeAsync(999);
    expect(state.over).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(state.over).toBe(true);
    expect(listenersOf(signal)).toBe(0);
  });

  test("ends at once when the signal aborts, and leaves no timer", async () => {
    const controller = new AbortController();
    const slept = sleep(1_000, controller.signal);
    controller.abort(new Error("no failure of the sleep"));
    await expect(slept).resolves.toBeUndefined();
    expect(vi.getTimerCount()).toBe(0);
    expect(listenersOf(controller.signal)).toBe(0);
  });

  test("ends at once where the signal has aborted, and leaves no timer", async () => {
    await expect(sleep(1_000, AbortSignal.abort())).resolves.toBeUndefined();
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([0, -5])("of %d ms ends with the next timers", async (ms) => {
    const state = watch(sleep(ms, new AbortController().signal));
    await vi.advanceTimersByTimeAsync(1);
    expect(state.over).toBe(true);
  });
});

test.each([2 ** 31, Infinity])("a sleep of %d ms is not over at once", async (ms) => {
  const controller = new AbortController();
  const state = watch(sleep(ms, controller.signal));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(state.over).toBe(false);
  controller.abort();
});
