/** What a process waits for: for so many milliseconds, or until something is so. */
export interface Pause {
  readonly ms: number;
  readonly until?: () => boolean;
}

export type Process<Result = void> = Generator<Pause, Result, void>;

interface Sleeper {
  readonly process: Process<unknown>;
  readonly wakesAt: number;
  readonly isWoken: () => boolean;
}

const never = (): boolean => false;

/** Processes that take turns on a clock which nobody has to wait for. */
export class Timeline {
  #now = 0;
  #sleepers: readonly Sleeper[] = [];

  /** In milliseconds. */
  get now(): number {
    return this.#now;
  }

  start(process: Process<unknown>): void {
    this.#sleepers = [...this.#sleepers, { process, wakesAt: this.#now, isWoken: never }];
  }

  /** Runs all processes to their end, but no longer than so many milliseconds. */
  run(ms: number): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      this.#now = Math.max(this.#now, next.isWoken() ? this.#now : next.wakesAt);
      if (this.#now > ms) return;
      this.#sleepers = this.#sleepers.filter((sleeper) => sleeper !== next);
      const { done, value } = next.process.next();
      if (done === true) continue;
      const wakesAt = this.#now + value.ms;
      const sleeper = { process: next.process, wakesAt, isWoken: value.until ?? never };
      this.#sleepers = [...this.#sleepers, sleeper];
    }
  }

  #next(): Sleeper | undefined {
    const woken = this.#sleepers.find(({ isWoken }) => isWoken());
    const byTime = this.#sleepers.toSorted((a, b) => a.wakesAt - b.wakesAt);
    return woken ?? byTime[0];
  }
}
