import type { Program } from "../program.js";
import { runTrial, type TrialPlan } from "../trial.js";
import { CountingProxy } from "./counting-proxy.js";
import type { WireTotal } from "./wire-total.js";

/** What goes over the wire for one cycle, of all processes together. */
export type WireCount =
  | {
      readonly kind: "counted";
      readonly requests: number;
      readonly writes: number;
      readonly bytesRead: number;
      readonly bytesWritten: number;
      /** The most that were open at a time. */
      readonly connections: number;
      readonly requestsByKind: Readonly<Record<string, number>>;
    }
  | { readonly kind: "failed"; readonly reason: string; readonly connections: number };

/** A trial with the proxy in between, whose times count for nothing. */
export async function countWire(proxyProgram: Program, plan: TrialPlan): Promise<WireCount> {
  const proxy = await CountingProxy.start(proxyProgram, plan.bed.address);
  try {
    const bounds: WireTotal[] = [];
    const outcome = await runTrial({
      ...plan,
      via: proxy.address,
      atBounds: async () => {
        const total = await proxy.total();
        bounds.push(total);
        return total.at;
      },
    });
    const { mostConnections: connections } = await proxy.total();
    if (outcome.kind === "failed") return { ...outcome, connections };
    const [before, after] = bounds;
    if (before === undefined || after === undefined) throw new Error("the count has no bounds");
    const requestsByKind = Object.fromEntries(
      Object.entries(after.requests)
        .map(([kind, count]): [string, number] => [
          kind,
          (count - (before.requests[kind] ?? 0)) / outcome.cyclesSeen,
        ])
        .filter(([, count]) => count > 0)
        .sort(([, a], [, b]) => b - a),
    );
    return {
      kind: "counted",
      requests: sumOf(requestsByKind, /^/),
      writes: sumOf(requestsByKind, /^(PUT|DELETE) /),
      bytesRead: (after.bytesRead - before.bytesRead) / outcome.cyclesSeen,
      bytesWritten: (after.bytesWritten - before.bytesWritten) / outcome.cyclesSeen,
      connections,
      requestsByKind,
    };
  } finally {
    await proxy.stop();
  }
}

function sumOf(counts: Readonly<Record<string, number>>, kind: RegExp): number {
  return Object.entries(counts).reduce(
    (total, [name, count]) => (kind.test(name) ? total + count : total),
    0,
  );
}
