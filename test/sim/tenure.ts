import type { SemaphoreSlot } from "../../src/index.js";
import type { SimulatedProcess } from "./simulated-process.js";

/** A call that asks for a slot and has not ended. */
export interface Attempt {
  readonly user: string;
  readonly process: SimulatedProcess;
  readonly calledAt: number;
  /** The greatest fencing token that anybody had been given by then. */
  readonly greatestToken: bigint;
  /** Whether the session to use held a slot already. */
  readonly resumes: boolean;
  /** Whether it is Go's client that asks. */
  readonly barges: boolean;
  /** When it stops waiting by itself. */
  readonly waitsUntil: number;
  /** The caller has called it off. */
  givenUp: boolean;
}

/** What there is between a successful acquire and the release. */
export interface Tenure extends Attempt {
  readonly slot: SemaphoreSlot;
  readonly session: string;
  /** Taken out of the slot once: its getters may look at the clock, which a mere reader would not. */
  readonly signal: AbortSignal;
  readonly token: bigint;
  readonly acquiredAt: number;
  /** Of the session, in milliseconds; `null` where it has none. */
  readonly ttl: number | null;
  releaseBegun: boolean;
  heldSeenFalse: boolean;
  endSeen: boolean;
}

/** Whether somebody may rely on the slot and act in it at this moment. */
export function isLive({ process, signal, releaseBegun }: Tenure): boolean {
  return process.state === "runs" && !releaseBegun && !signal.aborted;
}
