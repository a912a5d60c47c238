import type { KVEntry } from "../consul/kv.js";
import type { PrefixKeys } from "./keys.js";
import { readLockEntry, type LockState } from "./lock-entry.js";

/**
 * A holder of a slot, or a waiter for one.
 *
 * @example
 * ```ts
 * for (const { session, value } of (await sem.inspect()).waiters) {
 *   console.log(session, value === null ? "" : Buffer.from(value).toString());
 * }
 * ```
 */
export interface Contender {
  /** The ID of its session, after which its contender entry is named. */
  readonly session: string;
  /** What it was given as {@link SemaphoreOptions.value}; `null` for nothing. */
  readonly value: Uint8Array | null;
  /** When it came, as an index of Consul's: the smaller, the earlier. */
  readonly createIndex: bigint;
}

/** A contender with what a blocking query on its entry needs. */
export interface ContenderEntry extends Contender {
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
  const contenders: ContenderEntry[] = [];
  for (const { key, session, value, createIndex, modifyIndex, lockIndex } of entries) {
    if (session === null || key !== keys.contender(session)) continue;
    contenders.push({ session, value, createIndex, modifyIndex, lockIndex });
  }
  contenders.sort((a, b) => (a.createIndex < b.createIndex ? -1 : 1));
  const alive = new Set(contenders.map(({ session }) => session));
  const dead = new Map(
    [...lock.holders]
      .filter((session) => !alive.has(session))
      .map((session) => [session, indexAt(keys.contender(session), entries)]),
  );
  return { lock, dead, contenders };
}

function indexAt(key: string, entries: readonly KVEntry[]): bigint {
  return entries.find((entry) => entry.key === key)?.modifyIndex ?? 0n;
}

/** What users see of a contender. In JSON its value is a text, and its index a string. */
class ShownContender implements Contender {
  readonly session: string;
  readonly value: Uint8Array | null;
  readonly createIndex: bigint;

  constructor({ session, value, createIndex }: Contender) {
    this.session = session;
    this.value = value;
    this.createIndex = createIndex;
  }

  toJSON(): object {
    const { session, value, createIndex } = this;
    const text = value === null ? null : Buffer.from(value).toString();
    return { session, value: text, createIndex: createIndex.toString() };
  }
}

export function shown(contender: Contender): Contender {
  return new ShownContender(contender);
}

/** The sessions that hold a slot: those in the lock entry that are alive. */
export function liveHolders({ lock, dead }: KnownLock): Set<string> {
  return new Set([...lock.holders].filter((session) => !dead.has(session)));
}
