import type { Outcome } from "./trial.js";
import type { Machine } from "./machine.js";
import type { Bed, Scenario } from "./scenario.js";
import type { WireCount } from "./wire/count-wire.js";

/** What one program came to in one scenario. */
export interface Showing {
  readonly rounds: readonly Outcome[];
  readonly wire: WireCount;
}

export interface ScenarioResult {
  readonly scenario: Scenario;
  readonly ours: Showing;
  /** Missing where the original could not be built. */
  readonly go?: Showing;
  /** As many runs of one semaphore; measured where many contend in one process. */
  readonly runs?: Showing;
  /** Two KV writes a turn, around a queue in memory; measured where many contend in one process. */
  readonly inMemory?: Outcome;
}

export interface Results {
  readonly machine: Machine;
  readonly measureMs: number;
  readonly scenarios: readonly ScenarioResult[];
  /** Two KV writes, one after the other, by a single client. */
  readonly twoWrites: Partial<Record<Bed, Outcome>>;
}
