import { startAgentContainer } from "./agent-container.js";
import { startAgentProcess } from "./agent-process.js";
import type { ConsulPlace } from "./consul-order.js";
import type { FirstFound } from "./first-found.js";
import { locateConsul } from "./locate-consul.js";
import type { StartedAgent } from "./started-agent.js";

export interface StartConsulOptions {
  /** Settings for the agent beside those that every one gets, such as `session_ttl_min = "1s"`. */
  readonly hcl?: string;
  /** Never take an agent that already runs, as one with other settings is needed. */
  readonly own?: boolean;
}

/** A Consul that serves. One that ran before is left running by `stop`. */
export interface RunningConsul extends StartedAgent {
  /** A sentence for people: where it comes from, and why from there. */
  readonly source: string;
}

/** Finds a Consul and starts a dev agent of it, or takes the one that runs. */
export async function startConsul(options: StartConsulOptions = {}): Promise<RunningConsul> {
  return startLocated(await locateConsul(options.own), options.hcl);
}

/** Starts what was found. */
export async function startLocated(
  { found, source }: FirstFound<ConsulPlace>,
  hcl = "",
): Promise<RunningConsul> {
  switch (found.kind) {
    case "agent":
      return { address: found.address, source, stop: () => Promise.resolve() };
    case "image":
      return { ...(await startAgentContainer(found.name, hcl)), source };
    case "binary":
      return { ...(await startAgentProcess(found, hcl)), source };
  }
}
