/**
 * The options of a `TestConsul`.
 *
 * @example
 * ```ts
 * const consul = new TestConsul({ shortestTtl: 100 }); // for sessions of 100 ms, in real time
 * ```
 */
export interface TestConsulOptions {
  /**
   * The source of session IDs and of the jitter of blocking queries. It returns numbers from 0 up
   * to, but not including, 1. Default: `Math.random`.
   */
  readonly random?: (() => number) | undefined;
  /**
   * The shortest session TTL that is allowed, in milliseconds (the agent's `session_ttl_min`), for
   * tests that wait in real time. Default: 10,000, as in Consul.
   */
  readonly shortestTtl?: number | undefined;
}

/**
 * The options of `TestConsul.listen`.
 *
 * @example
 * ```ts
 * const consul = await TestConsul.listen({ port: 8500 }); // where clients look by default
 * ```
 */
export interface TestConsulListenOptions extends TestConsulOptions {
  /** The port of the loopback interface. Default: one that is free. */
  readonly port?: number | undefined;
}
