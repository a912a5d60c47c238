import { getEventListeners } from "node:events";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { settleAfterAbort } from "../../../src/async/settle-after-abort.js";

const listenersOf = (signal: AbortSignal): number => getEventListeners(signal, "abort").length;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** A promise that settles when it is told to. */
function pending() {
  let resolve: (value: string) => void = () => undefined;
  let reject: (reason: unknown) => void = () => undefined;
  const promise = new Promise<string>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/** How a promise has settled so far. */
function watch(promise: Promise<string>): { outcome: string } {
  const state = { outcome: "pending" };
  promise.then(
    (value) => {
      state.outcome = `resolved: ${value}`;
    },
    (reason: unknown) => {
      state.outcome = `rejected: ${String(reason)}`;
    },
  );
  return state;
}

const GRACE_MS = 100;

describe("settling after an abort", () => {
  test("is the promise itself without a signal", () => {
    const { promise } = pending();
    expect(settleAfterAbort(promise, undefined, GRACE_MS)).toBe(promise);
  });

  test.each([
    ["resolves", "resolved: value"],
    ["rejects", "rejected: reason"],
  ])("is what the promise %s to without an abort, and leaves no listener", async (how, outcome) => {
    const { signal } = new AbortController();
    const { promise, resolve, reject } = pending();
    const state = watch(settleAfterAbort(promise, signal, GRACE_MS));
    await vi.advanceTimersByTimeAsync(10 * GRACE_MS);
    expect(state.outcome).toBe("pending");
    if (how === "resolves") resolve("value");
    else reject("reason");
    await vi.advanceTimersByTimeAsync(0);
    expect(state.outcome).toBe(outcome);
    expect(listenersOf(signal)).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("gives the promise its grace to settle by itself", async () => {
    const controller = new AbortController();
    const { promise, reject } = pending();
    const state = watch(settleAfterAbort(promise, controller.signal, GRACE_MS));
    controller.abort("aborted");
    await vi.advanceTimersByTimeAsync(GRACE_MS - 1);
    expect(state.outcome).toBe("pending");
    reject("cleared away");
    await vi.advanceTimersByTimeAsync(0);
    expect(state.outcome).toBe("rejected: cleared away");
    expect(vi.getTimerCount()).toBe(0);
  });

  test("lets a promise that resolves in its grace resolve", async () => {
    const controller = new AbortController();
    const { promise, resolve } = pending();
    const state = watch(settleAfterAbort(promise, controller.signal, GRACE_MS));
    controller.abort("aborted");
    resolve("value");
    await vi.advanceTimersByTimeAsync(0);
    expect(state.outcome).toBe("resolved: value");
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each(["resolves", "rejects"])(
    "rejects with the reason after the grace, whatever the promise does later: it %s",
    async (how) => {
      const controller = new AbortController();
      const { promise, resolve, reject } = pending();
      const state = watch(settleAfterAbort(promise, controller.signal, GRACE_MS));
      controller.abort("aborted");
      await vi.advanceTimersByTimeAsync(GRACE_MS);
      expect(state.outcome).toBe("rejected: aborted");
      if (how === "resolves") resolve("too late");
      else reject("too late");
      await vi.advanceTimersByTimeAsync(GRACE_MS);
      expect(state.outcome).toBe("rejected: aborted");
      expect(vi.getTimerCount()).toBe(0);
      expect(listenersOf(controller.signal)).toBe(0);
    },
  );

  test("counts the grace from the call where the signal has aborted before", async () => {
    const state = watch(settleAfterAbort(pending().promise, AbortSignal.abort("over"), GRACE_MS));
    await vi.advanceTimersByTimeAsync(GRACE_MS - 1);
    expect(state.outcome).toBe("pending");
    await vi.advanceTimersByTimeAsync(1);
    expect(state.outcome).toBe("rejected: over");
  });
});
