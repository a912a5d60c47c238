import type { KVEntry, SessionEntry } from "consul-semaphore";

import type { Carrier } from "./carrier.js";
import type { Clock } from "./clock.js";
import { toMilliseconds } from "./go-duration.js";
import { HttpApi } from "./http-api.js";
import { Server } from "./server.js";
import { checksOf } from "./session.js";

/** The options of a {@link FakeConsul}. */
export interface FakeConsulOptions {
  readonly clock: Clock;
  /** Returns numbers in [0, 1). Default: `Math.random`. */
  readonly random?: () => number;
  /**
   * The time from a create or renew to the end of a session with this TTL, in milliseconds.
   * Default: twice the TTL, as in Consul.
   */
  readonly sessionLifetime?: (ttlMs: number) => number;
  /** The shortest TTL allowed, in milliseconds (the agent's `session_ttl_min`). Default: 10,000. */
  readonly shortestTtl?: number;
  /** The initial raft index. Default: 10. */
  readonly firstIndex?: bigint;
}

/**
 * A Consul in memory: its key/value store, sessions and transactions answer as the real ones do, on
 * a clock that the test provides. It is a cluster of one server. A test can make it lose its
 * leader, or answer reads with a past state.
 */
export class FakeConsul {
  /** Called after every change of an entry or a session, with the index of the change. */
  onChange: (index: bigint) => void = () => undefined;
  /** Answers without latency, and synchronously except for waiting queries. */
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

  /** Ends a session, as an operator or a failed health check does. */
  destroySession(id: string): void {
    this.#server.destroySession(id);
  }

  /** Deletes an entry, even if it is locked. */
  deleteKey(key: string): void {
    this.#server.raft.apply((store, index) => {
      store.kv.delete(key, index);
    });
  }

  /** Removes the leader: all requests and waiting queries fail, and no session expires. */
  loseLeader(): void {
    this.#server.loseLeader();
  }

  /** Elects a leader. The TTL of every session starts again. */
  electLeader(): void {
    this.#server.electLeader();
  }

  /**
   * Makes reads that are not `consistent` show the state of `ms` milliseconds ago, as a leader does
   * that was deposed and has not noticed. 0 ends that.
   */
  staleBy(ms: number): void {
    this.#server.raft.lag(ms);
    this.#server.queries.restart();
  }

  /**
   * Lowers all indexes, as when new servers are restored from a snapshot. Waiting queries are
   * answered at once.
   */
  turnBackIndexes(by: bigint): void {
    this.#server.turnBackIndexes(by);
  }

  /** Stops all timers. Waiting queries are never answered. */
  dispose(): void {
    this.#server.dispose();
  }
}
