import type { Waiter } from "../../../src/protocol/step.js";
import type { LockState } from "../../../src/protocol/lock-entry.js";
import type { KnownTail, QueueView } from "../../../src/protocol/queue-view.js";
import type { Pass } from "../../../src/protocol/passes.js";
import type { ContenderEntry } from "../../../src/protocol/snapshot.js";

/** When everything in a view was heard of, unless a test says otherwise. */
export const HEARD = 10_000;

/** The contender that came with that index, and has written its entry once. */
export function contender(index: number, given: Partial<ContenderEntry> = {}): ContenderEntry {
  const createIndex = BigInt(index);
  return {
    ...{ session: `s${index}`, createIndex, modifyIndex: createIndex, lockIndex: 1n },
    ...given,
  };
}

/** The contenders that came with these indexes. */
export function contenders(...indexes: readonly number[]): readonly ContenderEntry[] {
  return indexes.map((index) => contender(index));
}

/** Contenders with these sessions, of whom nothing else matters. */
export function entriesOf(...sessions: readonly string[]): readonly ContenderEntry[] {
  return sessions.map((session) => contender(0, { session }));
}

export function lockOf(
  limit: number | undefined,
  holders: readonly string[] = [],
  modifyIndex = 100n,
): LockState {
  return { limit, holders: new Set(holders), modifyIndex };
}

/** The waiters that came with these indexes were passed once, and nobody waits for them until then. */
export function passedUntil(
  until: number,
  ...indexes: readonly number[]
): ReadonlyMap<bigint, Pass> {
  return new Map(indexes.map((index) => [BigInt(index), { times: 1, until }]));
}

/** The contender that came with that index, behind which {@link waiter} 9 has entered. */
export function tailOf(index: number, given: Partial<KnownTail> = {}): KnownTail {
  const entry = contender(index);
  return { entry, hasJoined: false, follower: "s9", enteredAt: HEARD, ...given };
}

/** All is known since {@link HEARD}, and all holders were contenders then. */
export function viewOf(given: Partial<QueueView> = {}): QueueView {
  const { lock = lockOf(1), waiters = [] } = given;
  return {
    lock,
    dead: new Map(),
    waiters,
    passed: new Map(),
    lastTurn: undefined,
    vanished: undefined,
    tail: undefined,
    idleFront: undefined,
    read: [...entriesOf(...lock.holders), ...waiters],
    readIndex: lock.modifyIndex,
    ...{ readAt: HEARD, readInOrder: true, readTook: 0 },
    lockAt: HEARD,
    lockSince: HEARD,
    isLockStale: false,
    joinIndex: 0n,
    aliveAt: new Map([...lock.holders].map((session) => [session, HEARD])),
    ...given,
  };
}

/** The waiter that came with that index. */
export function waiter(index: number, given: Partial<Waiter> = {}): Waiter {
  return { session: `s${index}`, limit: 1, adoptsLimit: false, enteredAt: HEARD, ...given };
}
