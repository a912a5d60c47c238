import type { LockState } from "./lock-entry.js";
import { isWaitedFor, passesOf, withPasses, type KnownPasses } from "./passes.js";
import { liveHolders, type ContenderEntry, type KnownLock, type Snapshot } from "./snapshot.js";

/**
 * What one client knows of a queue: the last reading of the whole prefix, and the news since then. It
 * lacks the contenders that came later, and may contain some that have left. Nobody enters ahead of
 * them, so stale knowledge only makes a waiter wait too long.
 */
export interface QueueView extends KnownLock, KnownPasses {
  /** In the order of their arrival. */
  readonly waiters: readonly ContenderEntry[];
  /** The first waiter that others wait for, and since when it has left a free slot unused. */
  readonly idleFront: { readonly createIndex: bigint; readonly since: number } | undefined;
  /**
   * Waiters whose entries were gone when they were read, each right ahead of the other: how many, and the
   * foremost. Each has had its turn, or has given up.
   */
  readonly vanished: { readonly count: number; readonly createIndex: bigint } | undefined;
  /** The waiter behind which this client's last waiter has entered a long queue. */
  readonly tail: KnownTail | undefined;
  /** The contenders in the last reading of the whole prefix. */
  readonly read: readonly ContenderEntry[];
  /** The greatest index in the last reading of the whole prefix, and when that was sent. */
  readonly readIndex: bigint;
  readonly readAt: number;
  /** Whether no holder had come after a waiter then. */
  readonly readInOrder: boolean;
  /** How long that took, in milliseconds. */
  readonly readTook: number;
  /** When there was last news of the lock. */
  readonly lockAt: number;
  /** Since when the lock entry is known as it is. */
  readonly lockSince: number;
  /** Whether it must be read before anything else. */
  readonly isLockStale: boolean;
  /** The index of the last join of another waiter. */
  readonly joinIndex: bigint;
  /** When each holder was last known to be alive. */
  readonly aliveAt: ReadonlyMap<string, number>;
}

/** The tail of a long queue when a waiter entered behind it. Nothing is known of those ahead of it. */
export interface KnownTail {
  readonly entry: ContenderEntry;
  /** Whether it has become a holder since. */
  readonly hasJoined: boolean;
  /** The session of the waiter behind it, and since when a reading would show that one. */
  readonly follower: string;
  readonly enteredAt: number;
}

/** What a read of a waiter's entry shows. */
type SeenEntry = Pick<ContenderEntry, "createIndex" | "modifyIndex" | "lockIndex">;

/** Times are those of `performance.now()`, by which the request was sent, and answered. */
export interface ReadTimes {
  readonly sentAt: number;
  readonly now: number;
}

/** Nothing is known yet: the prefix must be read. */
export const UNREAD: QueueView = {
  lock: { limit: undefined, holders: new Set(), modifyIndex: 0n },
  dead: new Map(),
  waiters: [],
  passed: new Map(),
  lastTurn: undefined,
  idleFront: undefined,
  vanished: undefined,
  tail: undefined,
  read: [],
  readIndex: 0n,
  readAt: -Infinity,
  readInOrder: true,
  readTook: 0,
  lockAt: -Infinity,
  lockSince: -Infinity,
  isLockStale: false,
  joinIndex: 0n,
  aliveAt: new Map(),
};

/** After a reading of the whole prefix. */
export function afterReading(
  before: QueueView,
  { lock, dead, contenders }: Snapshot,
  { sentAt, now }: ReadTimes,
): QueueView {
  const readIndex = greatestIndex(lock, contenders);
  // A reading that was sent before the last one was answered may be older than that.
  if (sentAt < before.lockAt && readIndex < before.readIndex) return before;
  // The lock may be known from a newer read.
  const current = isNewer(before, lock, sentAt) ? lock : before.lock;
  const alive = contenders.filter(({ session }) => current.holders.has(session));
  const waiters = contenders.filter(({ session }) => !current.holders.has(session));
  return withLock(
    {
      ...before,
      dead,
      waiters,
      passed: passesOf(before, waiters),
      lastTurn: undefined,
      vanished: undefined,
      // The reading does not show who is ahead of a waiter that has entered since.
      tail: sentAt < (before.tail?.enteredAt ?? -Infinity) ? before.tail : undefined,
      read: contenders,
      readIndex,
      readAt: sentAt,
      readInOrder: (alive.at(-1)?.createIndex ?? -1n) < (waiters[0]?.createIndex ?? Infinity),
      readTook: now - sentAt,
      aliveAt: new Map(alive.map(({ session }) => [session, sentAt])),
    },
    current,
    // To the waiters behind, a free slot in it was free when the reading was sent.
    { now, since: sentAt },
  );
}

