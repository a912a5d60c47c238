import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { callAfter } from "../../../src/async/call-after.js";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});

afterEach(() => {
  vi.useRealTimers();
});

describe("a call after a while", () => {
  test("comes once, when the time is over and not before", () => {
    const call = vi.fn();
    callAfter(100, call);
    vi.advanceTimersByTime(99);
    expect(call).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(call).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(10_000);
    expect(call).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("never comes once it was cancelled, and leaves no timer", () => {
    const call = vi.fn();
    const cancel = callAfter(100, call);
    vi.advanceTimersByTime(99);
    cancel();
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(10_000);
    expect(call).not.toHaveBeenCalled();
    // To cancel it again, or too late, does no harm.
    cancel();
  });

  test("comes when it should where that is longer than a timer of Node's can be", () => {
    const [call, cancelled] = [vi.fn(), vi.fn()];
    const ms = 60 * 24 * 3_600_000;
    callAfter(ms, call);
    const cancel = callAfter(ms, cancelled);
    vi.advanceTimersByTime(ms - 1);
    expect(call).not.toHaveBeenCalled();
    cancel();
    vi.advanceTimersByTime(1);
    expect(call).toHaveBeenCalledTimes(1);
    expect(cancelled).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("never comes after an infinite time, for which there is no timer", () => {
    const call = vi.fn();
    const cancel = callAfter(Infinity, call);
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(2 ** 33);
    cancel();
    expect(call).not.toHaveBeenCalled();
  });

  test.each([0, -5])("comes with the next timers after %d ms", (ms) => {
    const call = vi.fn();
    callAfter(ms, call);
    expect(call).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(call).toHaveBeenCalledTimes(1);
  });

  test("does not come at once after more milliseconds than a timer can count", () => {
    const call = vi.fn();
    callAfter(2 ** 40, call);
    vi.advanceTimersByTime(2 ** 31 - 2);
    expect(call).not.toHaveBeenCalled();
  });
});
