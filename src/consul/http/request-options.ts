import type { Ending } from "../../async/cancellation.js";

/**
 * The options of every request to Consul (Go: `WriteOptions`).
 *
 * @example
 * ```ts
 * await consul.kv.put({ key: "config/limit", value: "3" }, { datacenter: "dc2", timeout: 2_000 });
 * ```
 */
export interface RequestOptions {
  /** Aborts the request, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * The time limit of the whole request, in milliseconds, including the wait for a connection.
   * After it, the request rejects with a `CONSUL_TIMEOUT`. Default: 10,000; for a blocking query,
   * 10,000 more than the server may take to answer.
   */
  readonly timeout?: number | undefined;
  /** Default: the client's datacenter. */
  readonly datacenter?: string | undefined;
  /** Default: the client's namespace (Consul Enterprise). */
  readonly namespace?: string | undefined;
  /** Default: the client's admin partition (Consul Enterprise). */
  readonly partition?: string | undefined;
}

/** The same for the library's own requests, which need no `AbortSignal`. */
export interface OwnRequestOptions extends Omit<RequestOptions, "signal"> {
  readonly signal?: Ending | undefined;
}
