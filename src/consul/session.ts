import { inspect } from "node:util";

import { readAnswer, sessionEntriesSchema, sessionIdSchema, writeResultSchema } from "./answers.js";
import { badRequest } from "./http/consul-error.js";
import { formatDuration, parseDuration, type Duration } from "./duration.js";
import {
  checkedDuration,
  planQuery,
  readMeta,
  type QueryOptions,
  type QueryResult,
} from "./query.js";
import type { RequestOptions } from "./http/request-options.js";
import type { Transport } from "./http/transport.js";

/**
 * A session of Consul's (Go: `SessionEntry`).
 *
 * @example
 * ```ts
 * const { value: entry } = await consul.session.info(session);
 * console.log(entry?.node, entry?.ttl);
 * ```
 */
export interface SessionEntry {
  /** Made up by Consul (Go: `ID`). */
  readonly id: string;
  /** For people to read; may be empty (Go: `Name`). */
  readonly name: string;
  /** The node whose health checks it depends on (Go: `Node`). */
  readonly node: string;
  /** How long its keys stay locked after it was invalidated, in milliseconds (Go: `LockDelay`). */
  readonly lockDelay: number;
  /** What becomes of its keys when it ends: `"release"` or `"delete"` (Go: `Behavior`). */
  readonly behavior: string;
  /** A Go duration, or an empty string where it has none (Go: `TTL`). */
  readonly ttl: string;
  /** The health checks of the node that it depends on (Go: `NodeChecks`). */
  readonly checks: readonly string[];
  /** The index of the write that made it (Go: `CreateIndex`). */
  readonly createIndex: bigint;
  /** The index of the last write to it; a renewal is none (Go: `ModifyIndex`). */
  readonly modifyIndex: bigint;
}

/**
 * How to create a session (Go: `SessionEntry`). What is not given is left to Consul.
 *
 * @example
 * ```ts
 * const spec: SessionSpec = { name: "resizer", ttl: "30s", behavior: "delete", checks: [] };
 * ```
 */
export interface SessionSpec {
  /** For people to read. Default: none. */
  readonly name?: string | undefined;
  /**
   * How long it outlives its last renewal; Consul may take up to twice as long to notice. It wants
   * 10 s to 24 h, as long as its agents are not configured otherwise. Default: none, so that the
   * session needs no renewal.
   */
  readonly ttl?: Duration | undefined;
  /** What becomes of the keys whose lock it has when it ends. Default: `"release"`. */
  readonly behavior?: "release" | "delete" | undefined;
  /** The node it belongs to. Default: the agent's own. */
  readonly node?: string | undefined;
  /** How long nobody can lock its keys after it was invalidated. Default: `"15s"`. */
  readonly lockDelay?: Duration | undefined;
  /** The health checks of the node to depend on. Default: `["serfHealth"]`; `[]` for none. */
  readonly checks?: readonly string[] | undefined;
}

/**
 * Consul's sessions (Go: `Session`), which is `consul.session` of a {@link ConsulClient}. Every method
 * rejects with a {@link ConsulError}, or with the reason of its signal.
 *
 * @example
 * ```ts
 * const session = await consul.session.create({ ttl: "30s" });
 * await consul.session.destroy(session);
 * ```
 * @hideconstructor
 */
