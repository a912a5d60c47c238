import type { Deadline } from "../../async/deadline.js";
import { isAborted } from "../../async/is-aborted.js";
import { onAbort } from "../../async/on-abort.js";
import type { Connection, Exchange } from "./connection.js";
import { isAtOnce, isClosed, isOverLimit, wasAnswered } from "./connection-refusal.js";
import type { RawAnswer } from "./exchange.js";

/** How a connection is used. */
export interface ConnectionUse {
  /** Ends the wait for one. */
  readonly deadline: Deadline;
  /** Whether the exchange may take place twice. */
  readonly isRepeatable: boolean;
}

export interface LaneOptions {
  /** Makes a connection. */
  readonly open: () => Connection;
  /** How many connections there are at most. */
  readonly limit: number;
  /** How many unused connections are kept while the server takes no more. */
  readonly spare: number;
  /** Called when the server has closed a new connection without an answer. */
  readonly refused: () => void;
}

/** A use that waits for a connection. */
interface WaitingUse {
  readonly until: number;
  readonly take: (connection: Connection) => void;
}

/**
 * How long no connection is used twice after one was found closed: a server that closes each connection
 * after its answer would swallow every other request.
 */
const MISTRUST_MS = 10_000;

/**
 * A use with less time left than this gets no connection, which could only be closed again. Many uses
 * may expire at the same moment, and each of them would get a new one.
 */
const LEAST_TIME_MS = 20;

/** How long it makes do with the connections that it has once the server has refused one. */
const MAKE_DO_MS = 10_000;

/**
 * How long after that a lane without spare connections closes each after its exchange, so that other
 * clients get a turn: the server cannot know that they wait for a connection.
 */
const TAKE_TURNS_MS = 10 * 60_000;

/**
 * A limited number of connections, each for one exchange at a time. When all are in use, exchanges
 * wait in order.
 *
 * undici's `Pool` is not used: it keeps aborted requests in its queue, waits for a hanging
 * connection attempt until its own timeout, and may exceed its limit after failed attempts. Here a
 * connection is replaced as soon as an exchange over it has failed or was aborted.
 */
export class ConnectionLane {
  readonly #options: LaneOptions;
  readonly #connections = new Set<Connection>();
  readonly #idle: Connection[] = [];
  readonly #waiting = new Set<WaitingUse>();
  #mistrustedUntil = -Infinity;
  /** How many connections there may be. */
  #most: number;
  /** Set while it makes do with the connections that it has. */
  #makingDo: NodeJS.Timeout | undefined;
  #takesTurnsUntil = -Infinity;

  constructor(options: LaneOptions) {
    this.#options = options;
    this.#most = options.limit;
  }

  /** Whether all connections are idle, and none is open. */
  get isVacant(): boolean {
    return this.#idle.length === this.#connections.size && this.#connected === 0;
  }

  /** Whether it has no connection, while the server takes no more. */
  get isShutOut(): boolean {
    return this.#makingDo !== undefined && this.#connected === 0;
  }

  /** @throws the deadline's reason, if it aborts before a connection is free */
  async use(use: ConnectionUse, exchange: Exchange): Promise<RawAnswer> {
    const connection = await this.#take(use);
    const { deadline, isRepeatable } = use;
    if (isAborted(deadline)) {
      // Nothing was sent over it.
      this.#free(connection);
      throw deadline.reason;
    }
    const wasConnected = connection.isConnected;
    const sentAt = performance.now();
    try {
      const answer = await connection.use(exchange, this.#usesOnce);
      if (!isOverLimit(answer)) {
        this.#free(connection);
        return answer;
      }
      // The server has refused this connection.
      await this.#replace(connection);
      if (!deadline.aborted) this.#options.refused();
      // It was not carried out, and may be over another connection.
      if (this.#connected === 0) return answer;
    } catch (error) {
      void this.#replace(connection);
      if (deadline.aborted || !isClosed(error)) throw error;
      // One that was open from before says nothing about the server: an agent may have restarted since.
      const wasOpen = wasAnswered(error) ?? (wasConnected || !connection.isOwn);
      const isRefused = !wasOpen && isAtOnce(sentAt);
      if (wasOpen) this.#mistrustedUntil = performance.now() + MISTRUST_MS;
      else if (isRefused) this.#options.refused();
      if (!isRepeatable) throw error;
      // Over another new one it would go no better.
      if (!wasConnected && !(isRefused && this.#connected > 0)) throw error;
    }
    return await this.use(use, exchange);
  }

  /** Closes what nobody uses, and opens no more than it has for a while. */
  makeDo(): void {
    this.#most = Math.min(this.#options.limit, Math.max(1, this.#connected));
    clearTimeout(this.#makingDo);
    this.#makingDo = setTimeout(() => {
      this.#makingDo = undefined;
      this.#most = this.#options.limit;
      this.#serveWaiting();
    }, MAKE_DO_MS).unref();
    if (this.#options.spare === 0) this.#takesTurnsUntil = performance.now() + TAKE_TURNS_MS;
    const spare = Math.max(0, this.#idle.length - this.#options.spare);
    for (const connection of this.#idle.splice(0, spare)) void this.#replace(connection);
  }

  async destroy(): Promise<void> {
    clearTimeout(this.#makingDo);
    await Promise.all([...this.#connections].map((connection) => connection.destroy()));
  }

  get #connected(): number {
    return [...this.#connections].filter(({ isConnected }) => isConnected).length;
  }

  get #usesOnce(): boolean {
    return performance.now() < Math.max(this.#mistrustedUntil, this.#takesTurnsUntil);
  }

  get #hasRoom(): boolean {
    return this.#connections.size < this.#most;
  }

  #take({ deadline }: ConnectionUse): Promise<Connection> {
    // The one that was used last is the most likely to be still connected.
    const idle = this.#idle.pop();
    if (idle !== undefined) return Promise.resolve(idle);
    if (this.#hasRoom) return Promise.resolve(this.#add());
    return new Promise((resolve, reject) => {
      const waiting: WaitingUse = {
        until: deadline.at,
        take: (connection) => {
          this.#waiting.delete(waiting);
          off();
          resolve(connection);
        },
      };
      this.#waiting.add(waiting);
      const off = onAbort(deadline, () => {
        this.#waiting.delete(waiting);
        reject(deadline.reason);
      });
    });
  }

  #add(): Connection {
    const connection = this.#options.open();
    this.#connections.add(connection);
    return connection;
  }

  /** Where the server refuses none, a connection too many costs less than to wait for one. */
  #free(connection: Connection): void {
    if (this.#usesOnce) void this.#replace(connection);
    else if (this.#makingDo !== undefined) {
      connection.whenFree(() => {
        this.#handOn(connection);
      });
    } else this.#handOn(connection);
  }

  #handOn(connection: Connection): void {
    const next = this.#next();
    if (next === undefined) this.#idle.push(connection);
    else next.take(connection);
  }

  #serveWaiting(): void {
    while (this.#next() !== undefined && this.#hasRoom) this.#handOn(this.#add());
  }

  /** The first that has enough time left. */
  #next(): WaitingUse | undefined {
    const latest = performance.now() + LEAST_TIME_MS;
    for (const waiting of this.#waiting) if (waiting.until > latest) return waiting;
    return undefined;
  }

  async #replace(connection: Connection): Promise<void> {
    // It counts towards the limit until it is closed.
    await connection.destroy();
    this.#connections.delete(connection);
    this.#serveWaiting();
  }
}
