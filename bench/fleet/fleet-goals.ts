import { percent } from "../text-row.js";
import type { Verdict } from "../verdict.js";
import { fleets } from "./fleet.js";
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
  readonly of: (result: FleetResult, all: readonly FleetResult[]) => number | undefined;
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
  what: "requests a cycle, renewals apart",
  of: (result) => {
    const traffic = trafficOfResult(result);
    // Of a cycle at either end of the measured time a part of the requests is counted.
    return traffic && Math.round(100 * (traffic.requests - traffic.renewals)) / 100;
  },
  show: (value) => value.toFixed(1),
};
const lists: Figure = {
  what: "lists a cycle",
  of: (result) => trafficOfResult(result)?.lists,
  show: (value) => value.toFixed(2),
};
/** 0.5 kB for each client and 8 kB: the list grows with the fleet. */
const bytes: Figure = {
  what: "of 0.5 kB a client and 8 kB a cycle",
  of: (result) => {
    const read = trafficOfResult(result)?.bytesRead;
    return read && read / (500 * result.fleet.clients + 8_000);
  },
  show: percent,
};
/** Of how many cycles there are with few clients. */
const shareOfFew: Figure = {
  what: "of the cycles of 8x0",
  of: (result, all) => {
    const few = all.find(({ fleet }) => fleet.name === "8x0");
    const [own, its] = [result, few].map((it) => it && figuresOf(it.fleet, it.ours));
    return own && its && own.cyclesPerSecond / its.cyclesPerSecond;
  },
  show: percent,
};

type Goal = {
  /** The fleets' names. */
  readonly fleets: readonly string[];
  readonly figure: Figure;
} & ({ readonly atLeast: number } | { readonly atMost: number });

/** One that need not wait, lists nothing. */
const waiting = fleets.filter(({ clients }) => clients > 1).map(({ name }) => name);

const goals: readonly Goal[] = [
  { fleets: ["1x0"], figure: timesGo, atLeast: 2.5 },
  { fleets: ["8x0"], figure: timesGo, atLeast: 2 },
  { fleets: ["32x0"], figure: timesGo, atLeast: 6 },
  { fleets: ["100x0", "100x0/10"], figure: timesGo, atLeast: 20 },
  { fleets: ["300x0"], figure: shareOfFew, atLeast: 0.6 },
  { fleets: ["1000x0"], figure: shareOfFew, atLeast: 0.4 },
  { fleets: ["300x0", "1000x0"], figure: shareServed, atLeast: 1 },
  { fleets: ["8x20", "32x20", "100x20"], figure: shareOfIdeal, atLeast: 0.8 },
  { fleets: ["300x20"], figure: shareOfIdeal, atLeast: 0.75 },
  { fleets: ["300x20x10"], figure: shareOfIdeal, atLeast: 0.5 },
  { fleets: ["1x0"], figure: requests, atMost: 2 },
  { fleets: waiting, figure: requests, atMost: 12 },
  { fleets: waiting, figure: lists, atMost: 1.2 },
  { fleets: waiting, figure: bytes, atMost: 1 },
];

/** The goals about which the results say something. */
export function judgeFleets(results: readonly FleetResult[]): Verdict[] {
  return [
    ...goals.flatMap((goal) =>
      results
        .filter(({ fleet }) => goal.fleets.includes(fleet.name))
        .filter(({ go }) => goal.figure !== timesGo || go !== undefined)
        .filter(
          () => goal.figure !== shareOfFew || results.some(({ fleet }) => fleet.name === "8x0"),
        )
        .map((result) => judge(goal, result, results)),
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

function judge(goal: Goal, result: FleetResult, all: readonly FleetResult[]): Verdict {
  const { what, of, show } = goal.figure;
  const value = of(result, all);
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
