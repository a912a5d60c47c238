import type { Clock } from "./clock.js";
import { HttpFailure, NO_LEADER, text } from "./answers.js";
import { BlockingQueries } from "./blocking-queries.js";
import type { Command } from "./command.js";
import {
  formatGoDuration,
  GoDurationError,
  HOUR,
  MILLISECOND,
  parseGoDuration,
  toMilliseconds,
  type Nanoseconds,
} from "./go-duration.js";
import { Raft } from "./raft.js";
import { newSessionId } from "./session-id.js";
import type { SessionRequest } from "./session-request.js";
import { SessionTimers } from "./session-timers.js";
import type { Session, SessionBehavior } from "./session.js";
import { StateError } from "./state-error.js";
import type { Changes, StateStore } from "./state-store.js";
import { TombstoneCollector } from "./tombstone-collector.js";

/** The settings of a server. */
export interface ServerSettings {
  readonly clock: Clock;
  readonly random: () => number;
  /**
   * The time from a create or renew to the end of a session with this TTL; both in milliseconds.
   */
  readonly sessionLifetime: (ttlMs: number) => number;
  /** In milliseconds (Go: `SessionTTLMin`). */
  readonly shortestTtl: number;
  readonly firstIndex: bigint;
  /** Called after every change of an entry or a session. */
  readonly onChange: (index: bigint) => void;
}

/** Go: `SessionTTLMax`. */
const LONGEST_TTL = 24n * HOUR;

/**
 * The one server of the cluster: its state, and the tasks of a leader besides answering requests.
 */
export class Server {
  readonly raft: Raft;
  readonly queries: BlockingQueries;
  readonly #settings: ServerSettings;
  readonly #timers: SessionTimers;
  readonly #tombstones: TombstoneCollector;
  #leads = true;

  constructor(settings: ServerSettings) {
    const { clock, random, firstIndex } = settings;
    this.#settings = settings;
    this.raft = new Raft(clock, firstIndex, (store, changes, index) => {
      this.#applied(store, changes, index);
    });
    this.queries = new BlockingQueries(clock, random, ({ consistent }) =>
      consistent ? this.raft.leader : this.raft.reader,
    );
    this.#timers = new SessionTimers(clock, (id) => {
      this.destroySession(id);
    });
    this.#tombstones = new TombstoneCollector(clock, (upTo) => {
      this.raft.apply((store) => {
        store.kv.reapTombstones(upTo);
      });
    });
  }

  get leads(): boolean {
    return this.#leads;
  }

  get now(): number {
    return this.#settings.clock.now();
  }

  /** @throws HttpFailure while there is no leader */
  requireLeader(): void {
    if (!this.#leads) throw new HttpFailure(text(500, NO_LEADER));
  }

  /** @throws HttpFailure while there is no leader, StateError where the state refuses it */
  apply<Result>(command: Command<Result>): Result {
    this.requireLeader();
    return this.raft.apply(command);
  }

  /** @throws StateError */
  createSession(request: SessionRequest): string {
    const behavior = behaviorOf(request);
    const ttl = this.#ttlOf(request);
    const id = this.#unusedId();
    this.apply((store, index) => {
      store.createSession({ ...request, behavior, id, createIndex: index, modifyIndex: index });
    });
    this.#startTimer(id, ttl);
    return id;
  }

  /** Starts the TTL of a session again. Only the leader knows it; it is not in the log. */
  renewSession(session: Session): void {
    this.#startTimer(session.id, lengthOf(session.ttl));
  }

  /** Ends a session. It works without a leader, too. */
  destroySession(id: string): void {
    const { now } = this;
    this.raft.apply((store, index) => {
      store.destroySession(id, index, now);
    });
    this.#timers.stop(id.toLowerCase());
  }

  loseLeader(): void {
    if (!this.#leads) return;
    this.#leads = false;
    this.#timers.stopAll();
    this.#tombstones.stop();
    this.queries.endWithoutLeader();
  }

  /** A new leader does not know how much time has passed, so every TTL starts again. */
  electLeader(): void {
    if (this.#leads) return;
    this.#leads = true;
    this.raft.apply(() => undefined);
    for (const session of this.raft.leader.sessions.all) this.renewSession(session);
    this.#tombstones.hint(this.raft.index);
  }

  /** Lowers all indexes, as in a new cluster that was restored from a snapshot. */
  turnBackIndexes(by: bigint): void {
    this.raft.turnBack(by);
    this.queries.abandonState();
  }

  dispose(): void {
    this.#timers.stopAll();
    this.#tombstones.stop();
    this.queries.dispose();
    this.raft.dispose();
  }

  #applied(store: StateStore, changes: Changes, index: bigint): void {
    if (changes.keys.size === 0 && changes.sessions.size === 0) return;
    if (store === this.raft.leader) {
      if (this.#leads && changes.buried) this.#tombstones.hint(index);
      this.#settings.onChange(index);
    }
    this.queries.changed(store, changes);
  }

  #startTimer(id: string, ttl: Nanoseconds): void {
    if (ttl === 0n) return;
    this.#timers.start(id, this.#settings.sessionLifetime(toMilliseconds(ttl)));
  }

  #unusedId(): string {
    for (;;) {
      const id = newSessionId(this.#settings.random);
      if (this.raft.leader.sessions.get(id) === undefined) return id;
    }
  }

  #ttlOf({ ttl: written }: SessionRequest): Nanoseconds {
    let ttl: Nanoseconds;
    try {
      ttl = lengthOf(written);
    } catch (error) {
      if (!(error instanceof GoDurationError)) throw error;
      throw new StateError(`Session TTL '${written}' invalid: ${error.message}`);
    }
    const shortest = BigInt(Math.round(this.#settings.shortestTtl * Number(MILLISECOND)));
    if (ttl !== 0n && (ttl < shortest || ttl > LONGEST_TTL)) {
      throw new StateError(
        `Invalid Session TTL '${ttl}', must be between ` +
          `[${formatGoDuration(shortest)}=${formatGoDuration(LONGEST_TTL)}]`,
      );
    }
    return ttl;
  }
}

function behaviorOf({ behavior }: SessionRequest): SessionBehavior {
  if (behavior === "" || behavior === "release") return "release";
  if (behavior === "delete") return "delete";
  throw new StateError(`Invalid Behavior setting '${behavior}'`);
}

/** The length of a TTL; 0 for none. */
function lengthOf(ttl: string): Nanoseconds {
  return ttl === "" ? 0n : parseGoDuration(ttl);
}
