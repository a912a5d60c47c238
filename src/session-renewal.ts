import { sleep } from "./async/sleep.js";
import { ConsulError } from "./consul/consul-error.js";
import { parseDuration } from "./consul/duration.js";
import type { RequestOptions } from "./consul/request-options.js";
import type { SessionEntry } from "./consul/session.js";
import { SemaphoreLostError } from "./semaphore-errors.js";

/** What one create or renew of a session has bought. */
export interface SessionTerm {
  /**
   * When the request was sent, on the clock of `performance.now()`. Consul counts from when it
   * received it, which is later, so that it never frees the session before this term is over.
   */
  readonly sentAt: number;
  /** In milliseconds. */
  readonly ttl: number;
}

export interface SessionRenewal {
  readonly term: SessionTerm;
  /** Ends the loop. */
  readonly signal: AbortSignal;
  readonly renew: (options: RequestOptions) => Promise<SessionEntry | null>;
  /** Told of each new term. */
  readonly renewed: (term: SessionTerm) => void;
}

const RETRY_PAUSE_MS = 1_000;
const LONGEST_ATTEMPT_MS = 10_000;

/**
 * Renews a session each half of its TTL (Go: `RenewPeriodic`). A renewal that fails is tried again
 * until the TTL is over. Resolves to how the session was lost, or to nothing when the signal aborts.
 */
export async function renewSession({
  term,
  signal,
  renew,
  renewed,
}: SessionRenewal): Promise<SemaphoreLostError | undefined> {
  let failure: unknown;
  let pause = pauseBefore(term);
  for (;;) {
    // A holder is kept alive by its look at the slot. When that has ended, the client closed or
    // the slot lost, a session is no reason to stay.
    await sleep(pause, signal, { keepAlive: false });
    if (signal.aborted) return undefined;
    const sentAt = performance.now();
    const left = term.sentAt + term.ttl - sentAt;
    if (left <= 0) return new SemaphoreLostError("session-expired", failure);
    try {
      // A part of the TTL, so that one renewal that hangs leaves time for another.
      const timeout = Math.min(left, term.ttl / 4, LONGEST_ATTEMPT_MS);
      const session = await renew({ signal, timeout });
      if (session === null) return new SemaphoreLostError("session-invalidated");
      term = { sentAt, ttl: ttlOf(session) ?? term.ttl };
      renewed(term);
      failure = undefined;
      pause = pauseBefore(term);
    } catch (error) {
      failure = error;
      const left = term.sentAt + term.ttl - performance.now();
      if (left <= 0 || isClosed(error)) return new SemaphoreLostError("session-expired", failure);
      pause = Math.min(RETRY_PAUSE_MS, left);
    }
  }
}

/** How long to wait before a term is renewed: half of it, from when it was asked for. */
function pauseBefore({ sentAt, ttl }: SessionTerm): number {
  return Math.max(0, sentAt + ttl / 2 - performance.now());
}

/** Whether the client was closed, so that no later try can go better. */
function isClosed(error: unknown): boolean {
  return error instanceof ConsulError && error.code === "CONSUL_CLOSED";
}

/** The TTL that the server goes by; it may differ from the one asked for. */
function ttlOf({ ttl }: SessionEntry): number | undefined {
  try {
    const ms = parseDuration(ttl);
    return ms > 0 ? ms : undefined;
  } catch {
    return undefined;
  }
}
