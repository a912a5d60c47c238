import type { KV } from "./kv.js";
import type { Sessions } from "./session.js";

/**
 * The parts of Consul's API that a semaphore stands on, which a {@link ConsulClient} has. Semaphores
 * with the same `session` and the same `kv` share what they know.
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
