import type { KVEntry, SessionEntry } from "consul-semaphore";

import type { Carrier } from "./carrier.js";
import type { Clock } from "./clock.js";
import { toMilliseconds } from "./go-duration.js";
import { HttpApi } from "./http-api.js";
import { Server } from "./server.js";
import { checksOf } from "./session.js";

/** How to make a {@link FakeConsul}. */
export interface FakeConsulOptions {
  readonly clock: Clock;
  /** In [0, 1). Default: `Math.random`. */
  readonly random?: () => number;
  /**
   * How long after a create or renew a session of that TTL is ended, in milliseconds. Default: twice
   * the TTL, as Consul's servers do.
   */
  readonly sessionLifetime?: (ttlMs: number) => number;
  /** The shortest TTL allowed, in milliseconds (the agent's `session_ttl_min`). Default: 10,000. */
  readonly shortestTtl?: number;
  /** The raft index to begin with. Default: 10. */
  readonly firstIndex?: bigint;
}

/**
 * A Consul in memory: key/value store, sessions and transactions with the answers of the real one,
 * on a clock of the test's. It is a cluster of one server, which a test may have lose its leader,
 * or answer reads from the past.
 */
export class FakeConsul {
  /** Called after every change of an entry or a session, with the index of the change. */
  onChange: (index: bigint) => void = () => undefined;
  /** Serves at once: without latency, and synchronously but for blocking queries. */
  readonly carrier: Carrier;
  readonly #server: Server;

  constructor({
    clock,
    random = Math.random,
    sessionLifetime = (ttlMs) => 2 * ttlMs,
    shortestTtl = 10_000,
    firstIndex = 10n,
  }: FakeConsulOptions) {
    this.#server = new Server({
      clock,
      random,
      sessionLifetime,
      shortestTtl,
      firstIndex,
      onChange: (index) => {
        this.onChange(index);
      },
    });
    const api = new HttpApi(this.#server);
    this.carrier = (request, receiver) => api.serve(request, receiver);
  }

  /** The greatest raft index so far. */
  get index(): bigint {
    return this.#server.raft.index;
  }

  /** All entries by key. */
  get entries(): readonly KVEntry[] {
    return this.#server.raft.leader.kv.all.map((entry) => ({
      key: entry.key,
      value: entry.value === "" ? null : Uint8Array.from(Buffer.from(entry.value, "latin1")),
      flags: entry.flags,
      session: entry.session === "" ? null : entry.session,
      createIndex: entry.createIndex,
      modifyIndex: entry.modifyIndex,
      lockIndex: entry.lockIndex,
    }));
  }

  /** All sessions by ID. */
  get sessions(): readonly SessionEntry[] {
    return this.#server.raft.leader.sessions.all.map((session) => ({
      id: session.id,
      name: session.name,
      node: session.node,
      lockDelay: toMilliseconds(session.lockDelay),
      behavior: session.behavior,
      ttl: session.ttl,
      checks: checksOf(session),
      createIndex: session.createIndex,
      modifyIndex: session.modifyIndex,
    }));
  }

  /** Ends a session, as an operator does or a failed health check. */
  destroySession(id: string): void {
    this.#server.destroySession(id);
  }

  /** Deletes an entry, whoever has its lock. */
  deleteKey(key: string): void {
    this.#server.raft.apply((store, index) => {
      store.kv.delete(key, index);
    });
  }

  /**
   * From now on there is no leader: everything is refused, queries under way too, and no session
   * expires.
   */
  loseLeader(): void {
    this.#server.loseLeader();
  }

  /** Serves again. The time of every session starts anew in full. */
  electLeader(): void {
    this.#server.electLeader();
  }

  /**
   * Has reads that do not ask to be `consistent` show the state of so many milliseconds ago; 0 for
   * that of now. So does a leader that was deposed and has not noticed.
   */
  staleBy(ms: number): void {
    this.#server.raft.lag(ms);
    this.#server.queries.restart();
  }

  /**
   * Makes all indexes smaller by so much, as where the servers were replaced by new ones and those
   * restored from a snapshot. Who waits is answered at once.
   */
  turnBackIndexes(by: bigint): void {
    this.#server.turnBackIndexes(by);
  }

  /** Stops all timers. Who still waits, waits in vain. */
  dispose(): void {
    this.#server.dispose();
  }
}
