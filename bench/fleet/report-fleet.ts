import { Session } from "node:inspector/promises";
import { setTimeout as pause } from "node:timers/promises";

import type { Load } from "../load/load.js";
import { orderToStart } from "../load/order-to-start.js";
import { wallClock } from "../load/wall-clock.js";
import { cpuSharesOf, type CpuShares } from "./cpu-shares.js";
import type { FleetReport, FleetTurn } from "./fleet-report.js";
import { trafficOf, type Traffic } from "./traffic.js";

/** Who contends, one turn after the other. */
export interface FleetContender {
  acquire(): Promise<void>;
  /** Rejects where the slot was lost meanwhile. */
  release(): Promise<void>;
}

/**
 * Lets contenders take turns when it is told to start, on and on, and prints the report when the
 * measured time is over, whatever is under way then.
 *
 * @param traffic what was sent and received so far, where that is counted
 */
export async function reportFleet(
  load: Load,
  newContender: () => FleetContender,
  traffic?: () => Traffic,
): Promise<void> {
  const startAt = await orderToStart();
  const now = (): number => wallClock() - startAt;
  await pause(-now());
  const clients = Array.from({ length: load.contenders }, (): FleetTurn[] => []);
  const contenders = clients.map((turns) => takeTurns(turns, newContender(), load.holdMs, now));
  // The contenders go on and on: only one that fails ends.
  const measured = Promise.all([
    countWithinMeasuredTime(load, now, traffic),
    profileMeasuredTime(load, now),
  ]);
  const [wire, cpu] = await Promise.race([measured, ...contenders]);
  const report: FleetReport = { clients, cpu, wire };
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit());
}

async function takeTurns(
  turns: FleetTurn[],
  contender: FleetContender,
  holdMs: number,
  now: () => number,
): Promise<never> {
  for (;;) {
    const turn: FleetTurn = { asked: now(), held: null, releasing: null, released: null };
    turns.push(turn);
    await contender.acquire();
    turn.held = now();
    if (holdMs > 0) await pause(holdMs);
    turn.releasing = now();
    await contender.release();
    turn.released = now();
  }
}

async function countWithinMeasuredTime(
  load: Load,
  now: () => number,
  traffic: (() => Traffic) | undefined,
): Promise<FleetReport["wire"]> {
  const totalAt = async (ms: number): Promise<{ at: number; total: Traffic | undefined }> => {
    await pause(ms - now());
    return { at: now(), total: traffic?.() };
  };
  const first = await totalAt(load.warmUpMs);
  const last = await totalAt(load.warmUpMs + load.measureMs);
  const [before, after] = [first.total, last.total];
  if (before === undefined || after === undefined) return undefined;
  return {
    from: first.at,
    to: last.at,
    traffic: trafficOf((name) => after[name] - before[name]),
  };
}

async function profileMeasuredTime(load: Load, now: () => number): Promise<CpuShares | undefined> {
  if (load.profile !== true) return undefined;
  await pause(load.warmUpMs - now());
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.start");
  await pause(load.measureMs);
  const { profile } = await session.post("Profiler.stop");
  return cpuSharesOf(profile);
}
