import type { ConsulEndpoints } from "./consul/endpoints.js";
import { nextIndex, type QueryOptions } from "./consul/query.js";
import type { RequestOptions } from "./consul/request-options.js";
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
  async enter(session: string, value: Uint8Array | string | undefined): Promise<boolean> {
    return await failingAs("SEMAPHORE_CONTENDER_FAILED", undefined, () =>
      this.#kv.acquire(
        { key: this.#keys.contender(session), value, flags: SEMAPHORE_FLAG_VALUE, session },
        this.#scope,
      ),
    );
  }

  /** Swaps the lock for one with the session among its holders. Resolves to whether that held. */
  async join(session: string, snapshot: PrefixSnapshot, limit: number): Promise<boolean> {
    const holders = new Set(snapshot.holders).add(session);
    return await this.#swap({ limit, holders }, snapshot.lockIndex, this.#scope);
  }

  /** Takes the session out of the lock's holders, if it is there. */
  async leave(session: string, signal?: AbortSignal): Promise<void> {
    const options = { ...this.#scope, signal };
    for (;;) {
      const { value: entry } = await failingAs("SEMAPHORE_READ_FAILED", signal, () =>
        // A server that missed an election might not show us yet, and we would stay in for good.
        this.#kv.get(this.#keys.lock, { ...options, consistent: true }),
      );
      const lock = readLockEntry(entry);
      if (entry === null || !lock?.holders.has(session)) return;
      const holders = new Set(lock.holders);
      holders.delete(session);
      // Somebody else's swap came between: look again.
      if (await this.#swap({ limit: lock.limit, holders }, entry.modifyIndex, options)) return;
    }
  }

  async deleteContender(session: string, signal?: AbortSignal): Promise<void> {
    await failingAs("SEMAPHORE_LEAVE_FAILED", signal, () =>
      this.#kv.delete(this.#keys.contender(session), { ...this.#scope, signal }),
    );
  }

  /** Deletes the lock entry that the snapshot shows. Resolves to whether it was still that one. */
  async deleteLock({ lockIndex }: PrefixSnapshot): Promise<boolean> {
    return await failingAs("SEMAPHORE_REMOVE_FAILED", undefined, () =>
      this.#kv.deleteCas({ key: this.#keys.lock, modifyIndex: lockIndex }, this.#scope),
    );
  }

  async #swap(lock: SemaphoreLock, modifyIndex: bigint, options: RequestOptions): Promise<boolean> {
    return await failingAs("SEMAPHORE_UPDATE_FAILED", options.signal, () =>
      this.#kv.cas(
        {
          key: this.#keys.lock,
          value: encodeLock(lock),
          flags: SEMAPHORE_FLAG_VALUE,
          modifyIndex,
        },
        options,
      ),
    );
  }
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