/** After a reading of the lock entry. */
export function afterLockRead(
  view: QueueView,
  lock: LockState,
  { sentAt, now }: ReadTimes,
): QueueView {
  return isNewer(view, lock, sentAt) ? withLock(view, lock, { now }) : view;
}

/** After a waiter has entered a long queue, behind its tail if there was one. */
export function afterEntering(view: QueueView, tail: KnownTail | undefined): QueueView {
  return { ...view, tail, lastTurn: undefined, vanished: undefined };
}

/** After a write of ours to the lock. */
export function afterWrite(
  view: QueueView,
  lock: LockState,
  left: string | undefined,
  now: number,
): QueueView {
  const waiters = without(view.waiters, ({ session }) => session === left);
  // A read of the lock while the answer was on its way may be newer.
  const isNews = lock.modifyIndex > view.lock.modifyIndex;
  return isNews
    ? withLock({ ...view, waiters }, lock, { now })
    : withIdleFront({ ...view, waiters }, now);
}

/**
 * After a read of a waiter's contender entry. If its lock was taken again, the waiter has become a holder:
 * all ahead of it have had their turns, or have let it pass. If the entry is gone, the waiter may as well
 * have given up, which says nothing of the others.
 *
 * @param entry what is there now, perhaps unchanged
 */
export function afterEntry(
  view: QueueView,
  waiter: ContenderEntry,
  entry: SeenEntry | null,
  now: number,
): QueueView {
  if (view.tail?.entry.createIndex === waiter.createIndex) {
    return afterTail(view, view.tail, entry, now);
  }
  const place = view.waiters.findIndex(({ createIndex }) => createIndex === waiter.createIndex);
  if (place === -1) return view;
  const others = view.waiters.toSpliced(place, 1);
  if (entry?.createIndex !== waiter.createIndex) {
    const vanished = { count: vanishedBehind(view, waiter) + 1, createIndex: waiter.createIndex };
    return withIdleFront({ ...view, waiters: others, vanished, isLockStale: true }, now);
  }
  if (entry.lockIndex <= waiter.lockIndex) {
    const { modifyIndex, lockIndex } = entry;
    const waiters = view.waiters.with(place, { ...waiter, modifyIndex, lockIndex });
    return { ...view, waiters, vanished: undefined };
  }
  const ahead = view.waiters.slice(0, place).filter((other) => isWaitedFor(view, other, now));
  const known =
    ahead.length === 0
      ? { waiters: others }
      : {
          waiters: view.waiters.slice(place + 1),
          lastTurn: { createIndex: waiter.createIndex, at: now },
        };
  return withIdleFront({ ...afterJoin(view, entry), ...known, vanished: undefined }, now);
}

/** A waiter has joined. That is no news if the lock is known from then or later. */
function afterJoin(view: QueueView, { modifyIndex: joinIndex }: SeenEntry): QueueView {
  return joinIndex > view.lock.modifyIndex ? { ...view, isLockStale: true, joinIndex } : view;
}

/** After a read of the tail's entry. */
function afterTail(view: QueueView, tail: KnownTail, found: SeenEntry | null, now: number) {
  if (tail.hasJoined) return view;
  const { createIndex, lockIndex } = tail.entry;
  if (found?.createIndex !== createIndex) return { ...view, tail: undefined };
  const { modifyIndex, lockIndex: lockedAt } = found;
  const entry = { ...tail.entry, modifyIndex, lockIndex: lockedAt };
  if (lockedAt <= lockIndex) return { ...view, tail: { ...tail, entry } };
  const lastTurn = { createIndex, at: now };
  return { ...afterJoin(view, entry), tail: { ...tail, entry, hasJoined: true }, lastTurn };
}

