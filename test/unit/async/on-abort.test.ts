import { getEventListeners } from "node:events";

import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";

import { onAbort } from "../../../src/async/on-abort.js";

const listenersOf = (signal: AbortSignal): number => getEventListeners(signal, "abort").length;

describe("a callback on abort", () => {
  test("is called once when the signal aborts", () => {
    const controller = new AbortController();
    const callback = vi.fn();
    onAbort(controller.signal, callback);
    expect(callback).not.toHaveBeenCalled();
    controller.abort();
    controller.abort();
    expect(callback).toHaveBeenCalledTimes(1);
  });

  test("is called at once where the signal has aborted, and leaves no listener", () => {
    const signal = AbortSignal.abort();
    const callback = vi.fn();
    const off = onAbort(signal, callback);
    expect(callback).toHaveBeenCalledTimes(1);
    expect(listenersOf(signal)).toBe(0);
    off();
    expect(callback).toHaveBeenCalledTimes(1);
  });

  test("is never called without a signal", () => {
    const callback = vi.fn();
    onAbort(undefined, callback)();
    expect(callback).not.toHaveBeenCalled();
  });

  test("is not called once it has been taken off", () => {
    const controller = new AbortController();
    const callback = vi.fn();
    onAbort(controller.signal, callback)();
    controller.abort();
    expect(callback).not.toHaveBeenCalled();
  });

  test("is called as often as it was put on", () => {
    const controller = new AbortController();
    const callback = vi.fn();
    onAbort(controller.signal, callback);
    const off = onAbort(controller.signal, callback);
    off();
    off();
    controller.abort();
    expect(callback).toHaveBeenCalledTimes(1);
  });

  test("comes in the order in which the callbacks were put on", () => {
    const controller = new AbortController();
    const calls: number[] = [];
    for (const number of [1, 2, 3]) onAbort(controller.signal, () => calls.push(number));
    controller.abort();
    expect(calls).toEqual([1, 2, 3]);
  });

  test("finds the reason on the signal", () => {
    const controller = new AbortController();
    let reason: unknown;
    onAbort(controller.signal, () => {
      reason = controller.signal.reason;
    });
    controller.abort("enough");
    expect(reason).toBe("enough");
  });
});

describe("the listener on a signal", () => {
  test("is one, however many callbacks there are, and goes with the last of them", () => {
    const { signal } = new AbortController();
    const offs = Array.from({ length: 300 }, () => onAbort(signal, () => undefined));
    expect(listenersOf(signal)).toBe(1);
    for (const off of offs.slice(1)) off();
    expect(listenersOf(signal)).toBe(1);
    offs[0]?.();
    expect(listenersOf(signal)).toBe(0);
  });

  test("goes when the signal aborts", () => {
    const controller = new AbortController();
    onAbort(controller.signal, () => undefined);
    controller.abort();
    expect(listenersOf(controller.signal)).toBe(0);
  });

  test("comes back for a callback after the last was taken off", () => {
    const controller = new AbortController();
    const before = onAbort(controller.signal, () => undefined);
    before();
    const callback = vi.fn();
    onAbort(controller.signal, callback);
    before();
    expect(listenersOf(controller.signal)).toBe(1);
    controller.abort();
    expect(callback).toHaveBeenCalledTimes(1);
  });

  test("is each signal's own", () => {
    const one = new AbortController();
    const other = new AbortController();
    const callback = vi.fn();
    onAbort(one.signal, () => undefined);
    onAbort(other.signal, callback);
    one.abort();
    expect(callback).not.toHaveBeenCalled();
    expect(listenersOf(other.signal)).toBe(1);
  });
});

describe("a callback that acts while the signal aborts", () => {
  test("can take off one that is still to come", () => {
    const controller = new AbortController();
    const later = vi.fn();
    onAbort(controller.signal, () => {
      off();
    });
    const off = onAbort(controller.signal, later);
    controller.abort();
    expect(later).not.toHaveBeenCalled();
  });

  test("can take itself off, or one before it", () => {
    const controller = new AbortController();
    const calls: string[] = [];
    const first = onAbort(controller.signal, () => calls.push("first"));
    const second = onAbort(controller.signal, () => {
      calls.push("second");
      first();
      second();
    });
    onAbort(controller.signal, () => calls.push("third"));
    controller.abort();
    expect(calls).toEqual(["first", "second", "third"]);
  });

  test("can put on another, which is called at once", () => {
    const controller = new AbortController();
    const calls: string[] = [];
    onAbort(controller.signal, () => {
      calls.push("outer begins");
      onAbort(controller.signal, () => calls.push("inner"));
      calls.push("outer ends");
    });
    controller.abort();
    expect(calls).toEqual(["outer begins", "inner", "outer ends"]);
    expect(listenersOf(controller.signal)).toBe(0);
  });
});

test("whatever is put on and taken off, exactly the rest is called, once each", () => {
  const steps = fc.array(fc.oneof(fc.constant("on" as const), fc.nat({ max: 20 })), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(steps, (script) => {
      const controller = new AbortController();
      const called: number[] = [];
      const offs: (() => void)[] = [];
      const there = new Set<number>();
      for (const step of script) {
        if (step === "on") {
          const number = offs.length;
          offs.push(onAbort(controller.signal, () => called.push(number)));
          there.add(number);
        } else {
          offs[step]?.();
          there.delete(step);
        }
        expect(listenersOf(controller.signal)).toBe(there.size === 0 ? 0 : 1);
      }
      controller.abort();
      expect(called).toEqual([...there]);
      expect(listenersOf(controller.signal)).toBe(0);
    }),
  );
});
