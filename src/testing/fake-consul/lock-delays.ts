/**
 * The keys under lock-delay: nobody can lock them for a while, since the session that held the lock
 * was invalidated. The clock is that of the server that applies the invalidation, as in Consul.
 */
export class LockDelays {
  readonly #ends: Map<string, number>;

  constructor(original?: LockDelays) {
    this.#ends = new Map(original === undefined ? [] : original.#ends);
  }

  start(key: string, now: number, ms: number): void {
    this.#forgetEnded(now);
    this.#ends.delete(key);
    this.#ends.set(key, now + ms);
  }

  isUnder(key: string, now: number): boolean {
    const end = this.#ends.get(key);
    return end !== undefined && end > now;
  }

  /** Delays are in the order of their start, which is usually that of their end. */
  #forgetEnded(now: number): void {
    for (const [key, end] of this.#ends) {
      if (end > now) return;
      this.#ends.delete(key);
    }
  }
}
