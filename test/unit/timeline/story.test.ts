// What befalls the workers of the demo, what it tells of that, and when it fails.
import { describe, expect, test } from "vitest";

import { headlinesOf } from "../../../examples/timeline/headlines.js";
import { Plot, type Act } from "../../../examples/timeline/plot.js";
import { shortcomingsOf, summaryOf } from "../../../examples/timeline/summary.js";
import { advance } from "../../../examples/timeline/view/timeline.js";
import { mishaps, timelineOf, type Events } from "./runs.js";

describe("the plot", () => {
  const waiters: Events = [
    [0, "w2", "waits"],
    [100, "w3", "waits"],
  ];
  const plays = (events: Events, ...at: number[]): [number, Act, string][] => {
    const plot = new Plot();
    return at.flatMap((now) => {
      const known = events.filter(([when]) => when <= now);
      const next = plot.next(timelineOf(...known), now);
      return next === undefined ? [] : [[now, next.act, next.worker]];
    });
  };

  test("begins with the first in line, and not before all are there", () => {
    expect(plays(waiters, 2_499, 2_500)).toEqual([[2_500, "lingers", "w2"]]);
    expect(plays([], 5_000)).toEqual([]);
  });

  test("befalls holders that have been seen holding, one after the other", () => {
    const events: Events = [
      ...waiters,
      [3_000, "w2", "acquires"],
      [3_600, "w2", "goes silent"],
      [6_000, "w2", "loses its slot"],
      [6_100, "w2", "waits"],
      [7_000, "w3", "acquires"],
      [7_200, "w1", "acquires"],
    ];
    const frames = Array.from({ length: 100 }, (_, number) => number * 100);
    expect(plays(events, ...frames)).toEqual([
      [2_500, "lingers", "w2"],
      [3_600, "goes silent", "w2"],
      [6_000, "lingers", "w3"],
      [7_800, "is back", "w2"],
      [7_900, "is killed", "w3"],
    ]);
  });
});

describe("the verdict", () => {
  test("is good when both slots were taken over, after their workers had stopped", () => {
    expect(shortcomingsOf(mishaps)).toEqual([]);
    expect(summaryOf(mishaps)).toEqual([
      "Turns: w1 2, w2 1 (killed), w3 2.",
      "Most slots in use at once: 2 of 2.",
      "In a silent network, w1 was told after 2.5 s that its slot was lost, 3.0 s before w3 took it over.",
      "The slot of w2 stayed taken for 5.0 s after its kill, then w3 took it over.",
    ]);
  });

  test("is bad when nothing befell anybody", () => {
    expect(shortcomingsOf(timelineOf([1, "w1", "acquires"]))).toEqual([
      "No worker's network went silent while it held a slot.",
      "No worker was killed while it held a slot.",
    ]);
  });

  const killed: Events = [
    [20_000, "w3", "acquires"],
    [21_000, "w3", "is killed"],
    [24_000, "w1", "acquires"],
    [25_000, "w2", "acquires"],
  ];
  const held: Events = [
    [1, "w1", "acquires"],
    [2, "w2", "acquires"],
    [3, "w1", "goes silent"],
  ];
  test.each<[string, string[], Events]>([
    [
      "somebody had the slot before its worker was told",
      [
        "3 workers held a slot at once, and there are only 2 slots.",
        "No worker was killed while it held a slot.",
        "Nobody took over the slot of w1.",
      ],
      [
        ...held,
        [4, "w3", "acquires"],
        [5, "w1", "loses its slot"],
        [6, "w3", "releases"],
        [7, "w2", "releases"],
      ],
    ],
    [
      "the worker was not told",
      ["w1 was not told that its slot was lost."],
      [...held, [4, "w2", "releases"], [5, "w1", "releases"], ...killed],
    ],
    [
      "nobody took over",
      ["Nobody took over the slot of w1.", "Nobody took over the slot of w2."],
      [...held, [4, "w1", "loses its slot"], [5, "w2", "is killed"]],
    ],
    [
      "the network went silent around one that did not hold",
      ["No worker's network went silent while it held a slot."],
      [[1, "w1", "waits"], [2, "w1", "goes silent"], [3, "w1", "is back"], ...killed],
    ],
  ])("is bad when %s", (_, shortcomings, events) => {
    expect(shortcomingsOf(timelineOf(...events))).toEqual(shortcomings);
  });

  test("is bad when a worker failed", () => {
    const failed = advance(mishaps, { at: 16_000, worker: "w1", type: "fails", problem: "why" });
    expect(shortcomingsOf(failed)).toEqual(["w1 failed: why"]);
    expect(headlinesOf(failed, 3_000).at(-1)).toEqual({ at: 16_000, text: "w1 failed: why" });
  });
});

test("the headlines tell of both mishaps", () => {
  expect(headlinesOf(mishaps, 3_000).map(({ at, text }) => [at, text.split(/[:,.] /)[0]])).toEqual([
    [2_500, "The network of w1"],
    [5_000, "w1 was told that its slot is lost"],
    [8_000, "w3 took over the slot of w1"],
    [8_500, "The network of w1 is back."],
    [10_000, "w2 was killed while holding"],
    [15_000, "w3 took over the slot of w2"],
  ]);
});
