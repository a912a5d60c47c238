import type { Ending } from "../async/cancellation.js";
import type { Background } from "../async/serial-queue.js";
import type { OwnEndpoints } from "../consul/endpoints.js";
import { SemaphoreRequestError } from "../errors.js";
import type { ResolvedSemaphoreOptions } from "../options.js";
import { openBorrowedSession, openOwnSession } from "./creation.js";
import type { IdleSessions } from "./idle-sessions.js";
import type { SessionLease } from "./lease.js";
import type { Watchdogs } from "./watchdog.js";

/** What a client's semaphores share of their sessions. */
export interface SharedSessions {
  readonly consul: OwnEndpoints;
  readonly watchdogs: Watchdogs;
  readonly idleSessions: IdleSessions;
}

/** For how long a session is tried to be had, and what goes on behind the caller. */
export interface SessionWait {
  readonly until: number;
  readonly signal: Ending;
  readonly background: Background;
}

/** Where a semaphore has its sessions from: the user's, one that it has kept, or a new one. */
export class SessionSource {
  readonly #shared: SharedSessions;
  readonly #options: ResolvedSemaphoreOptions;
  /** What a session has to be made for to do for this semaphore as well. */
  readonly #use: string;

  constructor(shared: SharedSessions, options: ResolvedSemaphoreOptions) {
    this.#shared = shared;
    this.#options = options;
    const { prefix, scope, sessionName, sessionTTL, sessionChecks, sessionNode } = options;
    const use = [prefix, scope, sessionName, sessionTTL, sessionChecks, sessionNode];
    this.#use = JSON.stringify(use);
  }

  /** @throws SemaphoreRequestError, or the signal's reason */
  async open({ until, signal, background }: SessionWait): Promise<SessionLease> {
    const { session: id, sessionName: name, sessionTTL: ttl } = this.#options;
    const { sessionChecks: checks, sessionNode: node } = this.#options;
    const { consul, watchdogs, idleSessions } = this.#shared;
    const given = { scope: this.#options.scope, watchdogs, until, signal };
    try {
      if (id !== undefined) return await openBorrowedSession(consul.session, { ...given, id });
      return (
        idleSessions.take(this.#use) ??
        (await openOwnSession(consul.session, {
          ...given,
          ...{ name, ttl, checks, node, background },
        }))
      );
    } catch (error) {
      throw signal.aborted
        ? signal.reason
        : new SemaphoreRequestError("SEMAPHORE_SESSION_FAILED", error);
    }
  }

  /** Has a session of ours wait for its next use. */
  readonly keep = (lease: SessionLease): void => {
    this.#shared.idleSessions.keep(this.#use, lease);
  };
}
