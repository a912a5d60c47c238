import type { ConsulEndpoints } from "../consul/endpoints.js";
import type { KVEntry } from "../consul/kv.js";
import { nextIndex, type QueryOptions } from "../consul/query.js";
import type { RequestOptions } from "../consul/http/request-options.js";
import type { KVOperation, TransactionOutcome } from "../consul/transaction.js";
import { prefixKeys, type PrefixKeys } from "../protocol/keys.js";
import {
  readLockEntry,
  readSnapshot,
  SEMAPHORE_FLAG_VALUE,
  type PrefixSnapshot,
} from "../protocol/snapshot.js";
import { SemaphoreRequestError, type SemaphoreRequestErrorCode } from "../errors.js";
import { encodeLock, type SemaphoreLock } from "../protocol/lock-entry.js";

/** A snapshot, and the index to wait on for the one after it. */
export interface PrefixReading {
  readonly snapshot: PrefixSnapshot;
  /** Consul's index of the state that it shows. */
  readonly index: bigint;
  readonly nextIndex: bigint;
  /** When it was asked for, on the clock of `performance.now()`: it is no older than that. */
  readonly sentAt: number;
}

/**
 * What became of a try for a slot: the index of the write that made the session a holder, or why
 * Consul refused it, in its own words.
 */
export type Joining = { readonly joinedAt: bigint } | { readonly refusal: string };

/** What the lock entry said when it was last read or written. */
export interface KnownLock extends SemaphoreLock {
  readonly modifyIndex: bigint;
}

/** Chooses who gets the slot of one who leaves. */
export interface Handover {
  /**
   * The waiter to be made a holder in the same write, among `holders` then; nobody where that is
   * `undefined`. Asked anew for each try.
   */
  readonly heir: (lock: SemaphoreLock) => string | undefined;
  /** Told that the heir is no contender any more, as its session has ended. */
  readonly isGone: (heir: string) => void;
}

/** How a departure went. */
export interface Leaving {
  /** What the lock was left as, where it was written. */
  readonly lock: KnownLock | undefined;
  readonly heir: string | undefined;
  /** What the prefix looks like after it, where that was asked for. */
  readonly reading: PrefixReading | undefined;
}

