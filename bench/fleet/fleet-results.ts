import type { Machine } from "../machine.js";
import type { Verdict } from "../verdict.js";
import type { FleetResult } from "./fleet-result.js";

/** All that a run has measured, as it is written down. */
export interface FleetResults {
  readonly machine: Machine;
  readonly shape: {
    readonly agentConfiguration: string;
    readonly measureMs: number;
    readonly rounds: number;
  };
  readonly results: readonly FleetResult[];
  readonly goals: readonly Verdict[];
}
