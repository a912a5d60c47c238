import type { SimulatedEvent } from "./event-queue.js";

/**
 * One operating system process. Its timers and the answers that reach it are its own: they are gone
 * when it is killed, and wait while something blocks its event loop.
 */
export class SimulatedProcess {
  readonly name: string;
  /** What its `performance.now()` is ahead of the world's clock: each process has a zero of its own. */
  readonly clockOffset: number;
  /** `overdue`: its event loop goes again, but has not yet worked off what a stall has left. */
  state: "runs" | "stalled" | "overdue" | "killed" = "runs";
  /** What came due during a stall. */
  backlog: SimulatedEvent[] = [];

  constructor(name: string, clockOffset: number) {
    this.name = name;
    this.clockOffset = clockOffset;
  }

  kill(): void {
    this.state = "killed";
    this.backlog = [];
  }
}
