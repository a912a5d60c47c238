import type { LaneName } from "./http/connections.js";
import { badRequest } from "./http/consul-error.js";
import { formatMilliseconds, parseDuration, type Duration } from "./duration.js";
import type { RequestOptions } from "./http/request-options.js";
import type { ConsulAnswer } from "./http/transport.js";

/**
 * What a read may be given (Go: `QueryOptions`).
 *
 * @example
 * ```ts
 * let index = 0n;
 * while (!signal.aborted) {
 *   const { value, meta } = await consul.kv.get("config/limit", { index, wait: "1m", signal });
 *   console.log(value?.modifyIndex);
 *   index = meta.index < index ? 0n : meta.index; // where it goes backwards, Consul says, start again
 * }
 * ```
 */
export interface QueryOptions extends RequestOptions {
  /**
   * Makes it a blocking query: Consul answers once something has changed after this index, or when
   * `wait` is over. 0, the default, asks for an answer at once (Go: `WaitIndex`).
   */
  readonly index?: bigint | undefined;
  /**
   * How long a blocking query waits (Go: `WaitTime`). It must be positive; more than the 10 minutes
   * that Consul allows is taken for 10 minutes. Default: `"5m"`.
   */
  readonly wait?: Duration | undefined;
  /**
   * Asks the leader to make sure that it still is (Go: `RequireConsistent`). An answer of a server
   * that knows of no leader is an error then. Default: `false`.
   */
  readonly consistent?: boolean | undefined;
}

/**
 * What Consul says about an answer (Go: `QueryMeta`).
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
  /** Whether the server that answered knows of a leader (Go: `KnownLeader`). */
  readonly knownLeader: boolean;
  /** How long ago that server last heard of the leader, in milliseconds (Go: `LastContact`). */
  readonly lastContact: number;
}

/**
 * An answer to a read, with what Consul says about it.
 *
 * @example
 * ```ts
 * const { value, meta }: QueryResult<readonly KVEntry[]> = await consul.kv.list("jobs/");
 * ```
 */
export interface QueryResult<Value> {
  /** What was asked for. */
  readonly value: Value;
  /** How current it is. */
  readonly meta: QueryMeta;
}

const DEFAULT_WAIT_MS = 5 * 60_000;
const LONGEST_WAIT_MS = 10 * 60_000;
/** What a blocking query's answer may need beyond the time that the server itself takes. */
const ANSWER_GRACE_MS = 10_000;

/**
 * The query parameters, the deadline and the connections that a read's options come to.
 *
 * @throws ConsulError for a wait that is no duration, or none at all
 */
export function planQuery(
  path: string,
  options: QueryOptions,
): {
  readonly query: Readonly<Record<string, string | true | undefined>>;
  readonly options: RequestOptions;
  readonly lane: LaneName;
} {
  const consistent = options.consistent === true ? true : undefined;
  const { index } = options;
  if (index === undefined || index <= 0n) {
    return { query: { consistent }, options, lane: "call" };
  }
  const wait = Math.min(waitOf(path, options), LONGEST_WAIT_MS);
  return {
    query: { consistent, index: index.toString(), wait: formatMilliseconds(wait) },
    // The server adds up to a sixteenth, so that not all waiters come back at once.
    options: { ...options, timeout: options.timeout ?? wait + wait / 16 + ANSWER_GRACE_MS },
    lane: "watch",
  };
}

function waitOf(path: string, { wait = DEFAULT_WAIT_MS }: QueryOptions): number {
  const ms = checkedDuration("GET", path, wait, parseDuration);
  // Consul takes 0 for its default of 5 minutes.
  if (ms <= 0) throw badRequest("GET", path, `invalid wait ${String(wait)}: it is too short`);
  return ms;
}

/**
 * What `read` makes of a duration.
 *
 * @throws ConsulError where that is none
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
 * What the headers of an answer say.
 *
 * @throws ConsulError without a sound `X-Consul-Index`: a loop of blocking queries that took it for
 *   0 would turn without pause. And as {@link requireLeader}, for a consistent read.
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
  };
}

/**
 * Refuses an answer to a read that asked for the leader's.
 *
 * @throws ConsulError where it comes from a server that knows of no leader, or from a cache: what it
 *   shows may be long past
 */
export function requireLeader(answer: ConsulAnswer): void {
  if (answer.header("x-consul-knownleader") !== "false") return;
  throw answer.malformed("the answer of a leader (found X-Consul-KnownLeader: false)", {
    retryable: true,
  });
}

/**
 * The index for the next blocking query. Consul's rules: when the index goes backwards (a server
 * restored from a snapshot, say) start again from nothing, and never wait on an index below 1.
 */
export function nextIndex(previous: bigint, received: bigint): bigint {
  const index = received < 1n ? 1n : received;
  return index < previous ? 0n : index;
}
