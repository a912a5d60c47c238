import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { settledWithin } from "../../../src/async/settled-within.js";
import { after, silence } from "../failures.js";
import { Watched } from "../outcome.js";

let start: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  start = performance.now();
});

afterEach(() => {
  vi.useRealTimers();
});

describe("a wait for work to settle", () => {
  test.each([
    ["resolves", (): Promise<unknown> => after(40, "done")],
    ["rejects", (): Promise<unknown> => after(40, "done").then(() => Promise.reject(new Error()))],
  ])("ends when it %s, and leaves no timer", async (_, work) => {
    const waiting = new Watched(settledWithin(100, work()));
    await vi.advanceTimersByTimeAsync(39);
    expect(waiting.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(waiting.outcome).toEqual({ value: undefined, at: start + 40 });
    expect(vi.getTimerCount()).toBe(0);
  });

  test("ends when the time is over, and the work may fail later", async () => {
    const late = after(200, undefined).then(() => Promise.reject(new Error("too late")));
    const waiting = new Watched(settledWithin(100, late));
    await vi.advanceTimersByTimeAsync(200);
    expect(waiting.outcome).toEqual({ value: undefined, at: start + 100 });
  });

  test("may last for good, for which there is no timer", () => {
    void settledWithin(Infinity, silence());
    expect(vi.getTimerCount()).toBe(0);
  });
});
