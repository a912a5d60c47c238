import type { Contender, PrefixSnapshot } from "./snapshot.js";

/** What there is to know for who may try for a free slot. */
export type QueueSnapshot = Pick<PrefixSnapshot, "limit" | "holders" | "contenders">;

/** How often a waiter has let a free slot go by, and until when nobody waits for it. */
interface MissedTurns {
  /** Which of its entries has; a session that is kept makes one after the other. */
  readonly createIndex: bigint;
  readonly times: number;
  readonly until: number;
}

/** One who was only slow has its place back soon. */
const FIRST_MISS_MS = 5_000;

/**
 * A slot that has been seen free for so long was let go by, in milliseconds: whoever takes it then,
 * out of turn, has waited for those before it, only longer than we have. Looks may show it late.
 */
const LET_GO_BY_MS = 150;

/**
 * Whose turn it is, as far as one client can tell from what it sees of the prefix: the waiters in
 * the order of their arrival, as many as there are free slots.
 *
 * Not everybody keeps to that order. A dead process does not move when its turn comes, and a Go
 * client takes whatever is free. So whoever has let a free slot go by has had its turn: it may
 * still try, but for a while nobody waits for it; and for twice as long each time it does so again.
 */
export class TurnOrder {
  readonly #clock: () => number;
  readonly #missed = new Map<string, MissedTurns>();
  /** Who has let a slot go by that may not have been free any more, and what counted before. */
  readonly #presumed = new Map<string, { readonly before: MissedTurns | undefined }>();
  #before: QueueSnapshot | undefined;
  /** Since when the holders have been the same. */
  #unchangedSince = -Infinity;

  /** `clock`: in milliseconds. */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  /**
   * Takes note of what has changed: whether somebody has lost patience with whoever is first. One
   * who takes a slot that has only just come free says nothing of those whom it has beaten to it.
   */
  observe(snapshot: QueueSnapshot): void {
    const waiters = waitersOf(snapshot);
    const waiting = new Map(waiters.map(({ session, createIndex }) => [session, createIndex]));
    for (const [session, { createIndex }] of this.#missed)
      if (waiting.get(session) !== createIndex) this.#missed.delete(session);
    const before = this.#before;
    this.#before = snapshot;
    const takers = before === undefined ? [] : takersBetween(before, snapshot);
    this.#settlePresumed(waiters, takers);
    if (before !== undefined && hasSameHolders(before, snapshot)) return;
    const now = this.#clock();
    const wasLetGoBy = now >= this.#unchangedSince + LET_GO_BY_MS;
    this.#unchangedSince = now;
    if (before === undefined || !wasLetGoBy || freeSlots(before, 0) === 0) return;
    for (const taker of takers) {
      const ahead = this.#claimants(snapshot).filter(
        ({ createIndex }) => createIndex < taker.createIndex,
      );
      // The slots that are still free are for the first of them.
      const [first] = ahead;
      if (first !== undefined && ahead.length > freeSlots(snapshot, 0)) this.#miss(first);
    }
  }

  /** The first `count` waiters have had their turn: a slot was free for long enough, it seems. */
  pass(snapshot: QueueSnapshot, count: number): void {
    for (const waiter of waitersOf(snapshot).slice(0, count)) {
      if (!this.#claims(waiter)) continue;
      this.#presumed.set(waiter.session, { before: this.#missed.get(waiter.session) });
      this.#miss(waiter);
    }
  }

  /**
   * A waiter has let a slot go by if somebody behind it has it in the end. But where one moves that
   * was given up, word of it was only slow to come: those behind it had no turn at all.
   */
  #settlePresumed(waiters: readonly Contender[], takers: readonly Contender[]): void {
    const waiting = new Map(waiters.map((waiter) => [waiter.session, waiter]));
    const hasOneMoved =
      takers.length > 0 || [...this.#presumed.keys()].some((session) => !waiting.has(session));
    for (const [session, { before }] of this.#presumed) {
      const waiter = waiting.get(session);
      const isPassed =
        waiter !== undefined && takers.some(({ createIndex }) => createIndex > waiter.createIndex);
      if (waiter !== undefined && !isPassed && !hasOneMoved) continue;
      this.#presumed.delete(session);
      if (waiter === undefined || isPassed) continue;
      if (before === undefined) this.#missed.delete(session);
      else this.#missed.set(session, before);
    }
  }

  /** Whoever may take a slot now, if `free` are free, in the order of their arrival. */
  upNext(snapshot: QueueSnapshot, free: number): ReadonlySet<string> {
    const upNext = new Set<string>();
    let ahead = 0;
    for (const waiter of waitersOf(snapshot)) {
      if (ahead >= free) break;
      upNext.add(waiter.session);
      if (this.#claims(waiter)) ahead += 1;
    }
    return upNext;
  }

  /** How many waiters a newcomer would have to let go first. */
  claims(snapshot: QueueSnapshot): number {
    return this.#claimants(snapshot).length;
  }

  /** Who these are for one who waits already. */
  claimantsBefore(snapshot: QueueSnapshot, session: string): readonly Contender[] {
    const claimants = this.#claimants(snapshot);
    const own = waitersOf(snapshot).find((waiter) => waiter.session === session);
    if (own === undefined) return claimants;
    return claimants.filter(({ createIndex }) => createIndex < own.createIndex);
  }

  #claimants(snapshot: QueueSnapshot): readonly Contender[] {
    return waitersOf(snapshot).filter((waiter) => this.#claims(waiter));
  }

  /** Whether the others wait for it when its turn has come. */
  #claims({ session }: Contender): boolean {
    const missed = this.#missed.get(session);
    return missed === undefined || this.#clock() >= missed.until;
  }

  #miss({ session, createIndex }: Contender): void {
    const times = (this.#missed.get(session)?.times ?? 0) + 1;
    const until = this.#clock() + FIRST_MISS_MS * 2 ** (times - 1);
    this.#missed.set(session, { createIndex, times, until });
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

/** Who has become a holder from one to the other. */
function takersBetween(before: QueueSnapshot, after: QueueSnapshot): readonly Contender[] {
  return after.contenders.filter(
    ({ session }) => after.holders.has(session) && !before.holders.has(session),
  );
}

function hasSameHolders(one: QueueSnapshot, other: QueueSnapshot): boolean {
  return (
    one.holders.size === other.holders.size &&
    [...one.holders].every((session) => other.holders.has(session))
  );
}
