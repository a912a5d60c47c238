import { randomUUID } from "node:crypto";

import { startAgentProcess } from "../../test/harness/agent-process.js";
import type { ConsulBinary } from "../../test/harness/consul-binary.js";
import { messageOf } from "../../test/harness/error-message.js";
import { withinTimeLimit } from "../../test/harness/time-limit.js";
import { LoadProcess } from "../load/load-process.js";
import type { Program } from "../program.js";
import { clientsPerProcess, type Fleet } from "./fleet.js";
import { fleetReportSchema } from "./fleet-report.js";
import { summarizeFleet, type FleetSummary } from "./fleet-summary.js";

/** One program with one fleet, once. */
export interface FleetTrial {
  readonly binary: ConsulBinary;
  readonly program: Program;
  readonly fleet: Fleet;
  readonly measureMs: number;
  /** Whether the requests are counted, which takes time of its own. */
  readonly count?: boolean;
  /** Whether a profile is taken, which takes time of its own as well. */
  readonly profile?: boolean;
}

export type FleetOutcome =
  | ({ readonly kind: "measured" } & FleetSummary)
  | { readonly kind: "failed"; readonly reason: string };

/** All clients come from one address, to which an agent allows 200 connections by default. */
export const agentConfiguration = "limits { http_max_conns_per_client = 5000 }";

const startsInMs = 100;
/** For a report that comes late, as the process has much to do. */
const reportWithinMs = 20_000;

export async function runFleet(trial: FleetTrial): Promise<FleetOutcome> {
  const { binary, program, fleet, measureMs, count = false, profile = false } = trial;
  // A Consul of its own: what one trial leaves behind is no burden for the next.
  const agent = await startAgentProcess(binary, agentConfiguration);
  const load = {
    address: new URL(agent.address).host,
    prefix: `bench/${randomUUID()}`,
    ...{ limit: fleet.limit, holdMs: fleet.holdMs },
    ...{ warmUpMs: warmUpOf(fleet), measureMs, count, profile },
  };
  const crews = clientsPerProcess(fleet).map(
    (contenders) => new LoadProcess(program, { ...load, contenders }),
  );
  try {
    await Promise.all(crews.map((crew) => crew.ready()));
    const startAt = Date.now() + startsInMs;
    for (const crew of crews) crew.start(startAt);
    const reports = await withinTimeLimit(
      Promise.all(crews.map((crew) => crew.report(fleetReportSchema))),
      startsInMs + load.warmUpMs + measureMs + reportWithinMs,
      "a trial",
    );
    return { kind: "measured", ...summarizeFleet(reports, load) };
  } catch (error) {
    return { kind: "failed", reason: messageOf(error) };
  } finally {
    await Promise.all(crews.map((crew) => crew.end()));
    await agent.stop();
  }
}

/**
 * For connections, sessions and compiled code, and for the first turn of each client: that takes two
 * readings of the prefix, all at the same time.
 */
function warmUpOf({ clients, processes }: Fleet): number {
  return 3_000 + 15 * clients + 150 * processes;
}
