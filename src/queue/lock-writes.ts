import { SerialQueue } from "../async/serial-queue.js";
import type { KVOperation } from "../consul/transaction.js";
import { SemaphoreRequestError } from "../errors.js";
import type { Applied, PrefixRequests, Written } from "./requests.js";

/** How long a write waits for the client's earlier writes to the same lock, which may hang. In milliseconds. */
const WRITE_PATIENCE_MS = 100;

/** The writes of one client to the lock of a prefix, one after the other, since they would collide. */
export class LockWrites {
  /** The sessions of this client that have a slot. */
  readonly holders = new Set<string>();
  readonly #requests: PrefixRequests;
  readonly #turns = new SerialQueue(WRITE_PATIENCE_MS);

  constructor(requests: PrefixRequests) {
    this.#requests = requests;
  }

  /** Runs a call that writes after the earlier ones. */
  async inTurn<Result>(call: () => Promise<Result>): Promise<Result> {
    return await this.#turns.run(call);
  }

  async send(operations: readonly KVOperation[], timeout: number | undefined): Promise<Written> {
    return await this.#requests.transact(operations, "SEMAPHORE_UPDATE_FAILED", { timeout });
  }

  /** The index that a write gave the lock. */
  indexIn({ entries }: Applied): bigint {
    const { lock } = this.#requests.keys;
    // The last write of the transaction; a reading after it has the same index.
    const written = entries.findLast(({ key }) => key === lock);
    if (written !== undefined) return written.modifyIndex;
    throw new SemaphoreRequestError(
      "SEMAPHORE_UPDATE_FAILED",
      `Consul answered without the index of the write to ${lock}`,
    );
  }
}
