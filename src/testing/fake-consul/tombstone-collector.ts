import type { Clock } from "./clock.js";

/** Go: `TombstoneTTL`. */
const TOMBSTONE_TTL_MS = 15 * 60_000;
/** Go: `TombstoneTTLGranularity`. */
const GRANULARITY_MS = 30_000;

/**
 * Removes old tombstones, after which the index of a list may go backwards. The times of removal
 * are rounded up, so that many tombstones share one.
 */
export class TombstoneCollector {
  readonly #clock: Clock;
  readonly #reap: (upTo: bigint) => void;
  /** The greatest index of the tombstones that are removed together, by the time of removal. */
  readonly #removals = new Map<number, { upTo: bigint; readonly cancel: () => void }>();

  constructor(clock: Clock, reap: (upTo: bigint) => void) {
    this.#clock = clock;
    this.#reap = reap;
  }

  /** Reports that there may be tombstones with this index. */
  hint(index: bigint): void {
    const now = this.#clock.now();
    const end = (Math.floor((now + TOMBSTONE_TTL_MS) / GRANULARITY_MS) + 1) * GRANULARITY_MS;
    const known = this.#removals.get(end);
    if (known !== undefined) {
      known.upTo = index;
      return;
    }
    const cancel = this.#clock.after(end - now, () => {
      const { upTo } = this.#removals.get(end) ?? { upTo: 0n };
      this.#removals.delete(end);
      this.#reap(upTo);
    });
    this.#removals.set(end, { upTo: index, cancel });
  }

  stop(): void {
    for (const { cancel } of this.#removals.values()) cancel();
    this.#removals.clear();
  }
}
