import type { KVEntry } from "../consul/kv.js";
import type { PrefixKeys } from "./keys.js";
import { contendersAmong, liveHolders, readSnapshot } from "./snapshot.js";

/**
 * The holders and the waiters of a semaphore.
 *
 * @example
 * ```ts
 * const { limit, holders, waiters }: SemaphoreState = await sem.inspect();
 * console.log(`${holders.length} of ${limit} slots taken, ${waiters.length} waiting`);
 * ```
 */
export interface SemaphoreState {
  /** The limit in Consul, or this semaphore's where nobody has used the prefix yet. */
  readonly limit: number;
  /** In the order of their arrival. */
  readonly holders: readonly Contender[];
  /** In the order of their arrival. */
  readonly waiters: readonly Contender[];
}

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

/**
 * What users see of a listing of a prefix.
 *
 * @throws SemaphoreConflictError, SemaphoreDecodingError
 */
export function readState(
  keys: PrefixKeys,
  entries: readonly KVEntry[],
): Omit<SemaphoreState, "limit"> & { readonly limit: number | undefined } {
  const snapshot = readSnapshot(keys, entries);
  const holding = liveHolders(snapshot);
  const contenders = contendersAmong(keys, entries).map((entry) => new ShownContender(entry));
  return {
    limit: snapshot.lock.limit,
    holders: contenders.filter(({ session }) => holding.has(session)),
    waiters: contenders.filter(({ session }) => !holding.has(session)),
  };
}

/** In JSON its value is a text, and its index a string. */
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
