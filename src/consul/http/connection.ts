import type { Socket } from "node:net";

import type { buildConnector as connecting } from "undici";

import { Client } from "./undici.js";

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

/** A connection for one exchange at a time, opened with the first. */
export class Connection {
  readonly dispatcher: Client;
  #socket: Socket | undefined;
  #isDestroyed = false;

  constructor({ origin, connect, keepAliveTimeout }: ConnectionSettings) {
    this.dispatcher = new Client(origin, {
      keepAliveTimeout,
      connect: (options, callback) => {
        connect(options, callback, (socket) => {
          this.#socket = socket;
          if (this.#isDestroyed) this.#abandon();
        });
      },
    });
  }

  get isConnected(): boolean {
    return this.dispatcher.stats.connected;
  }

  async destroy(): Promise<void> {
    this.#isDestroyed = true;
    await this.dispatcher.destroy();
    this.#abandon();
  }

  /** undici goes on with an attempt, for 10 s where nobody answers. */
  #abandon(): void {
    this.#socket?.destroy(new Error("nobody waits for this connection any more"));
  }
}
