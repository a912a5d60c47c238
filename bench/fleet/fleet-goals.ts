import { percent } from "../text-row.js";
import type { Verdict } from "../verdict.js";
import {
  failureOf,
  figuresOf,
  mostHoldersOf,
  ratioToGo,
  trafficOfResult,
  type FleetResult,
} from "./fleet-result.js";

/** A figure of which there can be a goal. */
interface Figure {
  readonly what: string;
  /** Undefined where it fails. */
  readonly of: (result: FleetResult) => number | undefined;
  readonly show: (value: number) => string;
}

const timesGo: Figure = {
  what: "times as many cycles as Go",
  of: ratioToGo,
  show: (value) => value.toFixed(1),
};
const shareServed: Figure = {
  what: "of the clients have had a slot",
  of: ({ fleet, ours }) => figuresOf(fleet, ours)?.shareServed,
  show: percent,
};
const shareOfIdeal: Figure = {
  what: "of the ideal",
  of: ({ fleet, ours }) => figuresOf(fleet, ours)?.shareOfIdeal,
  show: percent,
};
const requests: Figure = {
  what: "requests a cycle",
  of: (result) => trafficOfResult(result)?.requests,
  show: (value) => value.toFixed(1),
};
const lists: Figure = {
  what: "lists a cycle",
  of: (result) => trafficOfResult(result)?.lists,
  show: (value) => value.toFixed(2),
};

type Goal = {
  /** The fleets' names. */
  readonly fleets: readonly string[];
  readonly figure: Figure;
} & ({ readonly atLeast: number } | { readonly atMost: number });

const goals: readonly Goal[] = [
  { fleets: ["8x0"], figure: timesGo, atLeast: 1 },
  { fleets: ["32x0"], figure: timesGo, atLeast: 5 },
  { fleets: ["100x0"], figure: timesGo, atLeast: 20 },
  { fleets: ["300x0", "1000x0"], figure: shareServed, atLeast: 1 },
  { fleets: ["8x20", "32x20", "100x20"], figure: shareOfIdeal, atLeast: 0.8 },
  { fleets: ["100x0", "100x20", "100x200"], figure: requests, atMost: 12 },
  { fleets: ["100x0", "100x20", "100x200"], figure: lists, atMost: 1.2 },
];

/** The goals about which the results say something. */
export function judgeFleets(results: readonly FleetResult[]): Verdict[] {
  return [
    ...goals.flatMap((goal) =>
      results
        .filter(({ fleet }) => goal.fleets.includes(fleet.name))
        .filter(({ go }) => goal.figure !== timesGo || go !== undefined)
        .map((result) => judge(goal, result)),
    ),
    ...results.map((result) => ({
      goal: `${result.fleet.name}: never more than ${result.fleet.limit} hold`,
      found: String(mostHoldersOf(result)),
      met: isWithinLimit(result),
    })),
  ];
}

/** Whether the semaphore has been one. */
export function isWithinLimit(result: FleetResult): boolean {
  return mostHoldersOf(result) <= result.fleet.limit;
}

function judge(goal: Goal, result: FleetResult): Verdict {
  const { what, of, show } = goal.figure;
  const value = of(result);
  const [bound, limit, meets] =
    "atLeast" in goal
      ? ["at least", goal.atLeast, (value ?? NaN) >= goal.atLeast]
      : ["at most", goal.atMost, (value ?? NaN) <= goal.atMost];
  return {
    goal: `${result.fleet.name}: ${bound} ${show(limit)} ${what}`,
    found: value === undefined ? whyMissing(result) : show(value),
    met: meets,
  };
}

function whyMissing({ ours, counted, go = [] }: FleetResult): string {
  const own = failureOf([...ours, counted]);
  if (own !== undefined) return `fails: ${own}`;
  const its = failureOf(go);
  return its === undefined ? "no cycle" : `Go fails: ${its}`;
}
