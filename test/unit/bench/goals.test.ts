import { describe, expect, test } from "vitest";

import { judge } from "../../../bench/goals.js";
import type { Results, ScenarioResult, Showing } from "../../../bench/results.js";
import { scenarios } from "../../../bench/scenario.js";
import type { Outcome } from "../../../bench/trial.js";
import type { Verdict } from "../../../bench/verdict.js";

interface Given {
  readonly cyclesPerSecond?: number;
  readonly longestOverMedian?: number;
}

const measured = ({ cyclesPerSecond = 500, longestOverMedian = 2 }: Given = {}): Outcome => ({
  kind: "measured",
  ...{ cycles: 1, cyclesSeen: 1, cyclesPerSecond, longestOverMedian },
  ...{ acquire: { p50: 1, p99: 2, max: 3 }, acquireCurve: [] },
  ...{ overtaken: 0, clientCpuPerCycle: 1, consulCpuPerCycle: 1, peakRssBytes: 1 },
});

interface OnTheWire {
  readonly requests?: number;
  readonly bytesRead?: number;
  readonly connections?: number;
  readonly renewals?: number;
}

const showing = (
  rounds: readonly Outcome[],
  { requests = 2, bytesRead = 1_000, connections = 9, renewals = 0 }: OnTheWire = {},
): Showing => ({
  rounds,
  wire: {
    kind: "counted",
    ...{ requests, writes: 2, bytesRead, bytesWritten: 1, connections },
    requestsByKind: { "PUT /v1/session/renew/ID": renewals },
  },
});

const failed: Outcome = { kind: "failed", reason: "EOF" };

function result(name: string, ours: Showing, go?: Showing): ScenarioResult {
  const scenario = scenarios.find((candidate) => candidate.name === name);
  if (scenario === undefined) throw new Error(`no scenario ${name}`);
  return { scenario, ours, ...(go === undefined ? {} : { go }) };
}

/** Whether each goal was met that has this in its name. */
function verdicts(part: string, ...results: readonly ScenarioResult[]): readonly boolean[] {
  return judged(part, results).map(({ met }) => met);
}

/** What was found of each goal that has this in its name. */
function found(part: string, ...results: readonly ScenarioResult[]): readonly string[] {
  return judged(part, results).map((verdict) => verdict.found);
}

function judged(part: string, results: readonly ScenarioResult[]): readonly Verdict[] {
  const machine = { cpu: "", cores: 2, memoryBytes: 1, node: "", consul: "", go: "" };
  const all: Results = {
    machine,
    measureMs: 1,
    scenarios: results,
    twoWrites: {},
  };
  return judge(all).filter(({ goal }) => goal.includes(part));
}

describe("the goals", () => {
  test("say nothing of what was not measured", () => {
    expect(verdicts("")).toEqual([]);
    expect(verdicts("as many cycles as Go", result("dev:8:0", showing([measured()])))).toEqual([]);
  });

  test.each([
    ["dev:1:0", 2.5],
    ["dev:8:0", 3],
    ["dev:32:0", 10],
    ["dev:100:0", 40],
    ["dev:10x10:0", 20],
  ])("ask of %s for %d times as many cycles as Go, in the same round", (name, times) => {
    const go = showing([measured({ cyclesPerSecond: 10 }), measured({ cyclesPerSecond: 20 })]);
    const ours = (by: number): Showing =>
      showing([measured({ cyclesPerSecond: 10 * by }), measured({ cyclesPerSecond: 20 * by })]);
    expect(verdicts("as many cycles as Go", result(name, ours(times), go))).toEqual([true]);
    expect(verdicts("as many cycles as Go", result(name, ours(times * 0.99), go))).toEqual([false]);
  });

  test("are missed where ours fails", () => {
    const go = showing([measured()]);
    expect(verdicts("as many cycles as Go", result("dev:8:0", showing([failed]), go))).toEqual([
      false,
    ]);
    expect(verdicts("at most 10 connections", result("dev:300:0", showing([failed])))).toEqual([
      false,
    ]);
  });

  test.each([
    [10, true],
    [11, false],
  ])("allow 300 contenders 10 connections: %d", (connections, met) => {
    const ours = showing([measured()], { connections });
    expect(verdicts("at most 10 connections", result("dev:300:0", ours))).toEqual([met]);
  });

  test.each([
    [250, true],
    [249, false],
  ])("ask of 100 contenders for half of what 8 do: %d of 500", (cyclesPerSecond, met) => {
    const few = result("dev:8:0", showing([measured({ cyclesPerSecond: 500 })]));
    const many = result("dev:100:0", showing([measured({ cyclesPerSecond })]));
    expect(verdicts("half the cycles", few, many)).toEqual([met]);
  });

  test.each([
    [85, true],
    [84.9, false],
  ])("ask for 85 % of the ideal with a hold: %d", (cyclesPerSecond, met) => {
    const good = result("dev:8:20", showing([measured({ cyclesPerSecond: 99 })]));
    const other = result("dev:100:20", showing([measured({ cyclesPerSecond })]));
    expect(verdicts("with a hold of 20 ms", good, other)).toEqual([met]);
  });

  test("show beside it what a queue in memory does, and what is renewed", () => {
    const held = result("dev:8:20", showing([measured({ cyclesPerSecond: 80 })]));
    const few = result("dev:8:0", showing([measured()]));
    const many = result("dev:300:0", showing([measured()], { requests: 3, renewals: 0.75 }));
    const results = [{ ...held, inMemory: measured({ cyclesPerSecond: 82 }) }, few, many];
    expect(found("with a hold of 20 ms", ...results)).toEqual([
      "80 % (dev:8:20); with a queue in memory before two KV writes 82 %",
    ]);
    expect(found("requests per cycle", ...results)).toEqual([
      "2.00 at 8, 3.00 at 300; of these renewals 0.00 at 8, 0.75 at 300",
    ]);
  });

  test.each([
    [3, true],
    [3.01, false],
  ])("allow the longest wait 3 times the median: %d", (longestOverMedian, met) => {
    const good = result("cluster:8:0", showing([measured()]));
    const other = result("cluster:32:20", showing([measured({ longestOverMedian })]));
    expect(verdicts("the longest wait", good, other)).toEqual([met]);
  });

  test.each([
    ["as the contenders", { bytesRead: 4_000 }, [true, true]],
    ["faster than the contenders", { bytesRead: 4_500 }, [false, true]],
    ["with more requests", { requests: 2.3 }, [true, false]],
  ])("look at how bytes and requests grow: %s", (_, wire, met) => {
    const few = result("dev:8:0", showing([measured()]));
    const many = result("dev:32:0", showing([measured()], wire));
    expect(verdicts("per cycle", few, many)).toEqual(met);
  });
});
