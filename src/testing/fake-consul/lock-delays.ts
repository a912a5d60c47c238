/**
 * The keys whose lock nobody may take for a while, as a session that had it was invalidated. The
 * time is the clock's of whoever applies the invalidation, as Consul's leader does it.
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

  /** The oldest come first, and as a rule they end first. */
  #forgetEnded(now: number): void {
    for (const [key, end] of this.#ends) {
      if (end > now) return;
      this.#ends.delete(key);
    }
  }
}
