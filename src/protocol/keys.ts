import { posix } from "node:path";

/**
 * The key below the prefix at which the lock entry is (Go: `DefaultSemaphoreKey`).
 *
 * @example
 * ```ts
 * const { value: lock } = await consul.kv.get(`jobs/resize/${DEFAULT_SEMAPHORE_KEY}`);
 * ```
 */
export const DEFAULT_SEMAPHORE_KEY = ".lock";

/** The folder below the prefix that names the last waiter of a long queue. Go has none. */
export const TAIL_KEY = ".tail";

/** Where a semaphore keeps what in Consul's key/value store. */
export interface PrefixKeys {
  /** Read with its slash: Consul matches strings, and `jobs` would find `jobs2/…` as well. */
  readonly prefix: string;
  /** The lock entry, which says who holds. */
  readonly lock: string;
  /** The contender entry of a session. */
  contender(session: string): string;
  /** The folder of the entry that names the last waiter of a long queue. */
  readonly tails: string;
  /** That entry, while it is this session. */
  tail(session: string): string;
}

/** The keys of the semaphore at a prefix, joined and cleaned as Go's `path.Join` does. */
export function prefixKeys(prefix: string): PrefixKeys {
  const path = cleanPath(prefix);
  return {
    prefix: `${path}/`,
    lock: `${path}/${DEFAULT_SEMAPHORE_KEY}`,
    contender: (session) => `${path}/${session}`,
    tails: `${path}/${TAIL_KEY}/`,
    tail: (session) => `${path}/${TAIL_KEY}/${session}`,
  };
}

/** A path as Go's `path.Clean` leaves it: no empty, `.` or inner `..` segments, no slash at its end. */
export function cleanPath(path: string): string {
  // Node's normalize follows the same rules, save that it keeps a trailing slash.
  const normalized = posix.normalize(path);
  return normalized.length > 1 ? normalized.replace(/\/$/, "") : normalized;
}
