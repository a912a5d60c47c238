import type { Contender, PrefixSnapshot } from "./prefix-snapshot.js";

/** What there is to know for who may try for a free slot. */
export type QueueSnapshot = Pick<PrefixSnapshot, "limit" | "holders" | "contenders">;

/**
 * Whose turn it is, as far as one client can tell from what it sees of the prefix: the waiters in
 * the order of their arrival, as many as there are free slots.
 *
 * Not everybody keeps to that order. A dead process does not move when its turn comes, and a Go
 * client takes whatever is free. So whoever has let a free slot go by has had its turn: it may
 * still try, but nobody waits for it any more.
 */
export class TurnOrder {
  readonly #missed = new Set<string>();
  #before: QueueSnapshot | undefined;

  /** Takes note of what has changed: who came out of turn, and past whom. */
  observe(snapshot: QueueSnapshot): void {
    const waiters = waitersOf(snapshot);
    const waiting = new Set(waiters.map(({ session }) => session));
    for (const session of this.#missed) if (!waiting.has(session)) this.#missed.delete(session);
    const before = this.#before;
    this.#before = snapshot;
    if (before === undefined) return;
    for (const taker of snapshot.contenders) {
      if (!snapshot.holders.has(taker.session) || before.holders.has(taker.session)) continue;
      const passed = waiters.find(({ session }) => !this.#missed.has(session));
      if (passed !== undefined && passed.createIndex < taker.createIndex) {
        this.#missed.add(passed.session);
      }
    }
  }

  /** The next `count` waiters have had their turn: a slot was free for long enough. */
  pass(snapshot: QueueSnapshot, count: number): void {
    const claimants = waitersOf(snapshot).filter(({ session }) => !this.#missed.has(session));
    for (const { session } of claimants.slice(0, count)) this.#missed.add(session);
  }

  /** Whoever may take a slot now, if `free` are free, in the order of their arrival. */
  upNext(snapshot: QueueSnapshot, free: number): ReadonlySet<string> {
    const upNext = new Set<string>();
    let ahead = 0;
    for (const { session } of waitersOf(snapshot)) {
      if (ahead >= free) break;
      upNext.add(session);
      if (!this.#missed.has(session)) ahead += 1;
    }
    return upNext;
  }

  /** How many waiters a newcomer would have to let go first. */
  claims(snapshot: QueueSnapshot): number {
    return waitersOf(snapshot).filter(({ session }) => !this.#missed.has(session)).length;
  }

  /** How many that is for one who waits already. */
  claimsBefore(snapshot: QueueSnapshot, session: string): number {
    let ahead = 0;
    for (const waiter of waitersOf(snapshot)) {
      if (waiter.session === session) break;
      if (!this.#missed.has(waiter.session)) ahead += 1;
    }
    return ahead;
  }
}

/** Who waits, in the order of their arrival. */
export function waitersOf({ contenders, holders }: QueueSnapshot): readonly Contender[] {
  return contenders.filter(({ session }) => !holders.has(session));
}

/** How many slots nobody holds. */
export function freeSlots({ limit, holders }: QueueSnapshot, ownLimit: number): number {
  return Math.max(0, (limit ?? ownLimit) - holders.size);
}
