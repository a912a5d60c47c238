import { expect } from "vitest";

import type { KVOperation } from "../../../../src/consul/transaction.js";
import {
  liveHolders,
  type ContenderEntry,
  type Snapshot,
} from "../../../../src/protocol/snapshot.js";
import { Store } from "../store.js";
import type { Timeline } from "./timeline.js";

/** How somebody became a holder. */
export interface Join {
  readonly session: string;
  /** How many slots were free, and how many waited ahead of it, without those that hang. */
  readonly free: number;
  readonly ahead: number;
}

/** A prefix in Consul that clients share, and a record of what becomes of it. */
export class SharedPrefix {
  readonly limit: number;
  readonly time: Timeline;
  readonly store = new Store();
  /** Those that wait and do nothing. */
  readonly hanging = new Set<string>();
  readonly joins: Join[] = [];
  /** For how long a slot was free at most while somebody waited for it who does not hang. */
  longestIdle = 0;
  #idleSince = Infinity;

  constructor(time: Timeline, limit: number) {
    this.time = time;
    this.limit = limit;
  }

  /** Applies the operations, or none of them. Returns the keys of those that failed. */
  write(operations: readonly KVOperation[]): readonly string[] {
    return this.#recorded(() => this.store.write(operations));
  }

  endSession(session: string): void {
    this.#recorded(() => {
      this.store.endSession(session);
    });
  }

  #recorded<Result>(change: () => Result): Result {
    const before = this.store.snapshot();
    const result = change();
    const after = this.store.snapshot();
    const [held, holders] = [liveHolders(before), liveHolders(after)];
    expect(holders.size, "holders").toBeLessThanOrEqual(this.limit);
    const joined = [...holders].filter((session) => !held.has(session));
    const queue = this.#waiting(before).map(({ session }) => session);
    for (const session of joined) {
      const place = queue.indexOf(session);
      const ahead = place === -1 ? queue.length : place;
      this.joins.push({ session, free: this.limit - held.size, ahead });
    }
    const isIdle = holders.size < this.limit && this.#waiting(after).length > 0;
    this.#recordIdle(isIdle, joined.length > 0);
    return result;
  }

  #recordIdle(isIdle: boolean, isProgress: boolean): void {
    const { now } = this.time;
    this.longestIdle = Math.max(this.longestIdle, now - Math.min(now, this.#idleSince));
    if (!isIdle) this.#idleSince = Infinity;
    else if (isProgress || this.#idleSince === Infinity) this.#idleSince = now;
  }

  #waiting({ lock, contenders }: Snapshot): readonly ContenderEntry[] {
    return contenders.filter(
      ({ session }) => !lock.holders.has(session) && !this.hanging.has(session),
    );
  }
}
