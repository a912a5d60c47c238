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

  /** `firstIndex`: that of what a new cluster writes into its log before it serves. */
  constructor(clock: Clock, firstIndex: bigint, onApplied: OnApplied) {
    this.#clock = clock;
    this.#index = firstIndex;
    this.#onApplied = onApplied;
  }

  /** The greatest index so far. Also a command that changes nothing takes one. */
  get index(): bigint {
    return this.#index;
  }

  /** The server that answers reads which do not ask for consistency. */
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

  /** Has reads answered by a server that applies each command so much later; 0 for the leader. */
  lag(ms: number): void {
    if (ms > 0 && this.#lagging === undefined) {
      const store = new StateStore(this.leader);
      this.#lagging = new LaggingServer(store, this.#clock, this.#onApplied);
    }
    this.#lagging?.setLag(ms);
    if (ms <= 0) this.#lagging = undefined;
  }

  /** Goes on from an index that is smaller by so much, and with it all that the state says. */
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
