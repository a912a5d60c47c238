import type { ConsulClientConfig } from "./consul/config.js";
import type { ConsulEndpoints } from "./consul/endpoints.js";
import { KV } from "./consul/kv.js";
import { Sessions } from "./consul/session.js";
import { Transport } from "./consul/transport.js";
import { keptSessions } from "./kept-sessions.js";
import type { SemaphoreOptions } from "./semaphore-options.js";
import { Semaphore } from "./semaphore.js";

/**
 * A client of one Consul agent (Go: `Client`). It opens connections as it needs them, and an idle
 * one does not keep the process alive.
 */
export class ConsulClient implements ConsulEndpoints {
  /** The key/value store. */
  readonly kv: KV;
  /** Sessions. */
  readonly session: Sessions;
  readonly #transport: Transport;
  #closed: Promise<void> | undefined;

  /**
   * Sends nothing yet (Go: `NewClient`).
   *
   * @throws ConsulConfigError
   */
  constructor(config: ConsulClientConfig = {}) {
    this.#transport = new Transport(config);
    this.kv = new KV(this.#transport);
    this.session = new Sessions(this.#transport);
  }

  /**
   * A semaphore with at most `limit` holders at `prefix`, and defaults for the rest (Go:
   * `SemaphorePrefix`). Sends nothing yet.
   *
   * @throws SemaphoreOptionsError
   */
  semaphorePrefix(prefix: string, limit: number): Semaphore {
    return new Semaphore(this, { prefix, limit });
  }

  /**
   * A semaphore with the given options (Go: `SemaphoreOpts`). Sends nothing yet.
   *
   * @throws SemaphoreOptionsError
   */
  semaphoreOpts(options: SemaphoreOptions): Semaphore {
    return new Semaphore(this, options);
  }

  /**
   * Ends the sessions that were kept for the next slot, then all requests under way, and closes the connections; a dispatcher that you gave stays open.
   * Before it, release what you hold and abort what waits: what is left is freed by Consul when its
   * session's TTL is over. May be called again.
   */
  async close(): Promise<void> {
    this.#closed ??= keptSessions(this)
      .close()
      .then(() => this.#transport.close());
    await this.#closed;
  }
}
