import { parseDuration, type Duration } from "./consul/duration.js";
import type { ConsulEndpoints } from "./consul/endpoints.js";
import type { RequestOptions } from "./consul/request-options.js";
import { renewSession, type SessionTerm } from "./session-renewal.js";

/** A session that a contender entry, and then a slot, hangs on. */
export interface SessionLease {
  readonly id: string;
  /** Aborts when the session is known to be over. */
  readonly lost: AbortSignal;
  /** Until when Consul keeps the session for sure, on the clock of `performance.now()`. */
  readonly expiresAt: number;
  /** Whether the session is ours to end, and with it whatever hangs on it. */
  readonly own: boolean;
  /** Lets go of the session: one made here is renewed no longer and destroyed. Never rejects. */
  end(): Promise<void>;
}

export interface SessionLeaseOptions {
  readonly name: string;
  readonly ttl: Duration;
  readonly checks: readonly string[] | undefined;
  readonly scope: RequestOptions;
}

/** How long to try to end a session that would end by itself before long. */
const DESTROY_LIMIT_MS = 5_000;

/** A session of the user's: it is used, and neither renewed nor ended. */
export function borrowSession(id: string): SessionLease {
  return {
    id,
    lost: new AbortController().signal,
    expiresAt: Infinity,
    own: false,
    end: () => Promise.resolve(),
  };
}

/**
 * Creates a session and renews it until the lease ends (Go: `createSession`, `RenewPeriodic`).
 *
 * @throws ConsulError
 */
export async function leaseSession(
  { session: sessions }: ConsulEndpoints,
  { name, ttl, checks, scope }: SessionLeaseOptions,
): Promise<SessionLease> {
  const sentAt = performance.now();
  const id = await sessions.create({ name, ttl, checks, behavior: "delete" }, scope);
  return new OwnSession(sessions, id, { sentAt, ttl: parseDuration(ttl) }, scope);
}

class OwnSession implements SessionLease {
  readonly id: string;
  readonly own = true;
  readonly #sessions: ConsulEndpoints["session"];
  readonly #scope: RequestOptions;
  readonly #ended = new AbortController();
  readonly #lost = new AbortController();
  #term: SessionTerm;

  constructor(
    sessions: ConsulEndpoints["session"],
    id: string,
    term: SessionTerm,
    scope: RequestOptions,
  ) {
    this.id = id;
    this.#sessions = sessions;
    this.#term = term;
    this.#scope = scope;
    void this.#renew();
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  get expiresAt(): number {
    return this.#term.sentAt + this.#term.ttl;
  }

  async end(): Promise<void> {
    this.#ended.abort();
    try {
      await this.#sessions.destroy(this.id, { ...this.#scope, timeout: DESTROY_LIMIT_MS });
    } catch {
      // Nobody renews it any more, so its TTL ends it.
    }
  }

  async #renew(): Promise<void> {
    const loss = await renewSession({
      term: this.#term,
      signal: this.#ended.signal,
      renew: (options) => this.#sessions.renew(this.id, { ...this.#scope, ...options }),
      renewed: (term) => {
        this.#term = term;
      },
    });
    if (loss !== undefined) this.#lost.abort(loss);
  }
}
