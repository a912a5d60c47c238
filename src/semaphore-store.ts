import type { ConsulEndpoints } from "./consul/endpoints.js";
import type { KVEntry } from "./consul/kv.js";
import { nextIndex, type QueryOptions } from "./consul/query.js";
import type { RequestOptions } from "./consul/request-options.js";
import type { KVOperation, TransactionOutcome } from "./consul/transaction.js";
import { prefixKeys, type PrefixKeys } from "./prefix-keys.js";
import {
  readLockEntry,
  readSnapshot,
  SEMAPHORE_FLAG_VALUE,
  type PrefixSnapshot,
} from "./prefix-snapshot.js";
import { SemaphoreRequestError, type SemaphoreRequestErrorCode } from "./semaphore-errors.js";
import { encodeLock, type SemaphoreLock } from "./semaphore-lock.js";

/** A snapshot, and the index to wait on for the one after it. */
export interface PrefixReading {
  readonly snapshot: PrefixSnapshot;
  readonly nextIndex: bigint;
}

/**
 * What became of a try for a slot: the index of the write that made the session a holder, or why
 * Consul refused it, in its own words.
 */
export type Joining = { readonly joinedAt: bigint } | { readonly refusal: string };

export interface LeaveOptions extends RequestOptions {
  /** Leaves a slot that the session had before it entered as it is. */
  readonly unlessHolder?: boolean;
  /**
   * Makes sure that a try for a slot that is still on its way fails, also if a request for a
   * contender entry is on its way before it.
   */
  readonly joinMayCome?: boolean;
}

/**
 * The requests that a semaphore makes of its prefix. Each rejects with the error that names what
 * failed, or with the reason of its signal.
 */
export class SemaphoreStore {
  readonly #kv: ConsulEndpoints["kv"];
  readonly #keys: PrefixKeys;
  readonly #scope: RequestOptions;

  /** `scope`: the namespace and partition to work in. */
  constructor({ kv }: ConsulEndpoints, prefix: string, scope: RequestOptions) {
    this.#kv = kv;
    this.#keys = prefixKeys(prefix);
    this.#scope = scope;
  }

