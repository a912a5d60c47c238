import type { KV } from "./kv.js";
import type { Sessions } from "./session.js";

/**
 * The parts of Consul's API that a semaphore uses. A {@link ConsulClient} has them. Semaphores with
 * the same `kv` and the same `session` share what they read.
 *
 * @example
 * ```ts
 * const { kv, session: sessions }: ConsulEndpoints = consul;
 * ```
 */
export interface ConsulEndpoints {
  /** The key/value store. */
  readonly kv: KV;
  /** Sessions. */
  readonly session: Sessions;
}
