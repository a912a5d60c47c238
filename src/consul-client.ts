import { clientUse } from "./client-use.js";
import type { ConsulClientConfig } from "./consul/config.js";
import type { ConsulEndpoints } from "./consul/endpoints.js";
import { KV } from "./consul/kv.js";
import { Sessions } from "./consul/session.js";
import { Transport } from "./consul/transport.js";
import { keptSessions } from "./kept-sessions.js";
import type { SemaphoreOptions } from "./semaphore-options.js";
import { Semaphore } from "./semaphore.js";

/** How long a process that ends waits for a Consul that does not answer. */
const CLOSE_PATIENCE_MS = 5_000;

/**
 * A client of one Consul agent (Go: `Client`). It opens connections as it needs them, and an idle
 * one does not keep the process alive.
 */
export class ConsulClient implements ConsulEndpoints, AsyncDisposable {
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
   * Ends all that goes on with this client. Whoever waits for a slot is rejected with a
   * {@link SemaphoreClosedError}; slots that are held are released, so that their signals abort;
   * kept sessions are destroyed; then requests under way are ended and the connections closed. A
   * dispatcher that you gave stays open. It takes a few round trips. Where Consul does not answer, it
   * gives up after 5 s, and 1 s for the kept sessions: what is left is then freed by Consul when its
   * session's TTL is over, or, with a session of yours, when that ends. May be called again.
   */
  async close(): Promise<void> {
    this.#closed ??= this.#close();
    await this.#closed;
  }

  /** For `await using`: closes the client. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    await clientUse(this).end(CLOSE_PATIENCE_MS);
    await keptSessions(this).close();
    await this.#transport.close();
  }
}
