import { median } from "../statistics.js";
import type { CpuShares } from "./cpu-shares.js";
import { idealCyclesPerSecond, type Fleet } from "./fleet.js";
import type { FleetOutcome } from "./run-fleet.js";
import type { Traffic } from "./traffic.js";

/** All that was measured with one fleet. */
export interface FleetResult {
  readonly fleet: Fleet;
  readonly ours: readonly FleetOutcome[];
  /** Missing where the original was not to be measured, or could not be built. */
  readonly go?: readonly FleetOutcome[];
  /** A queue of the same kind without the library's duties, if it was asked for. */
  readonly bare?: readonly FleetOutcome[];
  /** Cycles per second of a queue in memory around two KV writes. */
  readonly floor?: number;
  /** Ours with its requests counted: its times mean nothing. */
  readonly counted: FleetOutcome;
  /** Ours with a profile, if one was asked for. */
  readonly profiled?: FleetOutcome;
}

/** What the rounds of a program come to. */
export interface FleetFigures {
  /** The median. */
  readonly cyclesPerSecond: number;
  /** Of what the hold allows; undefined without a hold. */
  readonly shareOfIdeal: number | undefined;
  /** Of all rounds, as what follows. */
  readonly longestWaitMs: number;
  readonly longestWaitEnded: boolean;
  /** The least. */
  readonly shareServed: number;
  readonly mostHolders: number;
}

/** Undefined if it failed in any round. */
export function figuresOf(fleet: Fleet, rounds: readonly FleetOutcome[]): FleetFigures | undefined {
  const measured = rounds.filter((round) => round.kind === "measured");
  const [first, ...others] = measured;
  if (first === undefined || measured.length < rounds.length) return undefined;
  const longest = others.reduce(
    (most, round) => (round.longestWaitMs > most.longestWaitMs ? round : most),
    first,
  );
  const cyclesPerSecond = median(measured.map((round) => round.cyclesPerSecond));
  return {
    cyclesPerSecond,
    shareOfIdeal: fleet.holdMs === 0 ? undefined : cyclesPerSecond / idealCyclesPerSecond(fleet),
    longestWaitMs: longest.longestWaitMs,
    longestWaitEnded: longest.longestWaitEnded,
    shareServed: Math.min(...measured.map(({ shareServed }) => shareServed)),
    mostHolders: Math.max(...measured.map(({ mostHolders }) => mostHolders)),
  };
}

/** The first of the reasons why it failed, if it did. */
export function failureOf(rounds: readonly FleetOutcome[]): string | undefined {
  return rounds.find((round) => round.kind === "failed")?.reason;
}

/** How many times the original's cycles ours makes; undefined where either fails or Go makes none. */
export function ratioToGo({ fleet, ours, go = [] }: FleetResult): number | undefined {
  const [our, its] = [figuresOf(fleet, ours), figuresOf(fleet, go)];
  if (our === undefined || its === undefined || its.cyclesPerSecond === 0) return undefined;
  return our.cyclesPerSecond / its.cyclesPerSecond;
}

export function trafficOfResult({ counted }: FleetResult): Traffic | undefined {
  return counted.kind === "measured" ? (counted.traffic ?? undefined) : undefined;
}

/** What our process does, and how long a cycle of it takes with a profile. */
export function profileOf({
  profiled,
}: FleetResult): { readonly cpu: CpuShares; readonly cycleMs: number } | undefined {
  if (profiled?.kind !== "measured" || profiled.cpu === undefined) return undefined;
  return { cpu: profiled.cpu, cycleMs: 1_000 / profiled.cyclesPerSecond };
}

/** The most of ours that held at once, while their requests were counted as well. */
export function mostHoldersOf({ ours, counted }: FleetResult): number {
  return Math.max(
    0,
    ...[...ours, counted].map((outcome) => (outcome.kind === "measured" ? outcome.mostHolders : 0)),
  );
}