  /** Lists the prefix; with an index, once it has changed since. */
  async read(query: QueryOptions = {}): Promise<PrefixReading> {
    const { value: entries, meta } = await failingAs("SEMAPHORE_READ_FAILED", query.signal, () =>
      this.#kv.list(this.#keys.prefix, { ...this.#scope, ...query }),
    );
    return {
      snapshot: readSnapshot(this.#keys, entries),
      nextIndex: nextIndex(query.index ?? 0n, meta.index),
    };
  }

  /**
   * Makes the contender entry, locked by the session, so that it goes when the session ends.
   * Resolves to whether the session got the lock.
   */
  async enter(
    session: string,
    value: Uint8Array | string | undefined,
    options: RequestOptions = {},
  ): Promise<boolean> {
    return await failingAs("SEMAPHORE_CONTENDER_FAILED", undefined, () =>
      this.#kv.acquire(
        { key: this.#keys.contender(session), value, flags: SEMAPHORE_FLAG_VALUE, session },
        { ...this.#scope, ...options },
      ),
    );
  }

  /** Swaps the lock for one with the session among its holders, if nobody has changed it since. */
  async join(
    session: string,
    snapshot: PrefixSnapshot,
    limit: number,
    options: RequestOptions = {},
  ): Promise<Joining> {
    const holders = new Set(snapshot.holders).add(session);
    return await this.#swapIn(
      session,
      [this.#lockSwap({ limit, holders }, snapshot.lockIndex)],
      options,
    );
  }

  /**
   * Makes a session that is a holder already, by a write of which we do not know the index, a
   * holder by one of which we do. It also undoes the swap of whoever is about to take the session
   * for dead, because its contender entry was not there for a moment.
   */
  async joinAgain(
    session: string,
    snapshot: PrefixSnapshot,
    limit: number,
    options: RequestOptions = {},
  ): Promise<Joining> {
    const holders = new Set(snapshot.holders).add(session);
    const others = new Set(snapshot.holders);
    others.delete(session);
    // Consul gives a write that changes nothing no index of its own: so out and in again, at once.
    return await this.#swapIn(
      session,
      [
        this.#lockSwap({ limit, holders: others }, snapshot.lockIndex),
        { verb: "set", ...this.#lockWrite({ limit, holders }) },
      ],
      options,
    );
  }

  /**
   * Takes the session out of the lock's holders, if it is there, and its contender entry away, both
   * at once: a holder without one counts as dead. A try for a slot that is still on its way fails
   * from then on.
   *
   * @throws SemaphoreError where the lock cannot be read
   */
  async leave(
    session: string,
    { unlessHolder = false, joinMayCome = false, ...options }: LeaveOptions = {},
  ): Promise<void> {
    const scoped = { ...this.#scope, ...options };
    const departure: KVOperation = { verb: "delete", key: this.#keys.contender(session) };
    let refusal: { readonly index: bigint; readonly words: string } | undefined;
    for (;;) {
      const { value: entry, meta } = await failingAs("SEMAPHORE_READ_FAILED", options.signal, () =>
        // A server that missed an election might not show us yet, and we would stay in for good.
        this.#kv.get(this.#keys.lock, { ...scoped, consistent: true }),
      );
      const lock = readLockEntry(entry);
      if (
        unlessHolder &&
        lock?.holders.has(session) &&
        !(await this.#isRevived(session, entry, { ...scoped, consistent: true }))
      ) {
        return;
      }
      // Consul refused, and nothing has changed since: to go on would never end.
      if (refusal?.index === meta.index) {
        throw new SemaphoreRequestError("SEMAPHORE_UPDATE_FAILED", refusal.words);
      }
      const withdrawal = this.#withdrawal(session, lock, entry?.modifyIndex ?? 0n, {
        // A lock that has changed since the departure began has outrun it already.
        outrunJoin: joinMayCome && refusal === undefined,
      });
      const outcome = await this.#transact([...withdrawal, departure], scoped);
      if (outcome.applied) return;
      // Somebody else's swap came between: look again.
      refusal = { index: meta.index, words: wordsOf(outcome) };
    }
  }

  /** Deletes the contender entry of a session that is no holder. */
  async deleteContender(session: string, options: RequestOptions = {}): Promise<void> {
    await failingAs("SEMAPHORE_LEAVE_FAILED", options.signal, () =>
      this.#kv.delete(this.#keys.contender(session), { ...this.#scope, ...options }),
    );
  }

  /** Deletes the lock entry that the snapshot shows. Resolves to whether it was still that one. */
  async deleteLock({ lockIndex }: PrefixSnapshot): Promise<boolean> {
    return await failingAs("SEMAPHORE_REMOVE_FAILED", undefined, () =>
      this.#kv.deleteCas({ key: this.#keys.lock, modifyIndex: lockIndex }, this.#scope),
    );
  }

  async #swapIn(
    session: string,
    swap: readonly KVOperation[],
    options: RequestOptions,
  ): Promise<Joining> {
    const outcome = await this.#transact(
      [
        // Its contender entry may have gone with its session, or in a departure of ours.
        { verb: "check-session", key: this.#keys.contender(session), session },
        ...swap,
      ],
      { ...this.#scope, ...options },
    );
    if (!outcome.applied) return { refusal: wordsOf(outcome) };
    const written = outcome.entries.findLast(({ key }) => key === this.#keys.lock);
    if (written !== undefined) return { joinedAt: written.modifyIndex };
    throw new SemaphoreRequestError(
      "SEMAPHORE_UPDATE_FAILED",
      `Consul did not tell the index of the write to ${this.#keys.lock}`,
    );
  }

  /**
   * Whether a holder had been dead, without a contender entry, when it entered: whoever had changed
   * the lock in that time would have taken it out.
   */
  async #isRevived(
    session: string,
    lockEntry: KVEntry | null,
    options: QueryOptions,
  ): Promise<boolean> {
    const { value: entry } = await failingAs("SEMAPHORE_READ_FAILED", options.signal, () =>
      this.#kv.get(this.#keys.contender(session), options),
    );
    return (entry?.createIndex ?? 0n) > (lockEntry?.modifyIndex ?? 0n);
  }

  /** Makes sure that the session is not among the holders of the lock that was read. */
  #withdrawal(
    session: string,
    lock: SemaphoreLock | null,
    modifyIndex: bigint,
    { outrunJoin }: { readonly outrunJoin: boolean },
  ): readonly KVOperation[] {
    const key = this.#keys.lock;
    if (modifyIndex === 0n) return [{ verb: "check-not-exists", key }];
    const isHolder = lock?.holders.has(session) === true;
    if (lock === null || !(isHolder || outrunJoin)) {
      return [{ verb: "check-index", key, modifyIndex }];
    }
    const { limit } = lock;
    const others = new Set(lock.holders);
    others.delete(session);
    if (isHolder) return [this.#lockSwap({ limit, holders: others }, modifyIndex)];
    // In and out again, at once: nobody sees it, and the lock has an index that no swap knows.
    return [
      this.#lockSwap({ limit, holders: new Set(others).add(session) }, modifyIndex),
      { verb: "set", ...this.#lockWrite({ limit, holders: others }) },
    ];
  }

  #lockSwap(lock: SemaphoreLock, modifyIndex: bigint): KVOperation {
    return { verb: "cas", modifyIndex, ...this.#lockWrite(lock) };
  }

  #lockWrite(lock: SemaphoreLock): { key: string; value: string; flags: bigint } {
    return { key: this.#keys.lock, value: encodeLock(lock), flags: SEMAPHORE_FLAG_VALUE };
  }

  async #transact(
    operations: readonly KVOperation[],
    options: RequestOptions,
  ): Promise<TransactionOutcome> {
    return await failingAs("SEMAPHORE_UPDATE_FAILED", options.signal, () =>
      this.#kv.txn(operations, options),
    );
  }
}

function wordsOf({ errors }: Extract<TransactionOutcome, { applied: false }>): string {
  return errors.map(({ what }) => what).join(", ");
}

/** Names the step that failed; an abort is no failure, and keeps its reason. */
async function failingAs<Result>(
  code: SemaphoreRequestErrorCode,
  signal: AbortSignal | undefined,
  request: () => Promise<Result>,
): Promise<Result> {
  try {
    return await request();
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw new SemaphoreRequestError(code, error);
  }
}
