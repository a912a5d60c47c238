import { getEventListeners } from "node:events";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { Deadline } from "../../../src/async/deadline.js";

const listenersOf = (signal: AbortSignal): number => getEventListeners(signal, "abort").length;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});

afterEach(() => {
  vi.useRealTimers();
});

describe("a deadline", () => {
  test("aborts when its time is over, and not before", () => {
    const deadline = new Deadline(1_000);
    vi.advanceTimersByTime(999);
    expect(deadline.aborted).toBe(false);
    expect(deadline.expired).toBe(false);
    vi.advanceTimersByTime(1);
    expect(deadline.aborted).toBe(true);
    expect(deadline.expired).toBe(true);
    expect(deadline.reason).toMatchObject({
      name: "TimeoutError",
      message: "1000 ms have passed",
    });
  });

  test.each([0, 1])(
    "aborts with parent %d and its reason, and has then not expired",
    (position) => {
      const parents = [new AbortController(), new AbortController()];
      const deadline = new Deadline(1_000, ...parents.map(({ signal }) => signal));
      parents[position]?.abort("enough");
      expect(deadline.reason).toBe("enough");
      vi.advanceTimersByTime(2_000);
      expect(deadline.expired).toBe(false);
      expect(deadline.reason).toBe("enough");
      deadline.dispose();
    },
  );

  test("has aborted from the start where a parent has", () => {
    const deadline = new Deadline(1_000, undefined, AbortSignal.abort("over"));
    expect(deadline.aborted).toBe(true);
    expect(deadline.reason).toBe("over");
    expect(deadline.expired).toBe(false);
    deadline.dispose();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("has expired also when a parent aborts afterwards", () => {
    const parent = new AbortController();
    const deadline = new Deadline(1_000, parent.signal);
    vi.advanceTimersByTime(1_000);
    parent.abort("late");
    expect(deadline.expired).toBe(true);
    expect(deadline.reason).toMatchObject({ name: "TimeoutError" });
    deadline.dispose();
  });

  test("leaves no timer and no listener once disposed of, and never aborts", () => {
    const parent = new AbortController();
    const deadline = new Deadline(1_000, parent.signal, undefined);
    expect(listenersOf(parent.signal)).toBe(1);
    deadline.dispose();
    deadline.dispose();
    expect(vi.getTimerCount()).toBe(0);
    expect(listenersOf(parent.signal)).toBe(0);
    vi.advanceTimersByTime(2_000);
    parent.abort();
    expect(deadline.aborted).toBe(false);
    expect(deadline.expired).toBe(false);
  });

  test("never aborts its parents", () => {
    const parent = new AbortController();
    const deadline = new Deadline(1_000, parent.signal);
    vi.advanceTimersByTime(1_000);
    expect(parent.signal.aborted).toBe(false);
    deadline.dispose();
  });
});

test.each([2 ** 31, 1000 * 3_600_000, Infinity])(
  "a deadline in %d ms is not over at once",
  (ms) => {
    const deadline = new Deadline(ms);
    vi.advanceTimersByTime(60_000);
    expect(deadline.expired).toBe(false);
    deadline.dispose();
  },
);
