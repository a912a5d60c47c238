import { brief, percent, textRow, type Column } from "../text-row.js";
import {
  failureOf,
  figuresOf,
  profileOf,
  ratioToGo,
  trafficOfResult,
  type FleetResult,
} from "./fleet-result.js";
import type { FleetOutcome } from "./run-fleet.js";
import type { Traffic } from "./traffic.js";

const columns: readonly Column[] = [
  { title: "fleet", width: 10 },
  { title: "", width: 5 },
  { title: "cycles/s", width: 8 },
  { title: "x Go", width: 6 },
  { title: "ideal", width: 6 },
  { title: "longest", width: 9 },
  { title: "served", width: 6 },
  { title: "holders", width: 7 },
  { title: "requests", width: 9 },
  { title: "lists", width: 6 },
  { title: "reads", width: 6 },
  { title: "txns", width: 6 },
  { title: "refused", width: 7 },
  { title: "writes", width: 6 },
  { title: "sessions", width: 8 },
  { title: "renewals", width: 8 },
  { title: "kB", width: 7 },
];

export const fleetLegend = [
  "fleet: clients, ms of hold, the limit where it is not 2, and after a slash the number of processes",
  "where it is not 1; each client has one waiter. bare: a queue of the same kind without the library's",
  "duties. floor: two KV writes around a queue in memory.",
  "ideal: the share of the cycles that the hold allows. longest: the longest wait; > where it went on.",
  "served: the share of the clients that had a slot at all, in the warm-up or after it.",
  "holders: the most at once. From requests on: for one cycle, counted in a pass of its own.",
  "refused: transactions that were not carried out. sessions: created or destroyed. kB: received.",
];

export function fleetHeader(): string {
  return textRow(
    columns,
    columns.map(({ title }) => title),
  );
}

/** A line for each program. */
export function fleetLines(result: FleetResult): string[] {
  const { fleet, ours, go, bare, floor } = result;
  const ratio = ratioToGo(result);
  const traffic = trafficOfResult(result);
  const profile = profileOf(result);
  return [
    line(result, [fleet.name, "ours"], ours, [
      ratio === undefined ? "" : brief(ratio),
      ...(traffic === undefined ? [] : trafficCells(traffic)),
    ]),
    ...(go === undefined ? [] : [line(result, ["", "Go"], go, [""])]),
    ...(bare === undefined ? [] : [line(result, ["", "bare"], bare, [""])]),
    ...(floor === undefined ? [] : [textRow(columns, ["", "floor", brief(floor)])]),
    ...(profile === undefined ? [] : [profileLine(profile)]),
  ];
}

function profileLine({ cpu, cycleMs }: NonNullable<ReturnType<typeof profileOf>>): string {
  const shares = Object.entries(cpu).map(([part, share]) => `${part} ${percent(share)}`);
  return `${" ".repeat(11)}of ${brief(cycleMs)} ms a cycle: ${shares.join(", ")}`;
}

function line(
  { fleet }: FleetResult,
  names: readonly string[],
  rounds: readonly FleetOutcome[],
  [ratio = "", ...traffic]: readonly string[],
): string {
  const figures = figuresOf(fleet, rounds);
  if (figures === undefined) return `${textRow(columns, names)} fails: ${failureOf(rounds) ?? ""}`;
  const { cyclesPerSecond, shareOfIdeal, longestWaitMs, longestWaitEnded } = figures;
  return textRow(columns, [
    ...[...names, brief(cyclesPerSecond), ratio],
    shareOfIdeal === undefined ? "" : percent(shareOfIdeal),
    `${longestWaitEnded ? "" : "> "}${(longestWaitMs / 1_000).toFixed(2)} s`,
    ...[percent(figures.shareServed), String(figures.mostHolders)],
    ...traffic,
  ]);
}

function trafficCells(traffic: Traffic): string[] {
  const { requests, lists, reads, transactions, refused, writes, sessions, renewals } = traffic;
  return [
    ...[requests, lists, reads, transactions, refused, writes, sessions, renewals].map((count) =>
      count.toFixed(2),
    ),
    (traffic.bytesRead / 1_000).toFixed(1),
  ];
}
