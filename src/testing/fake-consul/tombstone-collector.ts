import type { Clock } from "./clock.js";

/** Go: `TombstoneTTL`. */
const TOMBSTONE_TTL_MS = 15 * 60_000;
/** Go: `TombstoneTTLGranularity`. */
const GRANULARITY_MS = 30_000;

/**
 * Has tombstones removed once they are old: from then on the index of a list may go backwards.
 * Their ends are rounded up, so that many share one.
 */
export class TombstoneCollector {
  readonly #clock: Clock;
  readonly #reap: (upTo: bigint) => void;
  /** The greatest index of those that end together, by their end. */
  readonly #ends = new Map<number, { upTo: bigint; readonly cancel: () => void }>();

  constructor(clock: Clock, reap: (upTo: bigint) => void) {
    this.#clock = clock;
    this.#reap = reap;
  }

  /** There may be tombstones of that index. */
  hint(index: bigint): void {
    const now = this.#clock.now();
    const end = (Math.floor((now + TOMBSTONE_TTL_MS) / GRANULARITY_MS) + 1) * GRANULARITY_MS;
    const known = this.#ends.get(end);
    if (known !== undefined) {
      known.upTo = index;
      return;
    }
    const cancel = this.#clock.after(end - now, () => {
      const { upTo } = this.#ends.get(end) ?? { upTo: 0n };
      this.#ends.delete(end);
      this.#reap(upTo);
    });
    this.#ends.set(end, { upTo: index, cancel });
  }

  stop(): void {
    for (const { cancel } of this.#ends.values()) cancel();
    this.#ends.clear();
  }
}
