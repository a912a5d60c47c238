import { afterEach, describe, expect, test, vi } from "vitest";

import { Backoff } from "../../../src/async/backoff.js";

afterEach(() => {
  vi.restoreAllMocks();
});

const pausesOf = (backoff: Backoff, count: number): number[] =>
  Array.from({ length: count }, () => backoff.next());

describe("the pauses", () => {
  test("double until they are the longest", () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const backoff = new Backoff({ first: 50, longest: 1_000 });
    expect(pausesOf(backoff, 7)).toEqual([50, 100, 200, 400, 800, 1_000, 1_000]);
  });

  test("are shortened by up to a half, which does not add up", () => {
    vi.spyOn(Math, "random").mockReturnValue(1);
    const backoff = new Backoff({ first: 100, longest: 400 });
    expect(pausesOf(backoff, 4)).toEqual([50, 100, 200, 200]);
  });

  test("are so many times longer as is asked for, the next one too if it is asked for again", () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const backoff = new Backoff({ first: 100, longest: 300 });
    expect([backoff.next(4), backoff.next(4), backoff.next(), backoff.next(4)]).toEqual([
      400, 800, 300, 1_200,
    ]);
  });

  test("differ from one to the next who waits, between half and whole", () => {
    const pauses = Array.from({ length: 100 }, () =>
      new Backoff({ first: 1_000, longest: 2_000 }).next(),
    );
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(500);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(1_000);
    expect(new Set(pauses).size).toBeGreaterThan(1);
  });

  test("start again after a success", () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const backoff = new Backoff({ first: 50, longest: 1_000 });
    pausesOf(backoff, 5);
    backoff.reset();
    expect(pausesOf(backoff, 2)).toEqual([50, 100]);
  });
});
