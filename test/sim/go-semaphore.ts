import type { GoClient } from "./go-client.js";
import { decodeAsGo, encodeAsGo, readAsGo } from "./go-lock.js";

export interface GoSemaphoreOptions {
  readonly prefix: string;
  readonly limit: number;
  readonly value: string;
  readonly sessionName: string;
  readonly ttl: number;
}

/** What Go's `Acquire` leaves: the session, and the channel that is closed when the slot is lost. */
export interface GoHolding {
  readonly session: string;
  readonly lost: AbortSignal;
}

/** Go: `DefaultSemaphoreWaitTime`. */
const WAIT_MS = 15_000;

/** Go: the pause of `RenewPeriodic` after a failure. */
const RENEW_RETRY_MS = 1_000;

/**
 * The protocol of the semaphore in Consul's Go `api` package, step by step, with nothing of the
 * library under test: it takes whatever slot is free, in no order, and tells nobody of an outage.
 */
export class GoSemaphore {
  readonly #client: GoClient;
  readonly #options: GoSemaphoreOptions;
  #stopRenewal: () => Promise<void> = () => Promise.resolve();

  constructor(client: GoClient, options: GoSemaphoreOptions) {
    this.#client = client;
    this.#options = options;
  }

  async acquire(): Promise<GoHolding> {
    const { sessionName, ttl, value } = this.#options;
    const client = this.#client;
    const session = await client.createSession(sessionName, ttl);
    this.#stopRenewal = this.#renew(session);
    try {
      if (!(await client.acquireKey(this.#key(session), session, value))) {
        throw new Error("failed to make contender entry");
      }
      await this.#wait(session);
    } catch (error) {
      await this.#stopRenewal().catch(() => undefined);
      throw error;
    }
    const lost = new AbortController();
    void this.#monitor(session).finally(() => {
      lost.abort();
    });
    return { session, lost: lost.signal };
  }

  async release({ session }: GoHolding): Promise<void> {
    const { limit } = this.#options;
    try {
      for (;;) {
        const lock = decodeAsGo(await this.#client.getKey(this.#key(".lock")), limit);
        if (typeof lock === "string") throw new Error(lock);
        if (!lock.holders.has(session)) break;
        const others = [...lock.holders].filter((holder) => holder !== session);
        const written = encodeAsGo(limit, others);
        if (await this.#client.casKey(this.#key(".lock"), written, lock.modifyIndex)) break;
      }
      await this.#client.deleteKey(this.#key(session));
    } finally {
      await this.#stopRenewal().catch(() => undefined);
    }
  }

  async #wait(session: string): Promise<void> {
    const { prefix, limit } = this.#options;
    let waitIndex = 0n;
    for (;;) {
      const index = waitIndex === 0n ? "" : `&index=${waitIndex}`;
      const listing = await this.#client.list(prefix, `${index}&wait=${WAIT_MS}ms`);
      const lock = readAsGo(prefix, limit, listing.entries);
      if (typeof lock === "string") throw new Error(lock);
      if (lock.holders.size >= limit) {
        waitIndex = listing.index;
        continue;
      }
      const written = encodeAsGo(limit, new Set(lock.holders).add(session));
      if (await this.#client.casKey(this.#key(".lock"), written, lock.modifyIndex)) return;
    }
  }

  /** Go: `monitorLock`. Ends when the slot is lost or released, or on any error. */
  async #monitor(session: string): Promise<void> {
    const { prefix, limit } = this.#options;
    let index = "";
    for (;;) {
      const listing = await this.#client
        .list(prefix, `&consistent=${index}`)
        .catch(() => undefined);
      if (listing === undefined) return;
      const lock = readAsGo(prefix, limit, listing.entries);
      if (typeof lock === "string" || !lock.holders.has(session)) return;
      index = `&index=${listing.index}`;
    }
  }

  /** Go: `RenewPeriodic`. The result stops it, and destroys the session if it was still renewed. */
  #renew(session: string): () => Promise<void> {
    const { ttl } = this.#options;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let stopped = false;
    let renewedAt = performance.now();
    const renewAfter = (ms: number): void => {
      timer = setTimeout(() => void renew(), ms);
    };
    const renew = async (): Promise<void> => {
      const alive = await this.#client.renewSession(session).catch(() => undefined);
      if (stopped) return;
      if (alive === true) renewedAt = performance.now();
      const isOver = alive === false || performance.now() - renewedAt > ttl;
      if (!isOver) renewAfter(alive === true ? ttl / 2 : RENEW_RETRY_MS);
    };
    renewAfter(ttl / 2);
    return async () => {
      stopped = true;
      clearTimeout(timer);
      await this.#client.destroySession(session);
    };
  }

  #key(name: string): string {
    return `${this.#options.prefix}/${name}`;
  }
}
