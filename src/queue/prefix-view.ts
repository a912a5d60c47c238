import type { PrefixReading } from "./requests.js";

/** What a write of ours has made of the lock. */
export interface LockWrite {
  /** The index of the write, which is the lock's modify index from then on. */
  readonly index: bigint;
  readonly limit: number;
  readonly holders: ReadonlySet<string>;
  /** Who has become a holder with it. */
  readonly joined?: string | undefined;
  /** Who has left the prefix with it. */
  readonly left?: string | undefined;
}

interface RecordedWrite extends LockWrite {
  readonly answeredAt: number;
}

/**
 * The newest that is known of a prefix: what was read last, and what was written here since. A look
 * that was on its way during a write may show what was before it; and in a busy process nearly
 * every look is.
 */
export class PrefixView {
  #current: PrefixReading | undefined;
  /** The newest reading, as it came. */
  #lastShown: PrefixReading | undefined;
  #shownAt = -Infinity;
  /** When each look that is under way was sent. */
  readonly #looks = new Set<{ readonly sentAt: number }>();
  #writes: readonly RecordedWrite[] = [];
  #isInDoubt = false;
  /** After a restore: from where on indexes are those of before it. */
  #outdatedFrom: bigint | undefined;

  get current(): PrefixReading | undefined {
    return this.#current;
  }

  /** When a reading was last taken in, on the clock of `performance.now()`. */
  get shownAt(): number {
    return this.#shownAt;
  }

  /**
   * Whether a holder that our writes have left in the lock may be dead: the last look has not shown
   * its contender entry. It may as well have come after that look. Only one that is sent when all
   * writes are answered can tell; in a busy process that takes a look between two writes.
   */
  get isInDoubt(): boolean {
    return this.#isInDoubt;
  }

  /** Makes a look, and takes in what it shows. Resolves to the newest that is known after it. */
  async look(read: () => Promise<PrefixReading>): Promise<PrefixReading> {
    const look = { sentAt: performance.now() };
    this.#looks.add(look);
    try {
      return this.show(await read());
    } finally {
      this.#looks.delete(look);
      this.#forgetWrites();
    }
  }

  /** Takes in what was read; what is older than that which is known already counts for nothing. */
  show(reading: PrefixReading): PrefixReading {
    // An index that has gone backwards means that the servers' data was restored: but only where it
    // was asked for after the greater one had been told.
    const last = this.#lastShown;
    const isStale =
      last !== undefined && reading.index < last.index && reading.sentAt < this.#shownAt;
    if (this.#current !== undefined && isStale) return this.#current;
    if (last !== undefined && reading.index < last.index) {
      this.#outdatedFrom = (last.index + reading.index) / 2n + 1n;
    } else if (this.#outdatedFrom !== undefined && reading.index >= this.#outdatedFrom) {
      this.#outdatedFrom = undefined;
    }
    this.#lastShown = reading;
    this.#shownAt = performance.now();
    const unseen = this.#writes
      .filter(({ index, answeredAt }) => index > reading.index && answeredAt > reading.sentAt)
      .sort((a, b) => (a.index < b.index ? -1 : 1));
    const current = unseen.reduce(withWrite, reading);
    const alive = new Set(reading.snapshot.contenders.map(({ session }) => session));
    for (const { joined } of unseen) if (joined !== undefined) alive.add(joined);
    this.#isInDoubt = [...current.snapshot.holders].some((session) => !alive.has(session));
    this.#current = current;
    return current;
  }

  /** Takes in what was written here. */
  wrote(write: LockWrite): void {
    // The answer to a write of before a restore: its index would go before all that has come since.
    if (this.#outdatedFrom !== undefined && write.index >= this.#outdatedFrom) return;
    const answeredAt = performance.now();
    if (this.#looks.size > 0) this.#writes = [...this.#writes, { ...write, answeredAt }];
    const current = this.#current;
    // The answer may come when a look has shown it already, and what has become of it since.
    if (current === undefined || write.index <= current.index) return;
    if (write.index >= current.snapshot.lockIndex) this.#current = withWrite(current, write);
  }

  /** Takes in that somebody who was no holder contends no more. */
  left(session: string): void {
    if (this.#current !== undefined) this.#current = withoutContender(this.#current, session);
  }

  /** Only a look that was sent before a write was answered can be without it. */
  #forgetWrites(): void {
    const oldest = Math.min(...[...this.#looks].map(({ sentAt }) => sentAt));
    this.#writes = this.#writes.filter(({ answeredAt }) => answeredAt > oldest);
  }
}

function withWrite(
  reading: PrefixReading,
  { index, limit, holders, left }: LockWrite,
): PrefixReading {
  const { snapshot, ...rest } = left === undefined ? reading : withoutContender(reading, left);
  return { ...rest, snapshot: { ...snapshot, limit, holders, lockIndex: index } };
}

function withoutContender(reading: PrefixReading, leaver: string): PrefixReading {
  const contenders = reading.snapshot.contenders.filter(({ session }) => session !== leaver);
  return { ...reading, snapshot: { ...reading.snapshot, contenders } };
}
