import { inspect } from "node:util";

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

/** @throws TypeError for what is none of a TestConsul's options, or not as they have to be */
export function checkOptions(options: Readonly<Record<string, unknown>>): void {
  const { random, shortestTtl, ...others } = options;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) {
    throw new TypeError(
      `unknown option ${JSON.stringify(unknown)} (known: random, shortestTtl, and port for TestConsul.listen)`,
    );
  }
  if (random !== undefined && typeof random !== "function") {
    throw new TypeError(
      `invalid random ${inspect(random)}, expected a function such as Math.random`,
    );
  }
  const isTime = typeof shortestTtl === "number" && shortestTtl > 0 && shortestTtl < Infinity;
  if (shortestTtl !== undefined && !isTime) {
    throw new TypeError(
      `invalid shortestTtl ${inspect(shortestTtl)}, expected milliseconds, such as 1_000`,
    );
  }
}
