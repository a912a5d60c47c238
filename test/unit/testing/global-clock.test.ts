import { afterEach, expect, test, vi } from "vitest";

import { globalClock } from "../../../src/testing/global-clock.js";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const timersThatKeepAlive = (): number =>
  process.getActiveResourcesInfo().filter((resource) => resource === "Timeout").length;

test("keeps no process alive", () => {
  const before = timersThatKeepAlive();
  const cancel = globalClock.after(60_000, () => undefined);
  expect(timersThatKeepAlive()).toBe(before);
  cancel();
});

test("is never early, though its timers may be", () => {
  vi.useFakeTimers();
  const called = vi.fn();
  const start = globalClock.now();
  globalClock.after(1_000.7, () => {
    called(globalClock.now() - start);
  });
  vi.advanceTimersByTime(1_000);
  expect(called).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(called).toHaveBeenCalledExactlyOnceWith(1_001);
  expect(vi.getTimerCount()).toBe(0);
});

test("can be cancelled, also once a timer was early", () => {
  vi.useFakeTimers();
  const called = vi.fn();
  const cancel = globalClock.after(1_000.7, called);
  vi.advanceTimersByTime(1_000);
  cancel();
  expect(vi.getTimerCount()).toBe(0);
});

test("is that of whatever timers there are by now", () => {
  const real = globalClock.now();
  vi.useFakeTimers();
  vi.spyOn(performance, "now").mockReturnValue(real + 1e9);
  expect(globalClock.now()).toBe(real + 1e9);
});
