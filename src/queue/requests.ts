import { LONGEST_ATTEMPT_MS } from "../async/attempt-timeout.js";
import { Backoff } from "../async/backoff.js";
import type { Ending } from "../async/cancellation.js";
import { isAborted } from "../async/is-aborted.js";
import { sleep } from "../async/sleep.js";
import { parseDuration } from "../consul/duration.js";
import type { OwnEndpoints } from "../consul/endpoints.js";
import type { OwnRequestOptions } from "../consul/http/request-options.js";
import type { RequestScope } from "../consul/http/transport.js";
import type { EntryOptions } from "../consul/kv-answers.js";
import type { KVEntry } from "../consul/kv.js";
import { BRIEF_WAIT_MS, type OwnQueryOptions, type QueryMeta } from "../consul/query.js";
import type { KVOperation, TransactionOutcome } from "../consul/transaction.js";
import { SemaphoreRequestError, type SemaphoreRequestErrorCode } from "../errors.js";
import { prefixKeys, type PrefixKeys } from "../protocol/keys.js";
import { readLockEntry, type LockState } from "../protocol/lock-entry.js";
import type { ReadTimes } from "../protocol/queue-view.js";
import { readSnapshot, type Snapshot } from "../protocol/snapshot.js";
import { Transactions } from "../protocol/transactions.js";
import { WatchQuota } from "./watch-quota.js";

/** What was read, and when. */
export type Reading = ReadTimes & { readonly snapshot: Snapshot };

/** The lock entry as it was read, and the index for a blocking query on the next change. */
export type LockReading = ReadTimes & { readonly lock: LockState; readonly index: bigint };

/** An entry, or that there is none, and the index for a blocking query on the next change. */
interface KeyReading {
  readonly entry: KVEntry | null;
  readonly index: bigint;
}

/** The outcome of a transaction. */
export type Written = TransactionOutcome;
export type Applied = Extract<Written, { applied: true }>;
export type Refused = Extract<Written, { applied: false }>;

/**
 * The longest wait of a blocking query, in milliseconds: its end finds a dead connection. Agents of
 * today cut an answer that takes 30 s, and Consul adds up to a sixteenth to the wait.
 */
export const LONGEST_WATCH_MS = 25_000;

/** Consul's limit of operations in a transaction. */
const MOST_OPERATIONS = 64;

/**
 * A proxy may drop the parameters of a blocking query, which is then answered at once although nothing has
 * changed. These pauses keep such queries from becoming a load.
 */
const IDLE_PAUSES = { first: 50, longest: 500 };

/**
 * The requests that semaphores make of one prefix. Each rejects with the error that names what
 * failed, or with the reason of its signal. All reads are consistent: a server that missed an
 * election may not know of what we have written.
 */
export class PrefixRequests {
  readonly keys: PrefixKeys;
  readonly transactions: Transactions;
  readonly #kv: OwnEndpoints["kv"];
  readonly #scope: RequestScope;
  readonly #watches: WatchQuota;
  readonly #idlePauses = new Backoff(IDLE_PAUSES);

  /**
   * @param scope the namespace and partition to work in
   * @param watches shared by all prefixes of the client
   */
  constructor(
    { kv }: Pick<OwnEndpoints, "kv">,
    prefix: string,
    scope: RequestScope,
    watches = new WatchQuota(),
  ) {
    this.#kv = kv;
    this.#scope = scope;
    this.#watches = watches;
    this.keys = prefixKeys(prefix);
    this.transactions = new Transactions(this.keys);
  }

  /** Reads the whole prefix. */
  async readAll(options: OwnRequestOptions = {}): Promise<Reading> {
    const sentAt = performance.now();
    const snapshot = readSnapshot(this.keys, await this.#list(this.#optionsOf(options)));
    return { snapshot, sentAt, now: performance.now() };
  }

  /** All entries of the prefix, with their values. */
  async list(): Promise<readonly KVEntry[]> {
    return await this.#list({ ...this.#optionsOf({}), valueAt: undefined });
  }

  async #list(options: OwnQueryOptions & EntryOptions): Promise<readonly KVEntry[]> {
    const { value: entries, meta } = await failingAs("SEMAPHORE_READ_FAILED", options.signal, () =>
      this.#kv.list(this.keys.prefix, options),
    );
    this.#requireAll(meta);
    return entries;
  }

  /** Reads the lock entry; with an index, once it has changed since, or when the wait is over. */
  async readLock(options: OwnQueryOptions = {}): Promise<LockReading> {
    const { entry, index, sentAt } = await this.#readKey(this.keys.lock, options);
    return { lock: readLockEntry(entry), index, sentAt, now: performance.now() };
  }

