import type { buildConnector as connecting, Dispatcher } from "undici";

import { inSharedContext } from "../../async/shared-context.js";
import { ConnectionLane, type ConnectionUse } from "./connection-lane.js";
import type { Location } from "../config/location.js";
import type { TlsFiles } from "../config/tls-files.js";
import type { TlsIdentity } from "../config/tls-settings.js";
import { buildConnector, Client } from "./undici.js";

/**
 * The group of connections that a request uses. There are few, since an agent accepts 200 from one
 * address, and there are groups, since a renewal must not wait for slow requests:
 *
 * - `watch`: a blocking query, which occupies a connection of its own for minutes.
 * - `renewal`: the renewal of a session, which must be sent even while writes hang.
 * - `call`: everything else.
 */
export type LaneName = "watch" | "renewal" | "call";

/** Provides the connections for requests. */
export interface Connections {
  /**
   * Runs an exchange once a connection is free.
   *
   * @throws the signal's reason, if it aborts before that
   */
  use<Result>(
    use: ConnectionUse & { readonly lane: LaneName },
    exchange: (dispatcher: Dispatcher) => Promise<Result>,
  ): Promise<Result>;
  /** Closes the connections. */
  destroy(): Promise<void>;
}

/** The settings of the client's own connections. */
export type ConnectionOptions = Pick<Location, "origin" | "socketPath"> & {
  readonly tls: TlsFiles | undefined;
};

/**
 * How long a connection stays open that nobody uses, in milliseconds: undici's default of 4 s is less
 * than the time between two renewals. Consul closes none; many proxies do after a minute.
 */
const KEEP_ALIVE_MS = 50_000;

/** The client's own connections to one address. */
export class OwnConnections implements Connections {
  readonly #lanes: Readonly<Record<LaneName, ConnectionLane>>;

  constructor({ origin, socketPath, tls }: ConnectionOptions) {
    const connect = inNoCallersContext(
      tls === undefined
        ? buildConnector(socketPath === undefined ? {} : { socketPath })
        : overTls(tls),
    );
    // undici connects with the first request.
    const open = (): Client => new Client(origin, { connect, keepAliveTimeout: KEEP_ALIVE_MS });
    const lane = (limit: number): ConnectionLane => new ConnectionLane(open, limit);
    this.#lanes = { watch: lane(Infinity), renewal: lane(2), call: lane(6) };
  }

  async use<Result>(
    { lane, ...use }: ConnectionUse & { readonly lane: LaneName },
    exchange: (dispatcher: Dispatcher) => Promise<Result>,
  ): Promise<Result> {
    return await this.#lanes[lane].use(use, exchange);
  }

  async destroy(): Promise<void> {
    await Promise.all(Object.values(this.#lanes).map((lane) => lane.destroy()));
  }
}

/** A dispatcher that the caller provides, limits and closes. */
export class GivenConnections implements Connections {
  readonly #dispatcher: Dispatcher;

  constructor(dispatcher: Dispatcher) {
    this.#dispatcher = dispatcher;
  }

  async use<Result>(
    _use: ConnectionUse,
    exchange: (dispatcher: Dispatcher) => Promise<Result>,
  ): Promise<Result> {
    return await exchange(this.#dispatcher);
  }

  destroy(): Promise<void> {
    return Promise.resolve();
  }
}

/** A connection serves many requests, so it must not belong to the one that opens it. */
function inNoCallersContext(connect: connecting.connector): connecting.connector {
  return (options, callback) => {
    inSharedContext(() => {
      connect(options, callback);
    });
  };
}

/**
 * One connector for all connections until the files change, so that a later handshake can resume an
 * earlier TLS session.
 */
function overTls(files: TlsFiles): connecting.connector {
  let last: { readonly identity: TlsIdentity; readonly connect: connecting.connector } | undefined;
  const connectAs = (identity: TlsIdentity): connecting.connector => {
    if (last?.identity !== identity) {
      const { ca, cert, key } = identity;
      const connect = buildConnector({
        ...(ca === undefined ? {} : { ca: [...ca] }),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
        rejectUnauthorized: !files.insecureSkipVerify,
      });
      last = { identity, connect };
    }
    return last.connect;
  };
  return (options, callback) => {
    // undici would use the host of the address.
    const named = { ...options, ...(files.serverName && { servername: files.serverName }) };
    const connected: connecting.Callback = (...outcome) => {
      const [, socket] = outcome;
      // With TLS 1.3 a server rejects a client's certificate after the handshake, by an alert and a
      // close. The alert is the cause; undici would report the close.
      socket?.once("error", (alert: Error) => socket.destroy(alert));
      callback(...outcome);
    };
    files
      .current()
      .then((identity) => {
        connectAs(identity)(named, connected);
      })
      // What OpenSSL does not accept.
      .catch((error: unknown) => {
        callback(error instanceof Error ? error : new Error(String(error)), null);
      });
  };
}
