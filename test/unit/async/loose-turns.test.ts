import { getEventListeners } from "node:events";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { LooseTurns } from "../../../src/async/loose-turns.js";
import { after, silence } from "../failures.js";
import { Watched } from "../outcome.js";
import { rejectionOf } from "../rejection.js";

const PATIENCE = 100;

let turns: LooseTurns;
let start: number;
/** When each call was made. */
let made: Record<string, number>;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  start = performance.now();
  turns = new LooseTurns(PATIENCE);
  made = {};
});

afterEach(() => {
  vi.useRealTimers();
});

/** A call that lasts so long. */
function call(name: string, ms: number): Watched<string> {
  return new Watched(
    turns.run(async () => {
      made[name] = performance.now() - start;
      await after(ms, undefined);
      return name;
    }),
  );
}

describe("calls that take turns", () => {
  test("begin at once where nobody else is at it", async () => {
    let isMade = false;
    const result = turns.run(() => {
      isMade = true;
      return Promise.resolve("result");
    });
    expect(isMade).toBe(true);
    expect(await result).toBe("result");
    await vi.advanceTimersByTimeAsync(0);
    call("next", 10);
    expect(made).toEqual({ next: 0 });
  });

  test("go one after the other, in the order in which they came", async () => {
    const calls = [call("a", 30), call("b", 20), call("c", 10)];
    await vi.advanceTimersByTimeAsync(PATIENCE);
    expect(made).toEqual({ a: 0, b: 30, c: 50 });
    expect(calls.map(({ outcome }) => outcome)).toEqual([
      { value: "a", at: start + 30 },
      { value: "b", at: start + 50 },
      { value: "c", at: start + 60 },
    ]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("go on after one that failed, which keeps its failure to itself", async () => {
    const failure = new Error("it failed");
    const failing = rejectionOf(
      turns.run(async () => {
        await after(10, undefined);
        throw failure;
      }),
    );
    const next = call("next", 10);
    await vi.advanceTimersByTimeAsync(20);
    expect(await failing).toBe(failure);
    expect(next.outcome).toEqual({ value: "next", at: start + 20 });
  });

  test("go ahead all the same once they have waited long enough", async () => {
    void turns.run(silence);
    call("second", 30);
    await vi.advanceTimersByTimeAsync(60);
    call("third", 10);
    await vi.advanceTimersByTimeAsync(PATIENCE);
    expect(made).toEqual({ second: PATIENCE, third: 60 + PATIENCE });
  });

  test("wait for all that are still at it, not just for the last", async () => {
    call("slow", 130);
    call("quick", 10);
    await vi.advanceTimersByTimeAsync(115);
    // The second has gone ahead and is done; the first still is at it.
    call("third", 10);
    await vi.advanceTimersByTimeAsync(PATIENCE);
    expect(made).toEqual({ slow: 0, quick: PATIENCE, third: 130 });
  });

  test("leave nothing behind", async () => {
    const listeners = vi.spyOn(AbortSignal.prototype, "addEventListener");
    call("first", 10);
    call("second", 10);
    await vi.advanceTimersByTimeAsync(20);
    expect(vi.getTimerCount()).toBe(0);
    const signals = listeners.mock.contexts.filter((context) => context instanceof AbortSignal);
    expect(signals).toHaveLength(1);
    for (const signal of signals) expect(getEventListeners(signal, "abort")).toEqual([]);
    listeners.mockRestore();
  });
});
