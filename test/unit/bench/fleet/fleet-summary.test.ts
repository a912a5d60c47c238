import { describe, expect, test } from "vitest";

import type { FleetReport, FleetTurn } from "../../../../bench/fleet/fleet-report.js";
import { summarizeFleet, type FleetSummary } from "../../../../bench/fleet/fleet-summary.js";
import { trafficOf } from "../../../../bench/fleet/traffic.js";

type Moments = readonly [
  asked: number,
  held?: number | null,
  releasing?: number | null,
  released?: number | null,
];

const turn = ([asked, held = null, releasing = null, released = null]: Moments): FleetTurn => ({
  asked,
  held,
  releasing,
  released,
});

/** Of one client. */
const report = (...turns: readonly Moments[]): FleetReport => ({ clients: [turns.map(turn)] });

/** Measured from 100 to 300. */
function summary(...reports: readonly FleetReport[]): FleetSummary {
  return summarizeFleet(reports, { warmUpMs: 100, measureMs: 200 });
}

test("cycles are those that end within the measured time", () => {
  const first = report([0, 10, 98, 99], [99, 100, 101, 102], [102, 110, 120, 130]);
  const second = report([130, 140, 299, 300], [290, 295]);
  expect(summary(first, second)).toMatchObject({ cycles: 2, cyclesPerSecond: 10 });
});

describe("the longest wait", () => {
  test.each<[string, readonly Moments[], number, boolean]>([
    [
      "is one that began before the measured time",
      [
        [0, 120],
        [130, 140],
      ],
      120,
      true,
    ],
    [
      "is none that ended before it",
      [
        [0, 99],
        [130, 140],
      ],
      10,
      true,
    ],
    ["may go on", [[0, 120], [150]], 150, false],
    ["is none that began after it", [[130, 140], [301]], 10, true],
    ["is none without turns", [], 0, true],
  ])("%s", (_, turns, longestWaitMs, longestWaitEnded) => {
    expect(summary(report(...turns))).toMatchObject({ longestWaitMs, longestWaitEnded });
  });
});

test("clients are served once they have held a slot, in the warm-up as well", () => {
  const clients = [[turn([0, 10, 20, 30]), turn([30])], [turn([0])], [], [turn([0, 290])]];
  expect(summary({ clients }, report([0]))).toMatchObject({ shareServed: 2 / 5 });
});

describe("the most holders", () => {
  test.each<[string, readonly FleetReport[], number]>([
    ["are none among waiters", [report([0], [0])], 0],
    ["count until their release begins", [report([0, 10, 20, 90]), report([0, 30, 40, 90])], 1],
    ["count at one moment", [report([0, 10, 20], [0, 20, 30])], 1],
    ["count across processes", [report([0, 10, 20, 21]), report([0, 15, 30, 31])], 2],
    ["count who still holds", [report([0, 10], [0, 200, 210, 211], [0, 205, 206])], 3],
  ])("%s", (_, reports, mostHolders) => {
    expect(summary(...reports)).toMatchObject({ mostHolders });
  });
});

describe("the traffic of a cycle", () => {
  const counted = (turns: readonly Moments[], to: number, requests: number): FleetReport => ({
    ...report(...turns),
    wire: { from: 100, to, traffic: trafficOf((name) => (name === "requests" ? requests : 2)) },
  });

  test("is that of the cycles that ended while it was counted", () => {
    const first = counted(
      [
        [90, 95, 99, 101],
        [101, 110, 200, 204],
      ],
      205,
      12,
    );
    const second = counted(
      [
        [90, 95, 99, 202],
        [101, 200, 209, 210],
      ],
      206,
      9,
    );
    expect(summary(first, second).traffic).toMatchObject({ requests: 7, lists: 4 / 3 });
  });

  test("is unknown where there was none, or nothing was counted", () => {
    expect(summary(counted([[90, 95]], 205, 12)).traffic).toBeNull();
    expect(summary(report([101, 102, 103, 104])).traffic).toBeNull();
  });
});
