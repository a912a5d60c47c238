import type { Clock } from "./clock.js";
import type { Command, OnApplied } from "./command.js";
import { LaggingServer } from "./lagging-server.js";
import { StateStore } from "./state-store.js";

/** The log of commands and the servers that apply it: the leader, and at times one that lags. */
export class Raft {
  readonly leader = new StateStore();
  readonly #clock: Clock;
  readonly #onApplied: OnApplied;
  #index: bigint;
  #lagging: LaggingServer | undefined;

  /** @param firstIndex the index that a new cluster has reached before it serves */
  constructor(clock: Clock, firstIndex: bigint, onApplied: OnApplied) {
    this.#clock = clock;
    this.#index = firstIndex;
    this.#onApplied = onApplied;
  }

  /** The greatest index so far. A command that changes nothing has one, too. */
  get index(): bigint {
    return this.#index;
  }

  /** The state that answers reads which are not consistent. */
  get reader(): StateStore {
    return this.#lagging?.store ?? this.leader;
  }

  apply<Result>(command: Command<Result>): Result {
    this.#index += 1n;
    const index = this.#index;
    const lagging = this.#lagging;
    lagging?.append(command, index);
    try {
      return command(this.leader, index);
    } finally {
      this.#onApplied(this.leader, this.leader.commit(), index);
    }
  }

  /** Makes a server answer reads that applies each command `ms` later; 0 for the leader. */
  lag(ms: number): void {
    if (ms > 0 && this.#lagging === undefined) {
      const store = new StateStore(this.leader);
      this.#lagging = new LaggingServer(store, this.#clock, this.#onApplied);
    }
    this.#lagging?.setLag(ms);
    if (ms <= 0) this.#lagging = undefined;
  }

  /** Lowers the index, and all indexes in the state. */
  turnBack(by: bigint): void {
    this.lag(0);
    this.#index -= by;
    this.leader.kv.turnBack(by);
    this.leader.sessions.turnBack(by);
  }

  dispose(): void {
    this.#lagging?.dispose();
  }
}
