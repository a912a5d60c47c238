import type { KV } from "./kv.js";
import type { Sessions } from "./session.js";

/** The parts of Consul's API that a semaphore stands on. */
export interface ConsulEndpoints {
  readonly kv: KV;
  readonly session: Sessions;
}
