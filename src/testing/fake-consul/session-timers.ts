import type { Clock } from "./clock.js";

/** The timers that end sessions. Only a leader has them. */
export class SessionTimers {
  readonly #clock: Clock;
  readonly #expire: (id: string) => void;
  readonly #cancels = new Map<string, () => void>();

  constructor(clock: Clock, expire: (id: string) => void) {
    this.#clock = clock;
    this.#expire = expire;
  }

  /** Starts or restarts the timer of a session. */
  start(id: string, ms: number): void {
    this.stop(id);
    const cancel = this.#clock.after(ms, () => {
      this.#cancels.delete(id);
      this.#expire(id);
    });
    this.#cancels.set(id, cancel);
  }

  stop(id: string): void {
    this.#cancels.get(id)?.();
    this.#cancels.delete(id);
  }

  stopAll(): void {
    for (const cancel of this.#cancels.values()) cancel();
    this.#cancels.clear();
  }
}