  /** Reads the contender entry of a session, in the same ways. */
  async readContender(session: string, options: OwnQueryOptions = {}): Promise<KVEntry | null> {
    return (await this.#readKey(this.keys.contender(session), options)).entry;
  }

  /** Whether all of the sessions contend. */
  async areAlive(sessions: Iterable<string>, options: OwnRequestOptions = {}): Promise<boolean> {
    return (await this.#findAll(this.#checksOf(sessions), options)) !== undefined;
  }

  /** Reads the lock entry, if there is one and all of the sessions contend. */
  async readLockIfAlive(
    sessions: Iterable<string>,
    options: OwnRequestOptions = {},
  ): Promise<LockReading | undefined> {
    const sentAt = performance.now();
    const { lock: key } = this.keys;
    const found = await this.#findAll([{ verb: "get", key }, ...this.#checksOf(sessions)], options);
    const entry = found?.find((it) => it.key === key);
    if (entry === undefined) return undefined;
    const { modifyIndex: index } = entry;
    return { lock: readLockEntry(entry), index, sentAt, now: performance.now() };
  }

  /** Writes; `code` names the step in an error. */
  async transact(
    operations: readonly KVOperation[],
    code: SemaphoreRequestErrorCode,
    options: OwnRequestOptions = {},
  ): Promise<Written> {
    const all = { ...this.#scope, ...options, valueAt: this.keys.lock };
    return await failingAs(code, options.signal, () => this.#kv.txn(operations, all));
  }

  /** Deletes the contender entry of a session that is no holder. */
  async deleteContender(session: string, options: OwnRequestOptions = {}): Promise<void> {
    await failingAs("SEMAPHORE_LEAVE_FAILED", options.signal, () =>
      this.#kv.delete(this.keys.contender(session), { ...this.#scope, ...options }),
    );
  }

  /** Deletes the lock entry as it was read. Resolves to whether it was still that one. */
  async deleteLock({ modifyIndex }: LockState): Promise<boolean> {
    return await failingAs("SEMAPHORE_REMOVE_FAILED", undefined, () =>
      this.#kv.deleteCas({ key: this.keys.lock, modifyIndex }, this.#scope),
    );
  }

  #checksOf(sessions: Iterable<string>): readonly KVOperation[] {
    return [...sessions].map((session) => this.transactions.checkContender(session));
  }

  /** The entries that read-only operations find; undefined if one of them fails. */
  async #findAll(
    operations: readonly KVOperation[],
    options: OwnRequestOptions,
  ): Promise<readonly KVEntry[] | undefined> {
    const entries: KVEntry[] = [];
    for (let from = 0; from < operations.length; from += MOST_OPERATIONS) {
      const some = operations.slice(from, from + MOST_OPERATIONS);
      const outcome = await failingAs("SEMAPHORE_READ_FAILED", options.signal, () =>
        this.#kv.txn(some, this.#optionsOf(options)),
      );
      if (!outcome.applied) return undefined;
      entries.push(...outcome.entries);
    }
    return entries;
  }

  async #readKey(
    key: string,
    options: OwnQueryOptions,
  ): Promise<KeyReading & { readonly sentAt: number }> {
    const sentAt = performance.now();
    const wait = parseDuration(options.wait ?? 0);
    const { entry, index } = await this.#readOrWatch(key, options, sentAt, wait);
    const isIdle = index === options.index && performance.now() < sentAt + wait / 2;
    if (isIdle) await sleep(Math.min(this.#idlePauses.next(), wait), options.signal);
    else this.#idlePauses.reset();
    return { entry, index, sentAt };
  }

  /** Polls if there is no connection for a blocking query. */
  async #readOrWatch(
    key: string,
    options: OwnQueryOptions,
    sentAt: number,
    wait: number,
  ): Promise<KeyReading> {
    const { index: seen = 0n, signal, timeout = Infinity } = options;
    const read = async (query: OwnQueryOptions): Promise<KeyReading> => {
      const { value: entry, meta } = await failingAs("SEMAPHORE_READ_FAILED", query.signal, () =>
        this.#kv.get(key, this.#optionsOf(query)),
      );
      this.#requireAll(meta);
      return { entry, index: entry?.modifyIndex ?? meta.index };
    };
    if (seen === 0n || wait <= BRIEF_WAIT_MS) return await read(options);
    let last: KeyReading | undefined;
    return await this.#watches.watch({
      signal,
      query: () => read(options),
      poll: async () => {
        const now = performance.now();
        // It ends when the query would have, since it occupies a connection that others need.
        const left = Math.max(sentAt + timeout - now, timeout - wait);
        const single = {
          ...options,
          index: undefined,
          wait: undefined,
          timeout: Math.min(left, LONGEST_ATTEMPT_MS),
        };
        try {
          last = await read(single);
        } catch (error) {
          // The poll before this one succeeded, and showed no change.
          if (last === undefined || isAborted(signal)) throw error;
          return last;
        }
        const isOver = performance.now() >= sentAt + wait;
        return isOver || last.index !== seen ? last : undefined;
      },
    });
  }

  /** An incomplete answer shows free slots and losses that do not exist. */
  #requireAll({ resultsFilteredByACLs }: QueryMeta): void {
    if (resultsFilteredByACLs !== true) return;
    throw new SemaphoreRequestError(
      "SEMAPHORE_READ_FAILED",
      `Consul leaves entries out for want of a permission: key_prefix ` +
        `${JSON.stringify(this.keys.prefix)} with policy read or write`,
    );
  }

  /** The options of a read. They always have the same fields, which makes reading them fast. */
  #optionsOf({ index, wait, timeout, signal }: OwnQueryOptions): OwnQueryOptions & EntryOptions {
    const { namespace, partition } = this.#scope;
    const valueAt = this.keys.lock;
    return { namespace, partition, consistent: true, index, wait, timeout, signal, valueAt };
  }
}

/** The errors of a refused transaction, in one line. */
export function wordsOf({ errors }: Refused): string {
  return errors.map(({ what }) => what).join(", ");
}

/** Names the step in an error. After an abort, it rejects with the reason of the signal. */
async function failingAs<Result>(
  code: SemaphoreRequestErrorCode,
  signal: Ending | undefined,
  request: () => Promise<Result>,
): Promise<Result> {
  try {
    return await request();
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw new SemaphoreRequestError(code, error);
  }
}
