import type { Socket } from "node:net";

import type { buildConnector as connecting, Dispatcher } from "undici";

import type { RawAnswer } from "./exchange.js";
import { Client } from "./undici.js";

/** Sends a request, and resolves to its answer. `closes`: it is the last one of its connection. */
export type Exchange = (dispatcher: Dispatcher, closes: boolean) => Promise<RawAnswer>;

/** What one exchange at a time takes place over. */
export interface Connection {
  /** Whether it is the client's: what happens to it is then known. */
  readonly isOwn: boolean;
  /** Whether it is open, as far as is known. */
  readonly isConnected: boolean;
  use(exchange: Exchange, closes: boolean): Promise<RawAnswer>;
  /** Calls `call` when another exchange finds the connection of the last answer, rather than a new one. */
  whenFree(call: () => void): void;
  /** Closes it. Nothing is sent over it any more. */
  destroy(): Promise<void>;
}

/** Begins to connect, and says with what. */
export type Connect = (
  options: connecting.Options,
  callback: connecting.Callback,
  began: (socket: Socket) => void,
) => void;

export interface ConnectionSettings {
  readonly origin: string;
  readonly connect: Connect;
  /** In milliseconds. */
  readonly keepAliveTimeout: number;
}

/** A connection of the client's own, opened with the first exchange. */
export class OwnConnection implements Connection {
  readonly isOwn = true;
  readonly #client: Client;
  #socket: Socket | undefined;

  constructor({ origin, connect, keepAliveTimeout }: ConnectionSettings) {
    this.#client = new Client(origin, {
      keepAliveTimeout,
      connect: (options, callback) => {
        connect(options, callback, (socket) => {
          this.#socket = socket;
          if (this.#client.destroyed) this.#abandon();
        });
      },
    });
  }

  get isConnected(): boolean {
    return this.#client.stats.connected;
  }

  use(exchange: Exchange, closes: boolean): Promise<RawAnswer> {
    return exchange(this.#client, closes);
  }

  whenFree(call: () => void): void {
    call();
  }

  async destroy(): Promise<void> {
    await this.#client.destroy();
    this.#abandon();
  }

  /** undici goes on with an attempt, for 10 s where nobody answers. */
  #abandon(): void {
    this.#socket?.destroy(new Error("nobody waits for this connection any more"));
  }
}

/**
 * A place at a dispatcher that the caller provides and closes. Which connection it uses is not to be
 * seen: from its first exchange on it counts as open, until one fails. There must be no more open
 * than places: undici's pool may leave them unused, and open others, which an agent may refuse.
 */
export class GivenConnection implements Connection {
  readonly isOwn = false;
  readonly #dispatcher: Dispatcher;
  #isConnected = false;

  constructor(dispatcher: Dispatcher) {
    this.#dispatcher = dispatcher;
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  async use(exchange: Exchange, closes: boolean): Promise<RawAnswer> {
    this.#isConnected = true;
    return await exchange(this.#dispatcher, closes);
  }

  /** undici's pool counts a connection as busy until the turn of the event loop after the next. */
  whenFree(call: () => void): void {
    setImmediate(setImmediate, call);
  }

  destroy(): Promise<void> {
    this.#isConnected = false;
    return Promise.resolve();
  }
}
