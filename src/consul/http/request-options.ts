/**
 * What every request to Consul may be given (Go: `WriteOptions`).
 *
 * @example
 * ```ts
 * await consul.kv.put({ key: "config/limit", value: "3" }, { datacenter: "dc2", timeout: 2_000 });
 * ```
 */
export interface RequestOptions {
  /** Gives up the request; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * How long the request may take in all, in milliseconds; waiting for a connection is part of it.
   * When it is over, the request rejects with a `CONSUL_TIMEOUT`. Default: 10,000; for a blocking
   * query, that much more than the server may take to answer.
   */
  readonly timeout?: number | undefined;
  /** Instead of the client's datacenter. */
  readonly datacenter?: string | undefined;
  /** Instead of the client's namespace (Consul Enterprise). */
  readonly namespace?: string | undefined;
  /** Instead of the client's admin partition (Consul Enterprise). */
  readonly partition?: string | undefined;
}
