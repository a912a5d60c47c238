import { attemptTimeout } from "../async/attempt-timeout.js";
import type { Ending } from "../async/cancellation.js";
import { retry } from "../async/retry.js";
import { inSharedContext } from "../async/shared-context.js";
import type { Background } from "../async/serial-queue.js";
import { sleep } from "../async/sleep.js";
import { ConsulError, mayBeOfAnother } from "../consul/http/consul-error.js";
import { isMissingNode } from "../consul/http/refusal.js";
import { NANOSECONDS_PER_MS, parseDuration, type Duration } from "../consul/duration.js";
import type { OwnEndpoints } from "../consul/endpoints.js";
import type { OwnRequestOptions } from "../consul/http/request-options.js";
import { isTransient, pauseFactor } from "../errors.js";
import { SessionLease } from "./lease.js";
import type { Watchdogs } from "./watchdog.js";
import { sendRenewal, ttlOf } from "./renewal.js";

type Sessions = OwnEndpoints["session"];

export interface OwnSessionOptions {
  readonly name: string;
  readonly ttl: Duration;
  readonly checks: readonly string[] | undefined;
  /** Default: the agent's. */
  readonly node?: string | undefined;
  readonly scope: OwnRequestOptions;
  readonly watchdogs: Watchdogs;
  /** Until when a transient failure is followed by another attempt. */
  readonly until: number;
  readonly signal: Ending | undefined;
  /** Where it fails, the search for what a lost answer may have left. */
  readonly background: Background;
}

/** Consul's own lock-delay, and how far a mark may be above it. */
const LOCK_DELAY_NS = 15e9;
const MARKS = 1e9 - 1;

/**
 * A network that was silent may deliver a request long after it was given up: after that time what it
 * may have left is looked for once more.
 */
export const LATE_DELIVERY_MS = 1_000;

/**
 * Creates a session and renews it until the lease is stopped (Go: `createSession`).
 *
 * @throws ConsulError
 */
export async function openOwnSession(
  sessions: Sessions,
  { name, ttl, checks, node, scope, watchdogs, until, signal, background }: OwnSessionOptions,
): Promise<SessionLease> {
  const creation = new SessionCreation(sessions, { name, ttl, checks, node }, scope, watchdogs);
  try {
    const lease = await retry(() => creation.create({ timeout: attemptTimeout(until) }), {
      // The agent's own node is registered soon after its start. Another one has to be by somebody.
      isTransient: (error) => isTransient(error) && (node === undefined || !lacksNode(error)),
      ...{ pauseFactor, until, signal },
    });
    inSharedContext(() => void creation.destroyLateStrays());
    return lease;
  } catch (error) {
    // Where that fails too, its TTL ends it.
    const ended = performance.now() + parseDuration(ttl);
    const search = inSharedContext(() =>
      retry(() => creation.destroyStrays(), {
        ...{ isTransient, pauseFactor },
        until: ended,
        keepAlive: () => false,
      }),
    );
    background(search.catch(() => undefined));
    throw error;
  }
}

/**
 * Creates one session, however many tries it takes. Consul makes up the ID, so that a session whose
 * answer was lost has to be known by something else. Its lock-delay is of no use otherwise: it delays a
 * contender entry that no other session uses.
 */
class SessionCreation {
  readonly #sessions: Sessions;
  readonly #spec: Pick<OwnSessionOptions, "name" | "ttl" | "checks" | "node">;
  readonly #scope: OwnRequestOptions;
  readonly #watchdogs: Watchdogs;
  /** The lock-delays of sessions that may be there, or may yet come: a late request is a request. */
  readonly #inDoubt = new Set<number>();
  /** Why the outcome of the last of them is unknown. */
  #doubt: ConsulError | undefined;
  #searched = true;

  constructor(
    sessions: Sessions,
    spec: Pick<OwnSessionOptions, "name" | "ttl" | "checks" | "node">,
    scope: OwnRequestOptions,
    watchdogs: Watchdogs,
  ) {
    this.#sessions = sessions;
    this.#spec = spec;
    this.#scope = scope;
    this.#watchdogs = watchdogs;
  }

