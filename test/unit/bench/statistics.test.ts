import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { LogScale } from "../../../bench/drawing/log-scale.js";
import { QueueInMemory } from "../../../bench/load/queue-in-memory.js";
import { ascending, median, quantile } from "../../../bench/statistics.js";
import { summarize } from "../../../bench/trial-summary.js";

describe("of a number of values", () => {
  test.each([
    [[3], 0.5, 3],
    [[1, 2, 3, 4], 0.5, 2],
    [[1, 2, 3, 4], 0.51, 3],
    [[1, 2, 3, 4], 0, 1],
    [[1, 2, 3, 4], 1, 4],
  ])("%j, the share %d lies below %d", (values, share, expected) => {
    expect(quantile(values, share)).toBe(expected);
  });

  test("the median has as many below as above", () => {
    expect(median([5, 1, 9])).toBe(5);
    expect(median([10, 9, 1, 2])).toBe(5.5);
    expect(ascending([10, 9, 1])).toEqual([1, 9, 10]);
  });
});

describe("a logarithmic scale", () => {
  test("gives each factor of ten the same space", () => {
    const scale = new LogScale(1, 1_000, 0, 300);
    expect([1, 10, 100, 1_000].map((value) => Math.round(scale.place(value)))).toEqual([
      0, 100, 200, 300,
    ]);
    expect(scale.ticks).toEqual([1, 10, 100, 1_000]);
  });

  test("has ticks in between where it spans little", () => {
    expect(new LogScale(10, 200, 0, 1).ticks).toEqual([10, 20, 50, 100, 200]);
  });

  test("has room for all values", () => {
    const anyValue = fc.double({ min: 1e-3, max: 1e6, noNaN: true });
    fc.assert(
      fc.property(fc.array(anyValue, { minLength: 1 }), (values) => {
        const scale = LogScale.around(values, 0, 100);
        for (const value of values) {
          expect(scale.place(value)).toBeGreaterThanOrEqual(-1e-6);
          expect(scale.place(value)).toBeLessThanOrEqual(100 + 1e-6);
        }
        expect(scale.ticks.length).toBeGreaterThan(1);
      }),
    );
  });
});

test.each([1, 2])(
  "a queue in memory lets %d in at a time, in the order of arrival",
  async (limit) => {
    const queue = new QueueInMemory(limit);
    const entered: number[] = [];
    let inside = 0;
    let most = 0;
    const visit = async (who: number): Promise<void> => {
      await queue.enter();
      inside += 1;
      most = Math.max(most, inside);
      entered.push(who);
      await Promise.resolve();
      inside -= 1;
      queue.leave();
    };
    await Promise.all([1, 2, 3].map(visit));
    await Promise.all([4, 5, 6].map(visit));
    expect(entered).toEqual([1, 2, 3, 4, 5, 6]);
    expect(most).toBe(limit);
  },
);

describe("what a trial comes to", () => {
  const load = { address: "", prefix: "", limit: 1, contenders: 2, holdMs: 0 };
  const times = { warmUpMs: 100, measureMs: 200 };
  const seen = { from: 110, to: 290, consulCpuMs: 90 };
  const report = (turns: [number, number, number, number | null][]) => ({
    turns,
    cpuMs: 6,
    peakRssBytes: 10,
  });

  test("counts turns that end in the measured time, and waits that begin in it", () => {
    const summary = summarize(
      [
        report([
          [0, 50, 99, 1],
          [90, 95, 105, 2],
          [120, 122, 130, 3],
        ]),
        report([
          [130, 140, 150, 4],
          [280, 310, 320, 5],
        ]),
      ],
      { ...load, ...times },
      seen,
    );
    expect(summary).toMatchObject({
      cycles: 3,
      cyclesSeen: 2,
      cyclesPerSecond: 15,
      acquire: { p50: 10, max: 30 },
      longestOverMedian: 3,
      clientCpuPerCycle: 4,
      consulCpuPerCycle: 45,
      peakRssBytes: 20,
    });
  });

  test("is nothing where no turn ends", () => {
    expect(() => summarize([report([[0, 1, 2, 3]])], { ...load, ...times }, seen)).toThrow(
      "no turn within the measured time",
    );
  });
});
