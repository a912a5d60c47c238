import type { Load } from "./load/load.js";
import type { LoadReport } from "./load/load-report.js";
import { shareOvertaken } from "./overtaking.js";
import { ascending, quantile } from "./statistics.js";

/** What a trial came to. Times are in ms. */
export interface TrialSummary {
  /** Those that ended within the measured time. */
  readonly cycles: number;
  /** Those that ended between the looks from outside, for what was counted there. */
  readonly cyclesSeen: number;
  readonly cyclesPerSecond: number;
  /** How long `acquire` took, of the calls within the measured time. */
  readonly acquire: { readonly p50: number; readonly p99: number; readonly max: number };
  /** The same as a curve: the time within which 0, 2, 4 … 100 % of the calls were done. */
  readonly acquireCurve: readonly number[];
  readonly longestOverMedian: number;
  /** See `shareOvertaken`. */
  readonly overtaken: number;
  readonly clientCpuPerCycle: number;
  readonly consulCpuPerCycle: number | null;
  /** Of all its processes together. */
  readonly peakRssBytes: number;
}

/** What was seen from outside. */
export interface Observation {
  /** When it was looked, in ms since the start: at the bounds of the measured time or soon after. */
  readonly from: number;
  readonly to: number;
  readonly consulCpuMs: number | undefined;
}

const curveShares = Array.from({ length: 51 }, (_, index) => index / 50);

export function summarize(
  reports: readonly LoadReport[],
  { warmUpMs, measureMs }: Load,
  seen: Observation,
): TrialSummary {
  const measured = within(warmUpMs, warmUpMs + measureMs);
  const turns = reports.flatMap((report) => report.turns);
  const ends = turns.map(([, , ended]) => ended);
  const cycles = ends.filter(measured).length;
  const cyclesSeen = ends.filter(within(seen.from, seen.to)).length;
  const asked = turns.filter(([at]) => measured(at));
  if (cycles === 0 || cyclesSeen === 0 || asked.length === 0) {
    throw new Error("no turn within the measured time");
  }
  const waits = ascending(asked.map(([at, began]) => began - at));
  const clientCpuMs = sum(reports.map(({ cpuMs }) => cpuMs));
  const p50 = quantile(waits, 0.5);
  const max = quantile(waits, 1);
  return {
    cycles,
    cyclesSeen,
    cyclesPerSecond: (cycles * 1_000) / measureMs,
    acquire: { p50, p99: quantile(waits, 0.99), max },
    acquireCurve: curveShares.map((share) => quantile(waits, share)),
    longestOverMedian: max / p50,
    overtaken: shareOvertaken(asked),
    clientCpuPerCycle: clientCpuMs / cycles,
    consulCpuPerCycle: seen.consulCpuMs === undefined ? null : seen.consulCpuMs / cyclesSeen,
    peakRssBytes: sum(reports.map(({ peakRssBytes }) => peakRssBytes)),
  };
}

function within(from: number, to: number): (ms: number) => boolean {
  return (ms) => ms >= from && ms < to;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