export class Sessions {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Creates a session and resolves to its ID (Go: `Create`). It is not renewed by itself.
   *
   * @throws {@link ConsulError}
   * @example
   * ```ts
   * const session = await consul.session.create({ name: "resizer", ttl: "30s", behavior: "delete" });
   * ```
   */
  async create(spec: SessionSpec = {}, options: RequestOptions = {}): Promise<string> {
    const path = "/v1/session/create";
    const written = (
      duration: Duration | undefined,
      write: (duration: Duration) => string,
    ): string | undefined =>
      duration === undefined ? undefined : checkedDuration("PUT", path, duration, write);
    const answer = await this.#transport.send({
      method: "PUT",
      path,
      body: JSON.stringify({
        Name: spec.name,
        Node: spec.node,
        TTL: written(spec.ttl, formatDuration),
        Behavior: spec.behavior,
        LockDelay: written(spec.lockDelay, formatLockDelay),
        // Agents from 1.7 on know NodeChecks, older ones Checks; the list is whole only if a newer
        // agent gets both, since either alone leaves the default in the other.
        Checks: spec.checks,
        NodeChecks: spec.checks,
      }),
      options,
    });
    return readAnswer(answer, sessionIdSchema, "the ID of a new session");
  }

  /**
   * Renews a session's TTL and resolves to the session, or to `null` if it is no more (Go: `Renew`).
   *
   * @throws {@link ConsulError}
   * @example
   * ```ts
   * if ((await consul.session.renew(session)) === null) console.error("the session has ended");
   * ```
   */
  async renew(id: string, options: RequestOptions = {}): Promise<SessionEntry | null> {
    const answer = await this.#transport.send({
      method: "PUT",
      path: sessionPath("PUT", "renew", id),
      options,
      lane: "renewal",
      alsoAccept: [404],
    });
    // Consul's own 404 says so in words; that of a proxy on the way says nothing about the session.
    if (answer.status === 404) {
      if (answer.body.includes(`'${id}' not found`)) return null;
      throw answer.malformed("the renewed session, or that there is none");
    }
    const [session] = readAnswer(answer, sessionEntriesSchema, `session ${id}`);
    // Consul finds it whatever the case of its letters.
    if (session?.id.toLowerCase() !== id.toLowerCase()) throw answer.malformed(`session ${id}`);
    return session;
  }

  /**
   * Ends a session (Go: `Destroy`). Resolves to `true` also where there is none of that ID.
   *
   * @throws {@link ConsulError}
   * @example
   * ```ts
   * await consul.session.destroy(session);
   * ```
   */
  async destroy(id: string, options: RequestOptions = {}): Promise<boolean> {
    const answer = await this.#transport.send({
      method: "PUT",
      path: sessionPath("PUT", "destroy", id),
      options,
    });
    return readAnswer(answer, writeResultSchema, "true or false");
  }

  /**
   * The session of that ID, or `null` (Go: `Info`).
   *
   * @throws {@link ConsulError}
   * @example
   * ```ts
   * const { value: found } = await consul.session.info(session);
   * ```
   */
  async info(id: string, options: QueryOptions = {}): Promise<QueryResult<SessionEntry | null>> {
    const { value, meta } = await this.#read(sessionPath("GET", "info", id), options);
    return { value: value[0] ?? null, meta };
  }

  /**
   * All sessions of the datacenter (Go: `List`).
   *
   * @throws {@link ConsulError}
   * @example
   * ```ts
   * const { value: sessions } = await consul.session.list();
   * ```
   */
  async list(options: QueryOptions = {}): Promise<QueryResult<readonly SessionEntry[]>> {
    return await this.#read("/v1/session/list", options);
  }

  async #read(path: string, options: QueryOptions): Promise<QueryResult<readonly SessionEntry[]>> {
    const plan = planQuery(path, options);
    const answer = await this.#transport.send({
      method: "GET",
      path,
      query: plan.query,
      options: plan.options,
      lane: plan.lane,
    });
    const value = readAnswer(answer, sessionEntriesSchema, "a list of sessions");
    return { value, meta: readMeta(answer, options) };
  }
}

/** @throws ConsulError for what can be no ID */
function sessionPath(method: string, operation: string, id: string): string {
  const path = `/v1/session/${operation}/`;
  if (typeof id === "string" && id !== "" && id.isWellFormed())
    return path + encodeURIComponent(id);
  throw badRequest(method, path, `invalid session ID ${inspect(id)}`);
}

/** Consul takes less than a microsecond for a number of seconds. */
function formatLockDelay(lockDelay: Duration): string {
  const ms = parseDuration(lockDelay);
  return formatDuration(ms > 0 ? Math.max(1, ms) : ms);
}
