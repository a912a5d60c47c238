import type { KVEntry } from "../consul/kv.js";
import type { PrefixKeys } from "./keys.js";
import { readLockEntry, type LockState } from "./lock-entry.js";

/** What a waiter needs of an entry. It keeps one for each contender ahead of it, so there is no more. */
export interface ContenderEntry {
  readonly session: string;
  readonly createIndex: bigint;
  /** Grows with each write to the entry. */
  readonly modifyIndex: bigint;
  /** Grows when the entry's lock is taken: on entering the queue, and again on becoming a holder. */
  readonly lockIndex: bigint;
}

/** The lock entry, and which of its holders are dead. */
export interface KnownLock {
  readonly lock: LockState;
  /**
   * The sessions in the lock entry that hold no longer (Go: `pruneDeadHolders`), each with the
   * modify index of what stands at its contender's key; 0 for nothing.
   */
  readonly dead: ReadonlyMap<string, bigint>;
}

/** What one reading of the whole prefix says. */
export interface Snapshot extends KnownLock {
  /** Holders and waiters in the order of their arrival. */
  readonly contenders: readonly ContenderEntry[];
}

/**
 * The meaning of a listing of a semaphore's prefix (Go: `findLock`, `decodeLock`,
 * `pruneDeadHolders`). A contender is alive while its own entry is locked by its session.
 *
 * @throws SemaphoreConflictError, SemaphoreDecodingError
 */
export function readSnapshot(keys: PrefixKeys, entries: readonly KVEntry[]): Snapshot {
  const lock = readLockEntry(entries.find((entry) => entry.key === keys.lock) ?? null);
  const contenders = contendersAmong(keys, entries).map(
    ({ session, createIndex, modifyIndex, lockIndex }) => {
      return { session, createIndex, modifyIndex, lockIndex };
    },
  );
  const missing = new Set(lock.holders);
  for (const { session } of contenders) missing.delete(session);
  const dead = new Map(
    [...missing].map((session) => [session, indexAt(keys.contender(session), entries)]),
  );
  return { lock, dead, contenders };
}

/**
 * Which contender was the tail of the queue when the reader entered, by the entries that its write has read
 * and made.
 */
export function readTail(
  keys: PrefixKeys,
  entries: readonly KVEntry[],
  reader: string,
): ContenderEntry | undefined {
  const own = entries.find(({ key }) => key === keys.contender(reader));
  for (const { key, session, createIndex } of entries) {
    if (session === null || key !== keys.tail(session)) continue;
    // A copy of the write was carried out before: the tail came behind the reader, and waits for it.
    if (own !== undefined && own.createIndex <= createIndex) return undefined;
    // Both entries were made by one write.
    return { session, createIndex, modifyIndex: createIndex, lockIndex: 1n };
  }
  return undefined;
}

/** The entry of a contender, which its session has locked. */
type LockedEntry = KVEntry & { readonly session: string };

/** In the order of their arrival. */
export function contendersAmong(
  keys: PrefixKeys,
  entries: readonly KVEntry[],
): readonly LockedEntry[] {
  return entries
    .filter((entry) => isContender(keys, entry))
    .sort((a, b) => (a.createIndex < b.createIndex ? -1 : 1));
}

function isContender({ prefix }: PrefixKeys, entry: KVEntry): entry is LockedEntry {
  const { key, session } = entry;
  if (session === null || key.length !== prefix.length + session.length) return false;
  // To join the two for each entry of a long list, and compare that, takes twice as long.
  return key.endsWith(session) && key.startsWith(prefix);
}

function indexAt(key: string, entries: readonly KVEntry[]): bigint {
  return entries.find((entry) => entry.key === key)?.modifyIndex ?? 0n;
}

/** The sessions that hold a slot: those in the lock entry that are alive. */
export function liveHolders({ lock, dead }: KnownLock): ReadonlySet<string> {
  if (dead.size === 0) return lock.holders;
  return new Set([...lock.holders].filter((session) => !dead.has(session)));
}
