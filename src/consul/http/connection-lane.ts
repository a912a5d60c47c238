import type { Client, Dispatcher } from "undici";

import { onAbort } from "../../async/on-abort.js";

/**
 * A number of connections at most, for one exchange each; what comes when all are in use waits for
 * its turn, in order.
 *
 * The waiting is not left to a pool of undici's. That one keeps what was given up in its queue; a
 * connection that does not come about stays in use there until its own time limit; and after failed
 * connections it may have more than it should. Here a connection is replaced as soon as an exchange
 * over it has failed or was given up.
 */
export class ConnectionLane {
  readonly #open: () => Client;
  readonly #most: number;
  readonly #clients = new Set<Client>();
  readonly #idle: Client[] = [];
  readonly #waiting = new Set<(client: Client) => void>();

  /** `open`: makes one more. */
  constructor(open: () => Client, most: number) {
    this.#open = open;
    this.#most = most;
  }

  /** @throws the signal's reason, when it aborts before there is a connection. */
  async use<Result>(
    signal: AbortSignal,
    exchange: (dispatcher: Dispatcher) => Promise<Result>,
  ): Promise<Result> {
    const client = await this.#take(signal);
    try {
      const result = await exchange(client);
      this.#handOn(client);
      return result;
    } catch (error) {
      void this.#replace(client);
      throw error;
    }
  }

  async destroy(): Promise<void> {
    await Promise.all([...this.#clients].map((client) => client.destroy()));
  }

  #take(signal: AbortSignal): Promise<Client> {
    // The one that was used last is the likeliest to be connected still.
    const idle = this.#idle.pop();
    if (idle !== undefined) return Promise.resolve(idle);
    if (this.#clients.size < this.#most) return Promise.resolve(this.#add());
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
    // Until it is closed it counts.
    await client.destroy();
    this.#clients.delete(client);
    if (this.#waiting.size > 0) this.#handOn(this.#add());
  }
}
