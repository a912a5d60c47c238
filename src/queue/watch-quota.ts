import type { Ending } from "../async/cancellation.js";
import { isAborted } from "../async/is-aborted.js";
import { sleep } from "../async/sleep.js";

/** A wait for a change of one key. */
export interface WatchedKey<Found> {
  readonly signal: Ending | undefined;
  /** A blocking query. */
  readonly query: () => Promise<Found>;
  /** A read without a wait. Resolves to nothing while nothing has changed. */
  readonly poll: () => Promise<Found | undefined>;
}

/** How many blocking queries a client has at most: an agent takes 200 connections from one address. */
const MOST_QUERIES = 32;

/** How long a client makes do with fewer queries once the agent has refused a connection. */
const LOWERED_MS = 30_000;
/** Refusals within this time count as one: connections that are opened together are refused together. */
const REFUSED_TOGETHER_MS = 1_000;

/** The pause between two polls of a key. With many keys it is longer: about 100 polls a second in all. */
const POLL_MS = 500;
const POLL_MS_PER_KEY = 10;

/**
 * Shares a bounded number of connections between the blocking queries of one client. Polling replaces the
 * queries beyond that. When the agent refuses a connection, the bound is halved, and the queries beyond it
 * run out: to abort them would free nothing, since the agent counts a connection until its query ends.
 */
export class WatchQuota {
  #queries = 0;
  #most = MOST_QUERIES;
  #refusedAt = -Infinity;
  #loweredAt = -Infinity;
  #polling = 0;

  /** @throws the signal's reason, or the failure of a query or a read */
  async watch<Found>(key: WatchedKey<Found>): Promise<Found> {
    for (;;) {
      const found = (await this.#query(key)) ?? (await this.#poll(key));
      if (found !== undefined) return found;
    }
  }

  /** The agent has refused a connection. */
  giveWay(): void {
    const now = performance.now();
    this.#refusedAt = now;
    if (now < this.#loweredAt + REFUSED_TOGETHER_MS) return;
    this.#loweredAt = now;
    this.#most = Math.floor(Math.min(this.#most, this.#queries) / 2);
  }

  get #hasRoom(): boolean {
    if (performance.now() >= this.#refusedAt + LOWERED_MS) this.#most = MOST_QUERIES;
    return this.#queries < this.#most;
  }

  /** Resolves to nothing if there is no room for a query, or if the agent has refused it. */
  async #query<Found>({ signal, query }: WatchedKey<Found>): Promise<Found | undefined> {
    if (!this.#hasRoom) return undefined;
    const refusedAt = this.#refusedAt;
    this.#queries += 1;
    try {
      return await query();
    } catch (error) {
      if (isAborted(signal) || this.#refusedAt === refusedAt) throw error;
      return undefined;
    } finally {
      this.#queries -= 1;
    }
  }

  async #poll<Found>({ signal, poll }: WatchedKey<Found>): Promise<Found | undefined> {
    this.#polling += 1;
    const pause = Math.max(POLL_MS, POLL_MS_PER_KEY * this.#polling);
    try {
      await sleep(pause * (1 - Math.random() / 4), signal);
      signal?.throwIfAborted();
      return await poll();
    } finally {
      this.#polling -= 1;
    }
  }
}