/** After something that may have changed the lock entry. */
export function withStaleLock(view: QueueView): QueueView {
  return { ...view, isLockStale: true };
}

/** After a check found the contender entries of these holders. */
export function afterCheck(view: QueueView, sessions: Iterable<string>, sentAt: number): QueueView {
  const aliveAt = new Map(view.aliveAt);
  for (const session of sessions) {
    if (view.lock.holders.has(session)) aliveAt.set(session, sentAt);
  }
  return { ...view, aliveAt };
}

/** These waiters have left a free slot unused. */
export function afterPassing(
  view: QueueView,
  waiters: readonly ContenderEntry[],
  now: number,
): QueueView {
  return withIdleFront({ ...view, passed: withPasses(view, waiters, now) }, now);
}

/** How many waiters have vanished right behind this one. */
export function vanishedBehind(
  { vanished, waiters }: QueueView,
  { createIndex }: ContenderEntry,
): number {
  if (vanished === undefined || vanished.createIndex < createIndex) return 0;
  const isBetween = (it: ContenderEntry): boolean =>
    it.createIndex > createIndex && it.createIndex < vanished.createIndex;
  return waiters.some(isBetween) ? 0 : vanished.count;
}

/** The number of free slots, as far as is known. */
export function freeSlots(view: KnownLock, limit: number): number {
  return Math.max(0, limit - liveHolders(view).size);
}

/** By its index, or because the read was sent after the last news: indexes can go backwards. */
function isNewer(view: QueueView, lock: LockState, sentAt: number): boolean {
  return sentAt >= view.lockAt || lock.modifyIndex > view.lock.modifyIndex;
}

function greatestIndex(lock: LockState, contenders: readonly ContenderEntry[]): bigint {
  return contenders.reduce(
    (greatest, { modifyIndex }) => (modifyIndex > greatest ? modifyIndex : greatest),
    lock.modifyIndex,
  );
}

/** The same list if none is left out: it may be long, and many views share it. */
function without(
  waiters: readonly ContenderEntry[],
  isLeftOut: (waiter: ContenderEntry) => boolean,
): readonly ContenderEntry[] {
  return waiters.some(isLeftOut) ? waiters.filter((waiter) => !isLeftOut(waiter)) : waiters;
}

function withLock(
  view: QueueView,
  lock: LockState,
  { now, since = now }: { readonly now: number; readonly since?: number },
): QueueView {
  const isLowered = (lock.limit ?? Infinity) < (view.lock.limit ?? 0);
  return withIdleFront(
    {
      ...view,
      lock,
      lockAt: now,
      lockSince: lock.modifyIndex === view.lock.modifyIndex ? view.lockSince : now,
      isLockStale: false,
      // A slot that a lowered limit has taken away was not left unused.
      idleFront: isLowered ? undefined : view.idleFront,
      // A new holder has only just joined, and is alive.
      aliveAt: new Map([...lock.holders].map((it) => [it, view.aliveAt.get(it) ?? now])),
      dead: view.dead.size === 0 ? view.dead : stillIn(view.dead, lock.holders),
      // Holders no longer wait. Most changes of the lock leave a long list as it is.
      waiters: [...lock.holders].every((it) => view.lock.holders.has(it))
        ? view.waiters
        : without(view.waiters, ({ session }) => lock.holders.has(session)),
    },
    since,
  );
}

function stillIn(
  dead: ReadonlyMap<string, bigint>,
  holders: ReadonlySet<string>,
): ReadonlyMap<string, bigint> {
  return new Map([...dead].filter(([session]) => holders.has(session)));
}

function withIdleFront(view: QueueView, now: number): QueueView {
  const { lock, waiters, idleFront: before } = view;
  const front = waiters.find((waiter) => isWaitedFor(view, waiter, now));
  if (front === undefined) return { ...view, idleFront: undefined };
  const { createIndex } = front;
  // If others take the slot before it does, it has left that unused as well.
  if (before?.createIndex === createIndex) return view;
  const hasRoom = lock.limit === undefined || freeSlots(view, lock.limit) > 0;
  return { ...view, idleFront: hasRoom ? { createIndex, since: now } : undefined };
}
