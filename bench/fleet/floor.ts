import { randomUUID } from "node:crypto";

import { startAgentProcess } from "../../test/harness/agent-process.js";
import type { ConsulBinary } from "../../test/harness/consul-binary.js";
import { LoadProcess } from "../load/load-process.js";
import { loadReportSchema } from "../load/load-report.js";
import type { Program } from "../program.js";
import type { Fleet } from "./fleet.js";
import { agentConfiguration } from "./run-fleet.js";

/** Enough that the queue is never empty. */
const CONTENDERS = 32;
const warmUpMs = 2_000;

/** What there is to measure it with. */
export interface FloorTrial {
  readonly binary: ConsulBinary;
  readonly program: Program;
  readonly measureMs: number;
}

/** Cycles per second of a queue in memory around two KV writes: no semaphore can do with less. */
export async function measureFloor(
  { limit, holdMs }: Pick<Fleet, "limit" | "holdMs">,
  { binary, program, measureMs }: FloorTrial,
): Promise<number> {
  const agent = await startAgentProcess(binary, agentConfiguration);
  const process = new LoadProcess(program, {
    address: new URL(agent.address).host,
    prefix: `bench/${randomUUID()}`,
    ...{ limit, holdMs, contenders: CONTENDERS, warmUpMs, measureMs },
  });
  try {
    await process.ready();
    process.start(Date.now());
    const { turns } = await process.report(loadReportSchema);
    const ends = turns.map(([, , ended]) => ended);
    const measured = ends.filter((at) => at >= warmUpMs && at < warmUpMs + measureMs);
    return (measured.length * 1_000) / measureMs;
  } finally {
    await process.end();
    await agent.stop();
  }
}
