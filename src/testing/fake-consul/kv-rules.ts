import { goQuoted } from "./go-quote.js";
import { KvEntry, type KvWrite } from "./kv-entry.js";
import type { KvTable } from "./kv-table.js";
import type { SessionTable } from "./session-table.js";
import { StateError } from "./state-error.js";

/** What a client requests for an entry. */
export interface KvRequest {
  readonly key: string;
  /** The bytes, one character each. */
  readonly value: string;
  readonly flags: bigint;
  /** The session that acquires or releases the lock. */
  readonly session: string;
  /** The modify index that the entry must have. */
  readonly index: bigint;
}

/** A write that changes nothing keeps the modify index, and wakes no query. */
function write(kv: KvTable, wanted: KvWrite, index: bigint): KvEntry {
  const existing = kv.get(wanted.key);
  if (existing?.equals(wanted) === true) return existing;
  const entry = new KvEntry(wanted, existing?.createIndex ?? index, index);
  kv.put(entry);
  return entry;
}

/** Stores an entry. A lock stays with its session, but the lock index is reset to 0. */
export function set(kv: KvTable, { key, value, flags }: KvRequest, index: bigint): KvEntry {
  const session = kv.get(key)?.session ?? "";
  return write(kv, { key, value, flags, session, lockIndex: 0n }, index);
}

/**
 * Stores an entry if the existing one has the requested modify index. 0 requires that there is
 * none.
 */
export function compareAndSet(kv: KvTable, request: KvRequest, index: bigint): KvEntry | null {
  const actual = kv.get(request.key)?.modifyIndex ?? 0n;
  return actual === request.index ? set(kv, request, index) : null;
}

/**
 * Stores an entry and acquires its lock, unless another session holds it. The lock index counts the
 * acquisitions, except by the session that already holds the lock.
 *
 * @throws StateError for a session that does not exist
 */
export function lock(
  kv: KvTable,
  sessions: SessionTable,
  { key, value, flags, session }: KvRequest,
  index: bigint,
): KvEntry | null {
  if (session === "") throw new StateError("missing session");
  if (sessions.get(session) === undefined) {
    throw new StateError(`invalid session ${goQuoted(session)}`);
  }
  const existing = kv.get(key);
  const holder = existing?.session ?? "";
  if (holder !== "" && holder !== session) return null;
  const before = existing?.lockIndex ?? 0n;
  const lockIndex = holder === session ? before : before + 1n;
  return write(kv, { key, value, flags, session, lockIndex }, index);
}

/**
 * Stores an entry and releases its lock, if the session holds it.
 *
 * @throws StateError without a session
 */
export function unlock(
  kv: KvTable,
  { key, value, flags, session }: KvRequest,
  index: bigint,
): KvEntry | null {
  if (session === "") throw new StateError("missing session");
  const existing = kv.get(key);
  if (existing?.session !== session) return null;
  return write(kv, { key, value, flags, session: "", lockIndex: existing.lockIndex }, index);
}

/** Releases the lock of a session that has ended. */
export function releaseLock(kv: KvTable, entry: KvEntry, index: bigint): void {
  const { key, value, flags, lockIndex } = entry;
  write(kv, { key, value, flags, lockIndex, session: "" }, index);
}

/** Deletes an entry if it has the requested modify index. A missing one counts as deleted. */
export function compareAndDelete(kv: KvTable, request: KvRequest, index: bigint): boolean {
  const existing = kv.get(request.key);
  if (existing === undefined) return true;
  if (existing.modifyIndex !== request.index) return false;
  kv.delete(request.key, index);
  return true;
}

/** @throws StateError unless the session holds the lock of the entry */
export function checkSession(kv: KvTable, { key, session }: KvRequest): KvEntry {
  const entry = kv.get(key);
  if (entry === undefined) {
    throw new StateError(`failed to check session, key ${goQuoted(key)} doesn't exist`);
  }
  if (entry.session !== session) {
    throw new StateError(
      `failed session check for key ${goQuoted(key)}, ` +
        `current session ${goQuoted(entry.session)} != ${goQuoted(session)}`,
    );
  }
  return entry;
}

/** @throws StateError unless the entry has the modify index */
export function checkIndex(kv: KvTable, { key, index }: KvRequest): KvEntry {
  const entry = kv.get(key);
  if (entry === undefined) {
    throw new StateError(`failed to check index, key ${goQuoted(key)} doesn't exist`);
  }
  if (entry.modifyIndex !== index) {
    throw new StateError(
      `failed index check for key ${goQuoted(key)}, ` +
        `current modify index ${entry.modifyIndex} != ${index}`,
    );
  }
  return entry;
}
