import { ClientContext, context, type SemaphoreClient } from "./client-context.js";
import type { ConsulClientConfig } from "./consul/config/config.js";
import { KV } from "./consul/kv.js";
import { Sessions } from "./consul/session.js";
import { Transport } from "./consul/http/transport.js";
import { resolveDrain, type CloseOptions, type SemaphoreOptions } from "./options.js";
import { Semaphore } from "./semaphore.js";

/** How long a process that ends waits for a Consul that does not answer. */
const CLOSE_PATIENCE_MS = 5_000;

/**
 * A client of one Consul agent (Go: `Client`). It opens connections as it needs them, and an idle
 * one does not keep the process alive. Its semaphores share what they know of a prefix, so that one
 * client does for the whole process.
 *
 * @example
 * ```ts
 * import { ConsulClient } from "consul-semaphore";
 *
 * await using consul = new ConsulClient({ address: "127.0.0.1:8500" });
 * await consul.semaphorePrefix("jobs/resize", 3).run((slot) => work({ signal: slot.signal }));
 * ```
 */
export class ConsulClient implements SemaphoreClient, AsyncDisposable {
  /** The key/value store (Go: `KV`). */
  readonly kv: KV;
  /** Sessions (Go: `Session`). */
  readonly session: Sessions;
  /** @internal */
  readonly [context]: object;
  readonly #context: ClientContext;
  readonly #transport: Transport;
  #ended: Promise<void> | undefined;

  /**
   * Reads the configuration, the environment and the files that they name; sends nothing yet (Go:
   * `NewClient`).
   *
   * @throws {@link ConsulConfigError} for an option or a variable that it cannot work with
   */
  constructor(config: ConsulClientConfig = {}) {
    this.#transport = new Transport(config, () => {
      this.#context.watches.giveWay();
    });
    this.kv = new KV(this.#transport);
    this.session = new Sessions(this.#transport);
    this.#context = new ClientContext({ kv: this.kv, session: this.session });
    this[context] = this.#context;
  }

  /**
   * A semaphore with at most `limit` holders at `prefix`, and defaults for the rest (Go:
   * `SemaphorePrefix`). A session name, a value or a TTL goes to `semaphoreOpts`. Sends nothing yet.
   *
   * @param prefix as {@link SemaphoreOptions.prefix}
   * @param limit as {@link SemaphoreOptions.limit}
   * @throws {@link SemaphoreOptionsError} for an invalid prefix or limit
   * @example
   * ```ts
   * const sem = consul.semaphorePrefix("jobs/resize", 3);
   * ```
   */
  semaphorePrefix(prefix: string, limit: number): Semaphore {
    return new Semaphore(this, { prefix, limit });
  }

  /**
   * A semaphore with the given options (Go: `SemaphoreOpts`). Sends nothing yet.
   *
   * @throws {@link SemaphoreOptionsError} for options that it cannot work with, or does not know
   * @example
   * ```ts
   * const sem = consul.semaphoreOpts({ prefix: "jobs/resize", limit: 3, sessionName: "resizer" });
   * ```
   */
  semaphoreOpts(options: SemaphoreOptions): Semaphore {
    return new Semaphore(this, options);
  }

  /**
   * Ends all that goes on with this client. Waiters are rejected at once, with a
   * {@link SemaphoreClosedError}, and so is each new call. Held slots may be
   * released by their holders for the time of `drain`; then the others are released, so that their
   * signals abort. At last kept sessions are destroyed and the connections closed. A dispatcher that you
   * gave stays open.
   *
   * Where Consul does not answer, it gives up 5 s after the drain, and 1 s for the kept sessions: what
   * is left is then freed by Consul when its session's TTL is over, or, with a session of yours, when
   * that ends. May be called again, also to cut a drain short.
   *
   * @param options `drain`: default 0, which releases all slots at once, whatever still works in them
   * @throws {@link SemaphoreOptionsError} for a drain that is no duration
   * @example
   * ```ts
   * process.once("SIGTERM", () => void consul.close({ drain: "20s" }));
   * ```
   */
  async close(options: CloseOptions = {}): Promise<void> {
    const drain = resolveDrain(options);
    const ended = this.#context.end(CLOSE_PATIENCE_MS, drain);
    this.#ended ??= ended;
    await this.#ended;
    await this.#transport.close();
  }

  /** For `await using`: closes the client, as `close` does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
