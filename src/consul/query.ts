import { badRequest } from "./http/consul-error.js";
import { parseDuration, type Duration } from "./duration.js";
import type { OwnRequestOptions, RequestOptions } from "./http/request-options.js";
import type { ConsulAnswer, ConsulRequest } from "./http/transport.js";

/**
 * The options of a read (Go: `QueryOptions`).
 *
 * @example
 * ```ts
 * let index = 0n;
 * while (!signal.aborted) {
 *   const { value, meta } = await consul.kv.get("config/limit", { index, wait: "1m", signal });
 *   console.log(value?.modifyIndex);
 *   index = meta.index < index ? 0n : meta.index; // Consul: start again if it goes backwards
 * }
 * ```
 */
export interface QueryOptions extends RequestOptions {
  /**
   * Makes the read a blocking query: Consul answers after a change beyond this index, or when
   * `wait` is over. 0, the default, is answered at once (Go: `WaitIndex`).
   */
  readonly index?: bigint | undefined;
  /**
   * How long a blocking query waits (Go: `WaitTime`). It must be positive, and Consul limits it to
   * 10 minutes. Default: `"5m"`.
   */
  readonly wait?: Duration | undefined;
  /**
   * Makes the leader verify that it still leads before it answers (Go: `RequireConsistent`). An
   * answer from a server without a leader is an error then. Default: `false`.
   */
  readonly consistent?: boolean | undefined;
}

/** The same for the library's own reads. */
export type OwnQueryOptions = Omit<QueryOptions, "signal"> & OwnRequestOptions;

/**
 * The metadata of an answer (Go: `QueryMeta`).
 *
 * @example
 * ```ts
 * const { meta } = await consul.kv.get("config/limit");
 * console.log(meta.index, meta.knownLeader);
 * ```
 */
export interface QueryMeta {
  /** The index to wait on for the next change (Go: `LastIndex`). */
  readonly index: bigint;
  /** Whether the server that answered knows a leader (Go: `KnownLeader`). */
  readonly knownLeader: boolean;
  /** How long ago that server last heard of the leader, in milliseconds (Go: `LastContact`). */
  readonly lastContact: number;
  /**
   * Set where the token may not read all that there is, so that a list leaves something out. Agents
   * since 1.11 say so (Go: `ResultsFilteredByACLs`).
   */
  readonly resultsFilteredByACLs?: true;
}

/**
 * The result of a read, with its metadata.
 *
 * @example
 * ```ts
 * const { value, meta }: QueryResult<readonly KVEntry[]> = await consul.kv.list("jobs/");
 * ```
 */
export interface QueryResult<Value> {
  /** What was read. */
  readonly value: Value;
  /** How current the value is. */
  readonly meta: QueryMeta;
}

const DEFAULT_WAIT_MS = 5 * 60_000;
const LONGEST_WAIT_MS = 10 * 60_000;
/** A query that waits no longer, in milliseconds, needs no connection of its own. */
export const BRIEF_WAIT_MS = 10;
/** The time that an answer may take beyond the server's own wait. */
const ANSWER_GRACE_MS = 10_000;

/**
 * The request for a read with these options.
 *
 * @throws ConsulError for a wait that is not a positive duration
 */
export function readRequest(
  path: string,
  options: QueryOptions,
  query: ConsulRequest["query"] = {},
  alsoAccept?: ConsulRequest["alsoAccept"],
): ConsulRequest {
  const consistent = options.consistent === true ? true : undefined;
  const { index } = options;
  if (index === undefined || index <= 0n) {
    return { method: "GET", path, query: { ...query, consistent }, options, alsoAccept };
  }
  const wait = Math.min(waitOf(path, options), LONGEST_WAIT_MS);
  const { signal, timeout, datacenter, namespace, partition } = options;
  return {
    method: "GET",
    path,
    // Never 0, which Consul would replace with its long default (Go: `durToMsec`).
    query: {
      ...query,
      consistent,
      index: index.toString(),
      wait: `${Math.max(1, Math.trunc(wait))}ms`,
    },
    // The server adds up to a sixteenth, so that waiters do not all return at once.
    options: {
      signal,
      timeout: timeout ?? wait + wait / 16 + ANSWER_GRACE_MS,
      datacenter,
      namespace,
      partition,
    },
    alsoAccept,
    lane: wait <= BRIEF_WAIT_MS ? "call" : "watch",
  };
}

function waitOf(path: string, { wait = DEFAULT_WAIT_MS }: QueryOptions): number {
  const ms = checkedDuration("GET", path, wait, parseDuration);
  // Consul replaces 0 with its default of 5 minutes.
  if (ms <= 0) throw badRequest("GET", path, `invalid wait ${String(wait)}: it must be positive`);
  return ms;
}

/**
 * Applies `read` to a duration.
 *
 * @throws ConsulError for an invalid duration
 */
export function checkedDuration<Result>(
  method: string,
  path: string,
  duration: Duration,
  read: (duration: Duration) => Result,
): Result {
  try {
    return read(duration);
  } catch (error) {
    throw badRequest(method, path, error instanceof RangeError ? error.message : String(error));
  }
}

/**
 * Reads the metadata from the headers of an answer.
 *
 * @throws ConsulError without a valid `X-Consul-Index`: a loop of blocking queries that used 0
 *   instead would never pause. Also as {@link requireLeader}, for a consistent read.
 */
export function readMeta(
  answer: ConsulAnswer,
  { consistent }: Pick<QueryOptions, "consistent"> = {},
): QueryMeta {
  if (consistent === true) requireLeader(answer);
  const index = answer.header("x-consul-index");
  if (index === undefined || !/^\d{1,20}$/.test(index)) {
    throw answer.malformed(
      `an X-Consul-Index header (found ${index === undefined ? "none" : JSON.stringify(index)})`,
    );
  }
  return {
    index: BigInt(index),
    knownLeader: answer.header("x-consul-knownleader") === "true",
    lastContact: Number(answer.header("x-consul-lastcontact") ?? 0),
    ...(answer.header("x-consul-results-filtered-by-acls") === "true" && {
      resultsFilteredByACLs: true,
    }),
  };
}

/**
 * Checks the answer to a consistent read.
 *
 * @throws ConsulError for one from a server without a leader, or from a cache: it may be out of
 *   date
 */
export function requireLeader(answer: ConsulAnswer): void {
  if (answer.header("x-consul-knownleader") !== "false") return;
  throw answer.malformed("the answer of a leader (found X-Consul-KnownLeader: false)", {
    retryable: true,
  });
}

/**
 * The index for the next blocking query. Consul's rules: start again from 0 when the index goes
 * backwards (as after a restore from a snapshot), and never wait on an index below 1.
 */
export function nextIndex(previous: bigint, received: bigint): bigint {
  const index = received < 1n ? 1n : received;
  return index < previous ? 0n : index;
}
