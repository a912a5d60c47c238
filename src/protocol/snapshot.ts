import type { KVEntry } from "../consul/kv.js";
import type { PrefixKeys } from "./keys.js";
import { SemaphoreConflictError, SemaphoreLimitConflictError } from "../errors.js";
import { decodeLock, type SemaphoreLock } from "./lock-entry.js";

/**
 * The flags on every entry of a semaphore, by which a conflict with Consul's single lock is noticed
 * (Go: `SemaphoreFlagValue`). It does not fit in a double.
 *
 * @example
 * ```ts
 * const { value: lock } = await consul.kv.get("jobs/resize/.lock");
 * console.log(lock?.flags === SEMAPHORE_FLAG_VALUE ? "a semaphore" : "something else");
 * ```
 */
export const SEMAPHORE_FLAG_VALUE = 0xe0f69a2baa414de0n;

/**
 * One who holds a slot or waits for one.
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

/** What one listing of a prefix says. Made by {@link readSnapshot}. */
export interface PrefixSnapshot {
  /** The limit in Consul, or `undefined` where nobody has written a lock entry. */
  readonly limit: number | undefined;
  /** The sessions in the lock entry that are alive. */
  readonly holders: ReadonlySet<string>;
  /** Everybody with a contender entry, in the order of their arrival. */
  readonly contenders: readonly Contender[];
  /** The lock entry's modify index, for a swap; 0 where there is none. */
  readonly lockIndex: bigint;
}

/**
 * The meaning of a listing of a semaphore's prefix: the lock entry without its dead holders, and
 * who contends (Go: `findLock`, `decodeLock`, `pruneDeadHolders`).
 *
 * @throws SemaphoreConflictError, SemaphoreDecodingError
 */
export function readSnapshot(keys: PrefixKeys, entries: readonly KVEntry[]): PrefixSnapshot {
  const lockEntry = entries.find((entry) => entry.key === keys.lock);
  const lock = readLockEntry(lockEntry ?? null);
  const alive = new Set(entries.map((entry) => entry.session));
  return {
    limit: lock?.limit,
    holders: new Set([...(lock?.holders ?? [])].filter((session) => alive.has(session))),
    contenders: entries
      .flatMap(({ key, session, value, createIndex }) =>
        session !== null && key === keys.contender(session)
          ? [{ session, value, createIndex }]
          : [],
      )
      .sort((a, b) => Number(a.createIndex - b.createIndex)),
    lockIndex: lockEntry?.modifyIndex ?? 0n,
  };
}

/**
 * What a lock entry says; `null` for none, or for one without a value.
 *
 * @throws SemaphoreConflictError for an entry that no semaphore wrote. Flags of 0 are those of Go's
 *   first release; the next swap puts that right.
 * @throws SemaphoreDecodingError
 */
export function readLockEntry(
  entry: { readonly flags: bigint; readonly value: Uint8Array | null } | null,
): SemaphoreLock | null {
  if (entry === null) return null;
  if (entry.flags !== SEMAPHORE_FLAG_VALUE && entry.flags !== 0n) {
    throw new SemaphoreConflictError();
  }
  if (entry.value === null) return null;
  const lock = decodeLock(entry.value);
  // Anybody's JSON may have flags 0. A lock without a limit is none of a semaphore's.
  if (entry.flags === 0n && lock.limit === 0) throw new SemaphoreConflictError();
  return lock;
}

/** @throws SemaphoreLimitConflictError unless everybody agrees on the limit. */
export function requireSameLimit(snapshot: PrefixSnapshot, limit: number): void {
  if (snapshot.limit !== undefined && snapshot.limit !== limit) {
    throw new SemaphoreLimitConflictError(snapshot.limit, limit);
  }
}
