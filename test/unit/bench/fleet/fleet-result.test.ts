import { describe, expect, test } from "vitest";

import { parseFleet } from "../../../../bench/fleet/fleet.js";
import { isWithinLimit, judgeFleets } from "../../../../bench/fleet/fleet-goals.js";
import type { FleetResult } from "../../../../bench/fleet/fleet-result.js";
import { fleetHeader, fleetLines } from "../../../../bench/fleet/fleet-table.js";
import type { FleetSummary } from "../../../../bench/fleet/fleet-summary.js";
import type { FleetOutcome } from "../../../../bench/fleet/run-fleet.js";
import { trafficOf } from "../../../../bench/fleet/traffic.js";

const measured = (given: Partial<FleetSummary> = {}): FleetOutcome => ({
  kind: "measured",
  ...{ cycles: 1, cyclesPerSecond: 100, longestWaitMs: 1_234, longestWaitEnded: true },
  ...{ shareServed: 1, mostHolders: 2, traffic: null },
  ...given,
});

const failed: FleetOutcome = { kind: "failed", reason: "EOF" };

const counted = (requests = 10, lists = 1): FleetOutcome =>
  measured({ traffic: { ...trafficOf(() => 0.5), requests, lists, bytesRead: 12_345 } });

const result = (name: string, given: Partial<FleetResult> = {}): FleetResult => ({
  fleet: parseFleet(name),
  ours: [measured()],
  counted: counted(),
  ...given,
});

/** Of each goal that has this in its name, what was found and whether it is met. */
function verdicts(part: string, ...results: readonly FleetResult[]): [string, boolean][] {
  return judgeFleets(results)
    .filter(({ goal }) => goal.includes(part))
    .map(({ found, met }) => [found, met]);
}

describe("the goals", () => {
  test.each([
    ["1x0", 40, true],
    ["8x0", 50, true],
    ["8x0", 51, false],
    ["32x0", 100 / 6, true],
    ["32x0", 17, false],
    ["100x0", 5, true],
    ["100x0", 5.1, false],
  ])("compare the medians of %s with Go's: 100 and %d", (name, cyclesPerSecond, met) => {
    const go = [
      measured({ cyclesPerSecond: 0 }),
      measured({ cyclesPerSecond: 2 * cyclesPerSecond }),
    ];
    const ours = [measured({ cyclesPerSecond: 50 }), measured({ cyclesPerSecond: 150 })];
    expect(verdicts("as many cycles as Go", result(name, { ours, go }))).toEqual([
      [(100 / cyclesPerSecond).toFixed(1), met],
    ]);
  });

  test("say nothing of Go where it was not measured, and are missed where one fails", () => {
    const go = [measured()];
    const part = "as many cycles as Go";
    expect(verdicts(part, result("8x0"))).toEqual([]);
    expect(verdicts(part, result("8x0", { go: [failed] }))).toEqual([["Go fails: EOF", false]]);
    expect(verdicts(part, result("8x0", { go, ours: [measured(), failed] }))).toEqual([
      ["fails: EOF", false],
    ]);
  });

  test.each([
    [2.5, true],
    // A request of a cycle that ended later.
    [2.5002, true],
    [2.51, false],
  ])("count %d requests a cycle, half a renewal among them", (requests, met) => {
    const found = verdicts(
      "1x0: at most 2.0 requests",
      result("1x0", { counted: counted(requests) }),
    );
    expect(found).toEqual([["2.0", met]]);
  });

  test.each(["300x0", "1000x0"])("ask of %s that every client has its turn", (name) => {
    const part = "have had a slot";
    const unfair = [measured(), measured({ shareServed: 0.9 })];
    expect(verdicts(part, result(name))).toEqual([["100 %", true]]);
    expect(verdicts(part, result(name, { ours: unfair }))).toEqual([["90 %", false]]);
    expect(verdicts(part, result(name, { ours: [failed] }))).toEqual([["fails: EOF", false]]);
  });

  test.each([
    ["8x20", 80, true],
    ["100x20", 79.9, false],
  ])("ask of %s for 80 %% of the ideal: %d of 100", (name, cyclesPerSecond, met) => {
    const ours = [measured({ cyclesPerSecond })];
    expect(verdicts("of the ideal", result(name, { ours }))).toEqual([["80 %", met]]);
  });

  test.each([
    ["300x0", 60, true],
    ["300x0", 59, false],
    ["1000x0", 40, true],
    ["1000x0", 39, false],
  ])("compare %s with 8 clients: %d of 100", (name, cyclesPerSecond, met) => {
    const many = result(name, { ours: [measured({ cyclesPerSecond })] });
    expect(verdicts("of the cycles of 8x0", result("8x0"), many)).toEqual([
      [`${cyclesPerSecond} %`, met],
    ]);
    expect(verdicts("of the cycles of 8x0", many)).toEqual([]);
  });

  test.each(["100x0", "100x20", "100x200"])("look at what %s sends and reads", (name) => {
    // Half a renewal a cycle.
    expect(verdicts("a cycle", result(name, { counted: counted(12.5, 1.3) }))).toEqual([
      ["12.0", true],
      ["1.30", false],
      ["21 %", true],
    ]);
    expect(verdicts("requests a cycle", result(name, { counted: failed }))).toEqual([
      ["fails: EOF", false],
    ]);
    expect(verdicts("requests a cycle", result(name, { counted: measured() }))).toEqual([
      ["no cycle", false],
    ]);
  });
});

test.each<[string, Partial<FleetResult>, number, boolean]>([
  ["in one round", { ours: [measured(), measured({ mostHolders: 3 })] }, 3, false],
  ["while it is counted", { counted: measured({ mostHolders: 3 }) }, 3, false],
  ["in the original only", { go: [measured({ mostHolders: 3 })] }, 2, true],
])("the limit is exceeded %s", (_, given, found, within) => {
  expect(isWithinLimit(result("5x5", given))).toBe(within);
  expect(verdicts("never more than 2", result("5x5", given))).toEqual([[String(found), within]]);
});

describe("the table", () => {
  test("has a line for each program", () => {
    const go = [measured({ cyclesPerSecond: 8, longestWaitEnded: false })];
    const lines = [fleetHeader(), ...fleetLines(result("300x20x10", { go, bare: go, floor: 90 }))];
    expect(lines.map((line) => line.trim().split(/ {2,}/))).toEqual([
      expect.arrayContaining(["fleet", "cycles/s", "x Go", "ideal", "requests", "kB"]),
      ["300x20x10", "ours", "100", "12.5", "20 %", "1.23 s", "100 %", "2"].concat([
        "10.00",
        "1.00",
        "0.50",
        "0.50",
        "0.50",
        "0.50",
        "0.50",
        "0.50",
        "12.3",
      ]),
      ["Go", "8.00", "2 %", "> 1.23 s", "100 %", "2"],
      ["bare", "8.00", "2 %", "> 1.23 s", "100 %", "2"],
      ["floor", "90.0"],
    ]);
  });

  test("says why one fails, and has no figures that are unknown", () => {
    const lines = fleetLines(result("8x0", { counted: failed, go: [measured(), failed] }));
    expect(lines.map((line) => line.trim().split(/ {2,}/))).toEqual([
      ["8x0", "ours", "100", "1.23 s", "100 %", "2"],
      ["Go", "fails: EOF"],
    ]);
  });
});
