import { persist } from "./async/persist.js";
import { ConsulError } from "./consul/consul-error.js";
import { parseDuration, type Duration } from "./consul/duration.js";
import type { ConsulEndpoints } from "./consul/endpoints.js";
import type { RequestOptions } from "./consul/request-options.js";
import { isPassing } from "./semaphore-errors.js";
import { SessionLease } from "./session-lease.js";

type Sessions = ConsulEndpoints["session"];

export interface OwnSessionOptions {
  readonly name: string;
  readonly ttl: Duration;
  readonly checks: readonly string[] | undefined;
  readonly scope: RequestOptions;
  /** Until when a failure that may pass is followed by another try. */
  readonly until: number;
  readonly signal: AbortSignal | undefined;
  /** Told why there is no session, before what a lost answer may have left is looked for. */
  readonly failed: (error: unknown) => void;
}

const NANOSECONDS_PER_MS = 1e6;
/** Consul's own lock-delay, and how far a mark may be above it. */
const LOCK_DELAY_NS = 15e9;
const MARKS = 1e9;

/**
 * Creates a session and renews it until the lease is stopped (Go: `createSession`).
 *
 * @throws ConsulError
 */
export async function openOwnSession(
  sessions: Sessions,
  { name, ttl, checks, scope, until, signal, failed }: OwnSessionOptions,
): Promise<SessionLease> {
  const creation = new SessionCreation(sessions, { name, ttl, checks }, scope);
  try {
    return await persist(() => creation.create(), { passing: isPassing, until, signal });
  } catch (error) {
    failed(error);
    // Where that fails too, its TTL ends it.
    const ended = performance.now() + parseDuration(ttl);
    await persist(() => creation.undo(), {
      passing: isPassing,
      until: ended,
      keepAlive: () => false,
    }).catch(() => undefined);
    throw error;
  }
}

/**
 * Creates one session, however many tries it takes. Consul makes up the ID, so that a session whose
 * answer was lost has to be known by something else. Nobody looks at its lock-delay: it delays a
 * contender entry that no other session uses.
 */
class SessionCreation {
  readonly #sessions: Sessions;
  readonly #spec: Pick<OwnSessionOptions, "name" | "ttl" | "checks">;
  readonly #scope: RequestOptions;
  readonly #mark = (LOCK_DELAY_NS + Math.floor(Math.random() * MARKS)) / NANOSECONDS_PER_MS;
  #inDoubt = false;

  constructor(
    sessions: Sessions,
    spec: Pick<OwnSessionOptions, "name" | "ttl" | "checks">,
    scope: RequestOptions,
  ) {
    this.#sessions = sessions;
    this.#spec = spec;
    this.#scope = scope;
  }

  async create(): Promise<SessionLease> {
    await this.undo();
    const sentAt = performance.now();
    try {
      const id = await this.#sessions.create(
        { ...this.#spec, lockDelay: this.#mark, behavior: "delete" },
        this.#scope,
      );
      const term = { sentAt, ttl: parseDuration(this.#spec.ttl) };
      return new SessionLease(this.#sessions, { id, term, own: true, scope: this.#scope });
    } catch (error) {
      this.#inDoubt = error instanceof ConsulError && error.inDoubt;
      throw error;
    }
  }

  /** Destroys what a create without an answer may have left. */
  async undo(): Promise<void> {
    if (!this.#inDoubt) return;
    const { value } = await this.#sessions.list({ ...this.#scope, consistent: true });
    for (const { id, name, lockDelay } of value) {
      if (name === this.#spec.name && lockDelay === this.#mark) {
        await this.#sessions.destroy(id, this.#scope);
      }
    }
    this.#inDoubt = false;
  }
}

export interface BorrowedSessionOptions {
  readonly id: string;
  readonly scope: RequestOptions;
  readonly until: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * Takes a session of the user's on lease. It is renewed here as well, because only who renews a
 * session knows how long it will last.
 *
 * @throws ConsulError
 */
export async function openBorrowedSession(
  sessions: Sessions,
  { id, scope, until, signal }: BorrowedSessionOptions,
): Promise<SessionLease> {
  const renew = async (): Promise<SessionLease> => {
    const sentAt = performance.now();
    const ttl = await learnTtl(sessions, id, scope);
    return new SessionLease(sessions, { id, term: { sentAt, ttl }, own: false, scope });
  };
  return await persist(renew, { passing: isPassing, until, signal });
}

async function learnTtl(sessions: Sessions, id: string, scope: RequestOptions): Promise<number> {
  try {
    const session = await sessions.renew(id, scope);
    // Where there is no such session, the contender entry fails in Consul's own words.
    if (session === null || session.ttl === "") return Infinity;
    const ttl = parseDuration(session.ttl);
    return ttl > 0 ? ttl : Infinity;
  } catch (error) {
    // Who may not renew it can still use it, as in Go.
    if (error instanceof ConsulError && error.status === 403) return Infinity;
    throw error;
  }
}
