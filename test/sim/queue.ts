import type { StoredEntry } from "./lock-entry.js";
import type { SimulatedProcess } from "./simulated-process.js";

/** Somebody who waits for a slot, as the entries show it. */
export interface Waiter {
  readonly session: string;
  /** What the contender entry has as its value. */
  readonly user: string;
  readonly createIndex: bigint;
  readonly enteredAt: number;
  /** How many were ahead then: of those that have left since, it need not know. */
  readonly aheadOnEntry: number;
  /** Since when nobody is before it. */
  frontSince: number;
  /** When somebody before it was last seen that does not move, while a slot was free. */
  heldUpAt: number;
  /** Until when the order in which it stands is in disorder, as it let somebody go first. */
  excusedUntil: number;
  /** Whether anybody who came later had a slot before it: then some may not wait for it any more. */
  wasPassed: boolean;
  /** How often each of those who came later had a slot before it. */
  readonly passes: Map<string, { readonly times: number; readonly since: number }>;
  /** For how long slots have been free, in all, because it was dead, for each that came after it. */
  readonly costs: Map<SimulatedProcess, number>;
}

/** What the lock says. */
export interface Holders {
  readonly limit: number;
  /** Those with all that belongs to them. */
  readonly holders: ReadonlySet<string>;
}

/** Who waits, in the order of arrival, and for how long there has been a slot for them. */
export class Queue {
  readonly #prefix: string;
  #limit: number;
  #waiters: readonly Waiter[] = [];
  #holders: ReadonlySet<string> = new Set();
  #freeSince: number | undefined;
  #openSince: number | undefined;
  #wasReleased = false;
  #lockIndex = 0n;

  constructor(prefix: string, limit: number) {
    this.#prefix = prefix;
    this.#limit = limit;
  }

  get waiters(): readonly Waiter[] {
    return this.#waiters;
  }

  /** Holders with all that belongs to them. */
  get holders(): ReadonlySet<string> {
    return this.#holders;
  }

  get limit(): number {
    return this.#limit;
  }

  get freeSlots(): number {
    return Math.max(0, this.#limit - this.#holders.size);
  }

  /** Since when there is a free slot; nothing while there is none. */
  get freeSince(): number | undefined {
    return this.#freeSince;
  }

  /** Since when there is one that nobody waits for. */
  get openSince(): number | undefined {
    return this.#openSince;
  }

  /** Whether it came free by a write to the lock, and not with its holder's session. */
  get wasReleased(): boolean {
    return this.#wasReleased;
  }

  /** Takes in what the entries are now. */
  update(entries: readonly StoredEntry[], { holders, limit }: Holders, now: number): void {
    this.#limit = limit;
    const known = new Map(this.#waiters.map((waiter) => [waiter.session, waiter]));
    const waiters: Waiter[] = [];
    for (const { key, value, session, createIndex } of entries) {
      if (session === null || key !== `${this.#prefix}/${session}` || holders.has(session))
        continue;
      const before = known.get(session);
      if (before?.createIndex === createIndex) waiters.push(before);
      else
        waiters.push(
          newWaiter(
            session,
            Buffer.from(value ?? []).toString(),
            createIndex,
            now,
            this.#waiters.length,
          ),
        );
    }
    waiters.sort((a, b) => (a.createIndex < b.createIndex ? -1 : 1));
    for (const waiter of waiters.slice(1)) waiter.frontSince = Infinity;
    const [first] = waiters;
    if (first !== undefined) first.frontSince = Math.min(first.frontSince, now);
    this.#waiters = waiters;
    this.#holders = holders;
    const lock = entries.find(({ key }) => key === `${this.#prefix}/.lock`);
    const isWritten = lock?.modifyIndex !== this.#lockIndex;
    this.#lockIndex = lock?.modifyIndex ?? 0n;
    this.#openSince =
      this.freeSlots === 0 || waiters.length > 0 ? undefined : (this.#openSince ?? now);
    if (this.freeSlots === 0) {
      this.#freeSince = undefined;
    } else if (this.#freeSince === undefined) {
      this.#freeSince = now;
      this.#wasReleased = isWritten;
    }
  }
}

function newWaiter(
  session: string,
  user: string,
  createIndex: bigint,
  enteredAt: number,
  aheadOnEntry: number,
): Waiter {
  return {
    session,
    user,
    createIndex,
    enteredAt,
    aheadOnEntry,
    frontSince: Infinity,
    heldUpAt: -Infinity,
    excusedUntil: -Infinity,
    wasPassed: false,
    passes: new Map(),
    costs: new Map(),
  };
}
