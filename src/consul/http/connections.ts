import { buildConnector, Client, type Dispatcher } from "undici";

import { inSharedContext } from "../../async/shared-context.js";
import { ConnectionLane } from "./connection-lane.js";
import type { Location } from "../config/location.js";
import type { TlsSettings } from "../config/tls-settings.js";

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

/** What connections of our own need to know. */
export type ConnectionOptions = Pick<Location, "origin" | "socketPath"> & {
  readonly tls: TlsSettings | undefined;
};

/** Connections of our own to one address. */
export class OwnConnections implements Connections {
  readonly #lanes: Readonly<Record<LaneName, ConnectionLane>>;

  constructor({ origin, socketPath, tls }: ConnectionOptions) {
    const connect = inNoCallersContext(
      tls === undefined
        ? buildConnector(socketPath === undefined ? {} : { socketPath })
        : overTls(tls),
    );
    // A connection to be: undici connects with the first request.
    const open = (): Client => new Client(origin, { connect });
    const lane = (most: number): ConnectionLane => new ConnectionLane(open, most);
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

/** A connection serves many requests, so it must not belong to the one that happens to open it. */
function inNoCallersContext(connect: buildConnector.connector): buildConnector.connector {
  return (options, callback) => {
    inSharedContext(() => {
      connect(options, callback);
    });
  };
}

/** All connections share it, so that a later handshake can take up where an earlier one was. */
function overTls({
  ca,
  cert,
  key,
  serverName,
  insecureSkipVerify,
}: TlsSettings): buildConnector.connector {
  const connect = buildConnector({
    ...(ca === undefined ? {} : { ca: [...ca] }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    rejectUnauthorized: !insecureSkipVerify,
  });
  return (options, callback) => {
    // undici would rather have the name of the address.
    const named = serverName === undefined ? options : { ...options, servername: serverName };
    connect(named, (...outcome) => {
      const [, socket] = outcome;
      // With TLS 1.3 a server refuses us after the handshake: by an alert, and then the end, which
      // undici would take for the reason.
      socket?.once("error", (alert: Error) => socket.destroy(alert));
      callback(...outcome);
    });
  };
}
