import type { Dispatcher } from "undici";

import { ConnectionLane } from "./connection-lane.js";

/**
 * Which connections a request takes. Consul's agent allows one address 200, so that they are few;
 * and what a slot hangs on must not wait for what may take long:
 *
 * - `watch`: a blocking query, which keeps its connection for minutes. There is one for each.
 * - `renewal`: of a session, which has to go out also where writes hang.
 * - `call`: everything else.
 */
export type LaneName = "watch" | "renewal" | "call";

/** How requests find a connection. */
export interface Connections {
  /**
   * Makes an exchange when there is a connection for it.
   *
   * @throws the signal's reason, when it aborts before that
   */
  use<Result>(
    lane: LaneName,
    signal: AbortSignal,
    exchange: (dispatcher: Dispatcher) => Promise<Result>,
  ): Promise<Result>;
  /** Closes the connections. */
  destroy(): Promise<void>;
}

/** Connections of our own to one address. */
export class OwnConnections implements Connections {
  readonly #lanes: Readonly<Record<LaneName, ConnectionLane>>;

  constructor(origin: string, socketPath: string | undefined) {
    const lane = (most: number): ConnectionLane => new ConnectionLane(origin, socketPath, most);
    this.#lanes = { watch: lane(Infinity), renewal: lane(2), call: lane(6) };
  }

  async use<Result>(
    lane: LaneName,
    signal: AbortSignal,
    exchange: (dispatcher: Dispatcher) => Promise<Result>,
  ): Promise<Result> {
    return await this.#lanes[lane].use(signal, exchange);
  }

  async destroy(): Promise<void> {
    await Promise.all(Object.values(this.#lanes).map((lane) => lane.destroy()));
  }
}

/** The connections of a caller's dispatcher, whose limits and whose end are the caller's affair. */
export class GivenConnections implements Connections {
  readonly #dispatcher: Dispatcher;

  constructor(dispatcher: Dispatcher) {
    this.#dispatcher = dispatcher;
  }

  async use<Result>(
    _lane: LaneName,
    _signal: AbortSignal,
    exchange: (dispatcher: Dispatcher) => Promise<Result>,
  ): Promise<Result> {
    return await exchange(this.#dispatcher);
  }

  destroy(): Promise<void> {
    return Promise.resolve();
  }
}
