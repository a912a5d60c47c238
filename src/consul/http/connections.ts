import { inSharedContext } from "../../async/shared-context.js";
import type { Connection, Exchange } from "./connection.js";
import { ConnectionLane, type ConnectionUse, type LaneOptions } from "./connection-lane.js";
import type { RawAnswer } from "./exchange.js";

/** The group of connections that a request uses. */
export type LaneName = "watch" | "renewal" | "creation" | "call";

/**
 * How long a connection stays open that nobody uses, in milliseconds. Consul closes none; many
 * proxies do after a minute.
 */
const KEEP_ALIVE_MS = 50_000;

/** One for renewals stays: at the agent's limit, or without a lookup, there may be no other. */
const RENEWAL_KEEP_ALIVE_MS = 24 * 60 * 60_000;

/** The connections of one client to one address. */
export class Connections {
  /**
   * There are few connections, since an agent accepts 200 from one address, and there are groups of
   * them, since a renewal must not wait for slow requests:
   *
   * - `watch`: a blocking query, which occupies a connection of its own for minutes.
   * - `renewal`: the renewal of a session, which must be sent even while writes hang.
   * - `creation`: the creation of a session. The first opens a connection for renewals, which then
   *   is there before it is needed.
   * - `call`: everything else.
   */
  readonly #lanes: Readonly<Record<Exclude<LaneName, "creation">, ConnectionLane>>;

  /**
   * @param open makes a connection, which stays open for so many milliseconds while nobody uses it
   * @param refused called when the agent takes no more connections
   */
  constructor(open: (keepAliveTimeout: number) => Connection, refused: () => void) {
    const makeDo = (): void => {
      // Their timers must not belong to the request that was refused.
      inSharedContext(() => {
        for (const lane of Object.values(this.#lanes)) lane.makeDo();
      });
      refused();
    };
    const lane = (
      limits: Pick<LaneOptions, "limit" | "spare">,
      keepAliveTimeout = KEEP_ALIVE_MS,
    ): ConnectionLane =>
      new ConnectionLane({
        ...limits,
        open: () => open(keepAliveTimeout),
        refused: makeDo,
      });
    this.#lanes = {
      watch: lane({ limit: Infinity, spare: 0 }),
      // One more than two: a creation may hang on one for longer than a TTL.
      renewal: lane({ limit: 3, spare: 1 }, RENEWAL_KEEP_ALIVE_MS),
      call: lane({ limit: 6, spare: 1 }),
    };
  }

  /**
   * Runs an exchange once a connection is free.
   *
   * @throws the deadline's reason, if it aborts before that
   */
  async use(
    { lane, ...use }: ConnectionUse & { readonly lane: LaneName },
    exchange: Exchange,
  ): Promise<RawAnswer> {
    return await this.#lane(lane).use(use, exchange);
  }

  /** Closes the connections. */
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
}
