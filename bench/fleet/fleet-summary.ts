import type { CpuShares } from "./cpu-shares.js";
import type { FleetReport, FleetTurn } from "./fleet-report.js";
import { trafficOf, type Traffic } from "./traffic.js";

/** What a fleet came to. */
export interface FleetSummary {
  /** Those that ended within the measured time. */
  readonly cycles: number;
  readonly cyclesPerSecond: number;
  /** Of the waits that went on within the measured time. */
  readonly longestWaitMs: number;
  /** Whether the longest wait was over by then; otherwise it took longer. */
  readonly longestWaitEnded: boolean;
  /** The share of the clients that had a slot at all, in the warm-up or after it. */
  readonly shareServed: number;
  /** In the warm-up as well. A slot is held until its release begins. */
  readonly mostHolders: number;
  /** For a cycle; null where it was not counted, or there was no cycle. */
  readonly traffic: Traffic | null;
  /** What the first process has spent its time on, if it took a profile. */
  readonly cpu?: CpuShares;
}

export function summarizeFleet(
  reports: readonly FleetReport[],
  { warmUpMs, measureMs }: { readonly warmUpMs: number; readonly measureMs: number },
): FleetSummary {
  const clients = reports.flatMap((report) => report.clients);
  const turns = clients.flat();
  const end = warmUpMs + measureMs;
  const cycles = cyclesWithin(turns, warmUpMs, end);
  const waits = turns
    .filter(({ asked, held }) => asked < end && (held ?? end) >= warmUpMs)
    .map(({ asked, held }) => ({ ms: (held ?? end) - asked, ended: held !== null }));
  const longest = waits.reduce((most, wait) => (wait.ms > most.ms ? wait : most), {
    ms: 0,
    ended: true,
  });
  const cpu = reports[0]?.cpu;
  return {
    ...(cpu === undefined ? {} : { cpu }),
    cycles,
    cyclesPerSecond: (cycles * 1_000) / measureMs,
    longestWaitMs: longest.ms,
    longestWaitEnded: longest.ended,
    shareServed: clients.filter(isServed).length / clients.length,
    mostHolders: mostAtOnce(turns),
    traffic: trafficPerCycle(reports),
  };
}

function isServed(turns: readonly FleetTurn[]): boolean {
  return turns.some(({ held }) => held !== null);
}

function cyclesWithin(turns: readonly FleetTurn[], from: number, to: number): number {
  return turns.filter(({ released }) => released !== null && released >= from && released < to)
    .length;
}

function mostAtOnce(turns: readonly FleetTurn[]): number {
  const changes = turns.flatMap(({ held, releasing }) =>
    held === null
      ? []
      : [
          { at: held, by: 1 },
          { at: releasing ?? Infinity, by: -1 },
        ],
  );
  changes.sort((a, b) => a.at - b.at || a.by - b.by);
  let holders = 0;
  let most = 0;
  for (const { by } of changes) {
    holders += by;
    most = Math.max(most, holders);
  }
  return most;
}

function trafficPerCycle(reports: readonly FleetReport[]): Traffic | null {
  const counted = reports.flatMap(({ clients, wire }) =>
    wire === undefined
      ? []
      : [{ cycles: cyclesWithin(clients.flat(), wire.from, wire.to), traffic: wire.traffic }],
  );
  const cycles = counted.reduce((sum, count) => sum + count.cycles, 0);
  if (cycles === 0) return null;
  return trafficOf((name) => counted.reduce((sum, { traffic }) => sum + traffic[name], 0) / cycles);
}
