import type { buildConnector as connecting, Dispatcher } from "undici";

import { inSharedContext } from "../../async/shared-context.js";
import { Connection, type Connect } from "./connection.js";
import { ConnectionLane, type ConnectionUse, type LaneOptions } from "./connection-lane.js";
import { isAtOnce, isClosedUnanswered, isOverLimit } from "./connection-refusal.js";
import type { Location } from "../config/location.js";
import type { TlsFiles } from "../config/tls-files.js";
import type { TlsIdentity } from "../config/tls-settings.js";
import type { RawAnswer } from "./exchange.js";
import { rememberingLookup } from "./remembering-lookup.js";
import { buildConnector } from "./undici.js";

/**
 * The group of connections that a request uses. There are few, since an agent accepts 200 from one
 * address, and there are groups, since a renewal must not wait for slow requests:
 *
 * - `watch`: a blocking query, which occupies a connection of its own for minutes.
 * - `renewal`: the renewal of a session, which must be sent even while writes hang.
 * - `creation`: the creation of a session. The first opens a connection for renewals, which then is
 *   there before it is needed.
 * - `call`: everything else.
 */
export type LaneName = "watch" | "renewal" | "creation" | "call";

/** Runs an exchange over a connection. */
type Exchange = (dispatcher: Dispatcher) => Promise<RawAnswer>;

/** Provides the connections for requests. */
export interface Connections {
  /**
   * Runs an exchange once a connection is free.
   *
   * @throws the signal's reason, if it aborts before that
   */
  use(use: ConnectionUse & { readonly lane: LaneName }, exchange: Exchange): Promise<RawAnswer>;
  /** Closes the connections. */
  destroy(): Promise<void>;
}

/** The settings of the client's own connections. */
export type ConnectionOptions = Pick<Location, "origin" | "socketPath"> & {
  readonly tls: TlsFiles | undefined;
};

/**
 * How long a connection stays open that nobody uses, in milliseconds. Consul closes none; many
 * proxies do after a minute.
 */
const KEEP_ALIVE_MS = 50_000;

/** One for renewals stays: at the agent's limit, or without a lookup, there may be no other. */
const RENEWAL_KEEP_ALIVE_MS = 24 * 60 * 60_000;

/** The client's own connections to one address. */
export class OwnConnections implements Connections {
  readonly #lanes: Readonly<Record<Exclude<LaneName, "creation">, ConnectionLane>>;
  readonly #refused: () => void;

  /** @param refused called when the agent takes no more connections */
  constructor({ origin, socketPath, tls }: ConnectionOptions, refused: () => void) {
    this.#refused = refused;
    const connect = inNoCallersContext(
      tls === undefined
        ? telling(
            buildConnector(
              socketPath === undefined ? { lookup: rememberingLookup() } : { socketPath },
            ),
          )
        : overTls(tls),
    );
    const lane = (
      limits: Pick<LaneOptions, "limit" | "spare">,
      keepAliveTimeout = KEEP_ALIVE_MS,
    ): ConnectionLane =>
      new ConnectionLane({
        ...limits,
        open: () => new Connection({ origin, connect, keepAliveTimeout }),
        refused: () => {
          this.#makeDo();
        },
      });
    this.#lanes = {
      watch: lane({ limit: Infinity, spare: 0 }),
      renewal: lane({ limit: 2, spare: 1 }, RENEWAL_KEEP_ALIVE_MS),
      call: lane({ limit: 6, spare: 1 }),
    };
  }

  async use(
    { lane, ...use }: ConnectionUse & { readonly lane: LaneName },
    exchange: Exchange,
  ): Promise<RawAnswer> {
    return await this.#lane(lane).use(use, exchange);
  }

  async destroy(): Promise<void> {
    await Promise.all(Object.values(this.#lanes).map((lane) => lane.destroy()));
  }

  #lane(name: LaneName): ConnectionLane {
    const { watch, renewal, call } = this.#lanes;
    if (name === "watch") return watch;
    if (name === "creation" && renewal.isVacant && !renewal.isShutOut) return renewal;
    // At the agent's limit one connection does for all.
    const [own, other] = name === "renewal" ? [renewal, call] : [call, renewal];
    return own.isShutOut && !other.isShutOut ? other : own;
  }

  #makeDo(): void {
    for (const lane of Object.values(this.#lanes)) lane.makeDo();
    this.#refused();
  }
}

/** A dispatcher that the caller provides, limits and closes. */
export class GivenConnections implements Connections {
  readonly #dispatcher: Dispatcher;
  readonly #refused: () => void;

  /** @param refused called when the agent takes no more connections */
  constructor(dispatcher: Dispatcher, refused: () => void) {
    this.#dispatcher = dispatcher;
    this.#refused = refused;
  }

  async use(_use: ConnectionUse, exchange: Exchange): Promise<RawAnswer> {
    const sentAt = performance.now();
    try {
      const answer = await exchange(this.#dispatcher);
      if (isOverLimit(answer)) this.#refused();
      return answer;
    } catch (error) {
      if (isClosedUnanswered(error) && isAtOnce(sentAt)) this.#refused();
      throw error;
    }
  }

  destroy(): Promise<void> {
    return Promise.resolve();
  }
}

/** A connection serves many requests, so it must not belong to the one that opens it. */
function inNoCallersContext(connect: Connect): Connect {
  return (...args) => {
    inSharedContext(() => {
      connect(...args);
    });
  };
}

function telling(connect: ReturnType<typeof buildConnector>): Connect {
  return (options, callback, began) => {
    began(connect(options, callback));
  };
}

/**
 * One connector for all connections until the files change, so that a later handshake can resume an
 * earlier TLS session.
 */
function overTls(files: TlsFiles): Connect {
  const lookup = rememberingLookup();
  let last: { readonly identity: TlsIdentity; readonly connect: Connect } | undefined;
  const connectAs = (identity: TlsIdentity): Connect => {
    if (last?.identity !== identity) {
      const { ca, cert, key } = identity;
      const connect = buildConnector({
        ...(ca === undefined ? {} : { ca: [...ca] }),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
        rejectUnauthorized: !files.insecureSkipVerify,
        lookup,
      });
      last = { identity, connect: telling(connect) };
    }
    return last.connect;
  };
  return (options, callback, began) => {
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
        connectAs(identity)(named, connected, began);
      })
      // What OpenSSL does not accept.
      .catch((error: unknown) => {
        callback(error instanceof Error ? error : new Error(String(error)), null);
      });
  };
}
