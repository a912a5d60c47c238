import { readAnswer, sessionEntriesSchema, sessionIdSchema, writeResultSchema } from "./answers.js";
import { badRequest } from "./http/consul-error.js";
import { formatDuration, parseDuration, type Duration } from "./duration.js";
import {
  checkedDuration,
  readMeta,
  readRequest,
  type QueryOptions,
  type QueryResult,
} from "./query.js";
import type { RequestOptions } from "./http/request-options.js";
import type { Transport } from "./http/transport.js";
import { shown } from "../shown-value.js";

/**
 * A Consul session (Go: `SessionEntry`).
 *
 * @example
 * ```ts
 * const { value: entry } = await consul.session.info(session);
 * console.log(entry?.node, entry?.ttl);
 * ```
 */
export interface SessionEntry {
  /** Assigned by Consul (Go: `ID`). */
  readonly id: string;
  /** For people to read; may be empty (Go: `Name`). */
  readonly name: string;
  /** The node whose health checks it depends on (Go: `Node`). */
  readonly node: string;
  /**
   * How long its keys cannot be locked after its invalidation, in milliseconds (Go: `LockDelay`).
   */
  readonly lockDelay: number;
  /** What happens to its keys when it ends: `"release"` or `"delete"` (Go: `Behavior`). */
  readonly behavior: string;
  /** A Go duration, or an empty string for none (Go: `TTL`). */
  readonly ttl: string;
  /** The health checks of the node that it depends on (Go: `NodeChecks`). */
  readonly checks: readonly string[];
  /** The index of the write that created it (Go: `CreateIndex`). */
  readonly createIndex: bigint;
  /** The index of the last write to it; a renewal does not count (Go: `ModifyIndex`). */
  readonly modifyIndex: bigint;
}

/**
 * The settings of a new session (Go: `SessionEntry`). Consul has a default for each.
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
   * How long the session lives after its last renewal: 10 s to 24 h, unless the agents are
   * configured otherwise. Consul may take up to twice as long to end it. Default: none, and no
   * renewal is needed.
   */
  readonly ttl?: Duration | undefined;
  /** What happens to the keys that it has locked when it ends. Default: `"release"`. */
  readonly behavior?: "release" | "delete" | undefined;
  /** The node it belongs to. Default: the agent's own. */
  readonly node?: string | undefined;
  /** How long its keys cannot be locked after its invalidation. Default: `"15s"`. */
  readonly lockDelay?: Duration | undefined;
  /** The health checks of its node that it depends on. Default: `["serfHealth"]`; `[]` for none. */
  readonly checks?: readonly string[] | undefined;
}

const SPEC: readonly string[] = ["name", "ttl", "behavior", "node", "lockDelay", "checks"];

/**
 * Consul's sessions (Go: `Session`), available as `consul.session` of a {@link ConsulClient}. Every
 * method rejects with a {@link ConsulError}, or with the reason of its signal.
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
   * Creates a session and resolves to its ID (Go: `Create`). It is not renewed automatically.
   *
   * @throws {@link ConsulError}
   * @example
   * ```ts
   * const session = await consul.session.create({ name: "resizer", ttl: "30s", behavior: "delete" });
   * ```
   */
  async create(spec: SessionSpec = {}, options: RequestOptions = {}): Promise<string> {
    const path = "/v1/session/create";
    // Under another name, such as Go's, a TTL would be none at all.
    const unknown = Object.keys(spec).find((name) => !SPEC.includes(name));
    if (unknown !== undefined) {
      throw badRequest(
        "PUT",
        path,
        `unknown option ${JSON.stringify(unknown)} (known: ${SPEC.join(", ")})`,
      );
    }
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
        // Agents since 1.7 read NodeChecks, older ones Checks. Both are sent, since a newer agent
        // adds the default of the one that is missing.
        Checks: spec.checks,
        NodeChecks: spec.checks,
      }),
      options,
      lane: "creation",
    });
    return readAnswer(answer, sessionIdSchema, "the ID of a new session");
  }

  /**
   * Renews a session and resolves to it, or to `null` if it does not exist (Go: `Renew`).
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
    // Consul's own 404 has this text. The 404 of a proxy does not prove that the session has ended.
    if (answer.status === 404) {
      if (answer.body.includes(`'${id}' not found`)) return null;
      throw answer.malformed("the renewed session, or that it was not found");
    }
    const [session] = readAnswer(answer, sessionEntriesSchema, `session ${id}`);
    // Consul ignores the case of an ID.
    if (session?.id.toLowerCase() !== id.toLowerCase()) throw answer.malformed(`session ${id}`);
    return session;
  }

  /**
   * Ends a session (Go: `Destroy`). Resolves to `true` even if there is none with that ID.
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
   * The session with that ID, or `null` (Go: `Info`).
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
    const answer = await this.#transport.send(readRequest(path, options));
    const value = readAnswer(answer, sessionEntriesSchema, "a list of sessions");
    return { value, meta: readMeta(answer, options) };
  }
}

/** @throws ConsulError for an invalid ID */
function sessionPath(method: string, operation: string, id: string): string {
  const path = `/v1/session/${operation}/`;
  if (typeof id === "string" && id !== "" && id.isWellFormed())
    return path + encodeURIComponent(id);
  throw badRequest(method, path, `invalid session ID ${shown(id)}`);
}

/** Consul reads a value below a microsecond as a number of seconds. */
function formatLockDelay(lockDelay: Duration): string {
  const ms = parseDuration(lockDelay);
  return formatDuration(ms > 0 ? Math.max(1, ms) : ms);
}
