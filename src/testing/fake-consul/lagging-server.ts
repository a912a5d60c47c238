import type { Clock } from "./clock.js";
import type { Command, OnApplied } from "./command.js";
import { StateError } from "./state-error.js";
import type { StateStore } from "./state-store.js";

interface LogEntry {
  readonly command: Command<unknown>;
  readonly index: bigint;
  readonly committedAt: number;
}

/** A server that applies the log with a delay. */
export class LaggingServer {
  readonly store: StateStore;
  readonly #clock: Clock;
  readonly #onApplied: OnApplied;
  readonly #log: LogEntry[] = [];
  #lag = 0;
  #cancel: (() => void) | undefined;

  constructor(store: StateStore, clock: Clock, onApplied: OnApplied) {
    this.store = store;
    this.#clock = clock;
    this.#onApplied = onApplied;
  }

  append(command: Command<unknown>, index: bigint): void {
    this.#log.push({ command, index, committedAt: this.#clock.now() });
    if (this.#log.length === 1) this.#awaitNext();
  }

  /** Applies what is due with the new lag. */
  setLag(ms: number): void {
    this.#lag = ms;
    this.#applyDue();
  }

  dispose(): void {
    this.#cancel?.();
  }

  #applyDue(): void {
    for (;;) {
      const [next] = this.#log;
      if (next === undefined || next.committedAt + this.#lag > this.#clock.now()) break;
      this.#log.shift();
      this.#apply(next);
    }
    this.#awaitNext();
  }

  #apply({ command, index }: LogEntry): void {
    try {
      command(this.store, index);
    } catch (error) {
      // The leader has refused it in the same way, and has answered the client.
      if (!(error instanceof StateError)) throw error;
    }
    this.#onApplied(this.store, this.store.commit(), index);
  }

  #awaitNext(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const [next] = this.#log;
    if (next === undefined) return;
    const wait = Math.max(0, next.committedAt + this.#lag - this.#clock.now());
    this.#cancel = this.#clock.after(wait, () => {
      this.#applyDue();
    });
  }
}