export interface LeaveOptions extends RequestOptions {
  /** Leaves a slot that the session had before it entered as it is. */
  readonly unlessHolder?: boolean;
  /**
   * Makes sure that a try for a slot that is still on its way fails, also if a request for a
   * contender entry is on its way before it.
   */
  readonly joinMayCome?: boolean;
  /** Saves reading the lock first; where it is no longer so, nothing is lost but time. */
  readonly known?: KnownLock | undefined;
  /** Passes the slot on. */
  readonly handover?: Handover | undefined;
  /** Has Consul tell who is left, in the same transaction. */
  readonly lookBack?: boolean | undefined;
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
    const sentAt = performance.now();
    const { value: entries, meta } = await failingAs("SEMAPHORE_READ_FAILED", query.signal, () =>
      this.#kv.list(this.#keys.prefix, { ...this.#scope, ...query }),
    );
    return {
      snapshot: readSnapshot(this.#keys, entries),
      index: meta.index,
      nextIndex: nextIndex(query.index ?? 0n, meta.index),
      sentAt,
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

  /** Makes the contender entry and swaps the lock, both at once or neither. */
  async enterAndJoin(
    session: string,
    value: Uint8Array | string | undefined,
    snapshot: PrefixSnapshot,
    limit: number,
    options: RequestOptions = {},
  ): Promise<Joining> {
    const key = this.#keys.contender(session);
    const holders = new Set(snapshot.holders).add(session);
    return await this.#writeLock(
      [
        { verb: "lock", key, value, flags: SEMAPHORE_FLAG_VALUE, session },
        this.#lockSwap({ limit, holders }, snapshot.lockIndex),
      ],
      { ...this.#scope, ...options },
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
    {
      unlessHolder = false,
      joinMayCome = false,
      known,
      handover,
      lookBack = false,
      ...options
    }: LeaveOptions = {},
  ): Promise<Leaving> {
    const scoped = { ...this.#scope, ...options };
    const departure: KVOperation = { verb: "delete", key: this.#keys.contender(session) };
    let refusal: { readonly index: bigint; readonly words: string } | undefined;
    let expected = known;
    for (;;) {
      const { lock, modifyIndex, index } =
        expected === undefined
          ? await this.#readLock(scoped)
          : { lock: expected, modifyIndex: expected.modifyIndex, index: undefined };
      if (
        unlessHolder &&
        lock?.holders.has(session) &&
        !(await this.#isRevived(session, modifyIndex, { ...scoped, consistent: true }))
      ) {
        return { lock: undefined, heir: undefined, reading: undefined };
      }
      // Consul refused, and nothing has changed since: to go on would never end.
      if (refusal !== undefined && refusal.index === index) {
        throw new SemaphoreRequestError("SEMAPHORE_UPDATE_FAILED", refusal.words);
      }
      const heir = lock?.holders.has(session) ? handover?.heir(lock) : undefined;
      const withdrawal = this.#withdrawal(session, lock, modifyIndex, {
        heir,
        // A lock that has changed since the departure began has outrun it already.
        outrunJoin: joinMayCome && refusal === undefined,
      });
      const check = heir === undefined ? [] : [this.#contenderCheck(heir)];
      const look: readonly KVOperation[] = lookBack
        ? [{ verb: "get-tree", key: this.#keys.prefix }]
        : [];
      const sentAt = performance.now();
      const outcome = await this.#transact([...check, ...withdrawal, departure, ...look], scoped);
      if (outcome.applied) {
        const writes = check.length + withdrawal.length;
        return this.#leaving(session, lock, heir, outcome.entries, { writes, lookBack, sentAt });
      }
      if (heir !== undefined && outcome.errors.some(({ operation }) => operation === 0)) {
        handover?.isGone(heir);
      } else if (index !== undefined) {
        // Somebody else's swap came between: look again.
        refusal = { index, words: wordsOf(outcome) };
      }
      expected = undefined;
    }
  }

  /**
   * Waits until the contender entry of a session is another than it was at that index, or gone; but
   * no longer than `wait`. It costs the servers next to nothing, however many others contend.
   */
  async untilContenderChanges(
    session: string,
    query: QueryOptions & { readonly index: bigint },
  ): Promise<void> {
    await failingAs("SEMAPHORE_READ_FAILED", query.signal, () =>
      this.#kv.get(this.#keys.contender(session), { ...this.#scope, ...query }),
    );
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
    // Its contender entry may have gone with its session, or in a departure of ours.
    return await this.#writeLock([this.#contenderCheck(session), ...swap], {
      ...this.#scope,
      ...options,
    });
  }

  async #writeLock(operations: readonly KVOperation[], options: RequestOptions): Promise<Joining> {
    const outcome = await this.#transact(operations, options);
    if (!outcome.applied) return { refusal: wordsOf(outcome) };
    const written = outcome.entries.findLast(({ key }) => key === this.#keys.lock);
    if (written !== undefined) return { joinedAt: written.modifyIndex };
    throw new SemaphoreRequestError(
      "SEMAPHORE_UPDATE_FAILED",
      `Consul did not tell the index of the write to ${this.#keys.lock}`,
    );
  }

  async #readLock(options: RequestOptions): Promise<{
    readonly lock: SemaphoreLock | null;
    readonly modifyIndex: bigint;
    readonly index: bigint;
  }> {
    const { value: entry, meta } = await failingAs("SEMAPHORE_READ_FAILED", options.signal, () =>
      // A server that missed an election might not show us yet, and we would stay in for good.
      this.#kv.get(this.#keys.lock, { ...options, consistent: true }),
    );
    return {
      lock: readLockEntry(entry),
      modifyIndex: entry?.modifyIndex ?? 0n,
      index: meta.index,
    };
  }

  /** What a departure has come to, by what its transaction answers. */
  #leaving(
    session: string,
    before: SemaphoreLock | null,
    heir: string | undefined,
    entries: readonly KVEntry[],
    {
      writes,
      lookBack,
      sentAt,
    }: { readonly writes: number; readonly lookBack: boolean; readonly sentAt: number },
  ): Leaving {
    const written = entries.slice(0, writes).findLast(({ key }) => key === this.#keys.lock);
    if (before === null || written === undefined) {
      return { lock: undefined, heir, reading: undefined };
    }
    const holders = new Set(before.holders);
    holders.delete(session);
    if (heir !== undefined) holders.add(heir);
    const { modifyIndex } = written;
    const reading = lookBack
      ? {
          snapshot: readSnapshot(this.#keys, entries.slice(writes)),
          index: modifyIndex,
          nextIndex: modifyIndex,
          sentAt,
        }
      : undefined;
    return { lock: { limit: before.limit, holders, modifyIndex }, heir, reading };
  }

  /** Demands that the session contends. */
  #contenderCheck(session: string): KVOperation {
    return { verb: "check-session", key: this.#keys.contender(session), session };
  }

  /**
   * Whether a holder had been dead, without a contender entry, when it entered: whoever had changed
   * the lock in that time would have taken it out.
   */
  async #isRevived(session: string, lockIndex: bigint, options: QueryOptions): Promise<boolean> {
    const { value: entry } = await failingAs("SEMAPHORE_READ_FAILED", options.signal, () =>
      this.#kv.get(this.#keys.contender(session), options),
    );
    return (entry?.createIndex ?? 0n) > lockIndex;
  }

  /** Makes sure that the session is not among the holders of the lock that was read. */
  #withdrawal(
    session: string,
    lock: SemaphoreLock | null,
    modifyIndex: bigint,
    { outrunJoin, heir }: { readonly outrunJoin: boolean; readonly heir: string | undefined },
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
    if (isHolder) {
      const holders = heir === undefined ? others : new Set(others).add(heir);
      return [this.#lockSwap({ limit, holders }, modifyIndex)];
    }
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
