import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

import { messageOf } from "../test/harness/error-message.js";
import { withinTimeLimit } from "../test/harness/time-limit.js";
import { clearLeftovers } from "./leftovers.js";
import type { Load } from "./load/load.js";
import { LoadProcess } from "./load/load-process.js";
import { loadReportSchema } from "./load/load-report.js";
import type { TestBed } from "./test-bed.js";
import { summarize, type Observation, type TrialSummary } from "./trial-summary.js";
import type { Program } from "./program.js";
import { LIMIT, contendersOf, type Scenario } from "./scenario.js";

/** One program in one scenario, once. */
export interface TrialPlan {
  readonly scenario: Scenario;
  readonly program: Program;
  readonly bed: TestBed;
  /** Where the program is to find it, if somebody listens in between. */
  readonly via?: string;
  readonly measureMs: number;
  /** Called at both ends of the measured time; resolves to when it looked (ms since 1970). */
  readonly atBounds?: () => Promise<number>;
}

export type Outcome =
  | ({ readonly kind: "measured" } & TrialSummary)
  | { readonly kind: "failed"; readonly reason: string };

const startsInMs = 100;
/** Each of several processes has its part of the turns, so that its code is compiled that much later. */
const warmUpMsPerProcess = 4_000;
/** For the turns that are under way when the measured time is over. */
const finishWithinMs = 30_000;

export async function runTrial(plan: TrialPlan): Promise<Outcome> {
  const { scenario, program, bed, via, measureMs } = plan;
  const prefix = `bench/${randomUUID()}`;
  const load = {
    address: via ?? bed.address,
    prefix,
    limit: LIMIT,
    contenders: scenario.contendersPerProcess,
    holdMs: scenario.holdMs,
    warmUpMs: warmUpOf(scenario),
    measureMs,
  };
  const processes = Array.from(
    { length: scenario.processes },
    () => new LoadProcess(program, load),
  );
  const over = new AbortController();
  try {
    await Promise.all(processes.map((process) => process.ready()));
    const startAt = Date.now() + startsInMs;
    const reports = Promise.all(processes.map((process) => process.report(loadReportSchema)));
    for (const process of processes) process.start(startAt);
    const boundMs = startsInMs + load.warmUpMs + measureMs + finishWithinMs;
    const [said, seen] = await withinTimeLimit(
      // Whichever fails first ends it.
      Promise.all([reports, observe(plan, startAt, load, over.signal)]),
      boundMs,
      "a trial",
    );
    return { kind: "measured", ...summarize(said, load, seen) };
  } catch (error) {
    return { kind: "failed", reason: messageOf(error) };
  } finally {
    over.abort();
    await Promise.all(processes.map((process) => process.end()));
    await clearLeftovers(bed.address, prefix);
  }
}

/** Long enough for everybody's first turn, before which all wait since the same moment. */
function warmUpOf(scenario: Scenario): number {
  return Math.max(
    warmUpMsPerProcess * scenario.processes,
    (1.3 * contendersOf(scenario) * scenario.holdMs) / LIMIT,
  );
}

/** Looks on from outside, at both ends of the measured time. */
async function observe(
  { bed, atBounds }: TrialPlan,
  startAt: number,
  { warmUpMs, measureMs }: Load,
  over: AbortSignal,
): Promise<Observation> {
  const look = async (ms: number): Promise<{ at: number; cpuMs: number | undefined }> => {
    await pause(startAt + ms - Date.now(), undefined, { signal: over });
    const at = (await atBounds?.()) ?? Date.now();
    return { at: at - startAt, cpuMs: await bed.cpu?.taken() };
  };
  const first = await look(warmUpMs);
  const last = await look(warmUpMs + measureMs);
  const { cpuMs: before } = first;
  const { cpuMs: after } = last;
  return {
    from: first.at,
    to: last.at,
    consulCpuMs: before === undefined || after === undefined ? undefined : after - before,
  };
}