  async create(options: OwnRequestOptions): Promise<SessionLease> {
    if (!this.#searched) await this.#search(options);
    const sentAt = performance.now();
    const lockDelay = (LOCK_DELAY_NS + 1 + Math.floor(Math.random() * MARKS)) / NANOSECONDS_PER_MS;
    try {
      const id = await this.#sessions.create(
        { ...this.#spec, lockDelay, behavior: "delete" },
        { ...this.#scope, ...options },
      );
      return new SessionLease(this.#sessions, {
        id,
        term: { sentAt, ttl: parseDuration(this.#spec.ttl) },
        watchdogs: this.#watchdogs,
        own: true,
        scope: this.#scope,
        destroyStrays: (options) => this.destroyStrays(options),
      });
    } catch (error) {
      if (error instanceof ConsulError && error.inDoubt) {
        this.#inDoubt.add(lockDelay);
        this.#searched = false;
        this.#doubt = error;
      }
      throw error;
    }
  }

  /** Where that fails for the time being, what is wrong is still why the creation failed. */
  async #search(options: OwnRequestOptions): Promise<void> {
    try {
      await this.destroyStrays(options);
    } catch (error) {
      throw isTransient(error) ? (this.#doubt ?? error) : error;
    }
  }

  /** Destroys what creates without an answer have left so far. */
  async destroyStrays(options: OwnRequestOptions = {}): Promise<void> {
    if (this.#inDoubt.size === 0) return;
    const scoped = { ...this.#scope, ...options };
    const { value } = await this.#sessions.list({ ...scoped, consistent: true });
    for (const { id, name, lockDelay } of value) {
      if (name === this.#spec.name && this.#inDoubt.has(lockDelay)) {
        await this.#sessions.destroy(id, scoped);
      }
    }
    this.#searched = true;
  }

  /** Searches again for sessions that a network delivers late. */
  async destroyLateStrays(): Promise<void> {
    if (this.#inDoubt.size === 0) return;
    await sleep(LATE_DELIVERY_MS, undefined, { keepAlive: false });
    await this.destroyStrays().catch(() => undefined);
  }
}

export interface BorrowedSessionOptions {
  readonly id: string;
  readonly scope: OwnRequestOptions;
  readonly watchdogs: Watchdogs;
  readonly until: number;
  readonly signal: Ending | undefined;
}

/**
 * Takes a session of the user's on lease. It is renewed here as well, because only who renews a
 * session knows how long it will last.
 *
 * @throws ConsulError
 */
export async function openBorrowedSession(
  sessions: Sessions,
  { id, scope, watchdogs, until, signal }: BorrowedSessionOptions,
): Promise<SessionLease> {
  const renew = async (): Promise<SessionLease> => {
    const sentAt = performance.now();
    const ttl = await learnTtl(sessions, id, { ...scope, timeout: attemptTimeout(until) });
    return new SessionLease(sessions, { id, term: { sentAt, ttl }, watchdogs, own: false, scope });
  };
  return await retry(renew, { isTransient, pauseFactor, until, signal });
}

function lacksNode(error: unknown): boolean {
  return error instanceof ConsulError && isMissingNode(error.text ?? "");
}

async function learnTtl(
  sessions: Sessions,
  id: string,
  options: OwnRequestOptions,
): Promise<number> {
  try {
    const session = await sendRenewal(sessions, id, options);
    // Where there is no such session, the contender entry fails in Consul's own words.
    return session === null ? Infinity : (ttlOf(session) ?? Infinity);
  } catch (error) {
    // Who may not renew it can still use it, as in Go; somebody else's page says nothing of that.
    const isDenied = error instanceof ConsulError && error.status === 403 && !mayBeOfAnother(error);
    if (isDenied) return Infinity;
    throw error;
  }
}
