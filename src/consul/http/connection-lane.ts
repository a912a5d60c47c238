import type { Client, Dispatcher } from "undici";

import { onAbort } from "../../async/on-abort.js";

/** How a connection is used. */
export interface ConnectionUse {
  /** Ends the wait for one. */
  readonly signal: AbortSignal;
  /** Whether the exchange may take place twice. */
  readonly isRepeatable: boolean;
}

/**
 * For how long no connection is used twice once one was found closed: a server that closes each after
 * its answer would swallow every other request.
 */
const MISTRUST_MS = 10_000;

/** What a connection fails with that the other side has closed. */
const CLOSED: ReadonlySet<unknown> = new Set(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"]);

/**
 * A limited number of connections, each for one exchange at a time. When all are in use, exchanges
 * wait in order.
 *
 * undici's `Pool` is not used: it keeps aborted requests in its queue, waits for a hanging
 * connection attempt until its own timeout, and may exceed its limit after failed attempts. Here a
 * connection is replaced as soon as an exchange over it has failed or was aborted.
 */
export class ConnectionLane {
  readonly #open: () => Client;
  readonly #limit: number;
  readonly #clients = new Set<Client>();
  readonly #idle: Client[] = [];
  readonly #waiting = new Set<(client: Client) => void>();
  /** Those that have served before. */
  readonly #used = new WeakSet<Client>();
  #mistrustedUntil = -Infinity;

  /** @param open makes a connection */
  constructor(open: () => Client, limit: number) {
    this.#open = open;
    this.#limit = limit;
  }

  /** @throws the signal's reason, if it aborts before a connection is free */
  async use<Result>(
    use: ConnectionUse,
    exchange: (dispatcher: Dispatcher) => Promise<Result>,
  ): Promise<Result> {
    const client = await this.#take(use.signal);
    try {
      const result = await exchange(client);
      this.#used.add(client);
      if (performance.now() < this.#mistrustedUntil) void this.#replace(client);
      else this.#handOn(client);
      return result;
    } catch (error) {
      void this.#replace(client);
      // One that was open from before says nothing about the server: an agent may have restarted since.
      const isStale = this.#used.has(client) && isClosed(error) && !use.signal.aborted;
      if (isStale) this.#mistrustedUntil = performance.now() + MISTRUST_MS;
      if (!isStale || !use.isRepeatable) throw error;
    }
    return await this.use(use, exchange);
  }

  async destroy(): Promise<void> {
    await Promise.all([...this.#clients].map((client) => client.destroy()));
  }

  #take(signal: AbortSignal): Promise<Client> {
    // The one that was used last is the most likely to be still connected.
    const idle = this.#idle.pop();
    if (idle !== undefined) return Promise.resolve(idle);
    if (this.#clients.size < this.#limit) return Promise.resolve(this.#add());
    return new Promise((resolve, reject) => {
      const take = (client: Client): void => {
        off();
        resolve(client);
      };
      this.#waiting.add(take);
      const off = onAbort(signal, () => {
        this.#waiting.delete(take);
        reject(signal.reason);
      });
    });
  }

  #add(): Client {
    const client = this.#open();
    this.#clients.add(client);
    return client;
  }

  #handOn(client: Client): void {
    const [first] = this.#waiting;
    if (first === undefined) {
      this.#idle.push(client);
    } else {
      this.#waiting.delete(first);
      first(client);
    }
  }

  async #replace(client: Client): Promise<void> {
    // It counts towards the limit until it is closed.
    await client.destroy();
    this.#clients.delete(client);
    if (this.#waiting.size > 0) this.#handOn(this.#add());
  }
}

function isClosed(error: unknown): boolean {
  return error instanceof Error && "code" in error && CLOSED.has(error.code);
}
