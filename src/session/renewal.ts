import { LONGEST_ATTEMPT_MS } from "../async/attempt-timeout.js";
import { Backoff } from "../async/backoff.js";
import type { Ending } from "../async/cancellation.js";
import { FirstOf } from "../async/first-of.js";
import { isAborted } from "../async/is-aborted.js";
import { sleep } from "../async/sleep.js";
import { ConsulError } from "../consul/http/consul-error.js";
import { parseDuration } from "../consul/duration.js";
import type { OwnEndpoints } from "../consul/endpoints.js";
import type { OwnRequestOptions } from "../consul/http/request-options.js";
import type { SessionEntry } from "../consul/session.js";
import { pauseFactor, SemaphoreLostError } from "../errors.js";
import { endOfTerm, type SessionTerm } from "./term.js";

/** How often a session is renewed in each TTL, and a signal of another pace. */
export interface RenewalPace {
  readonly perTtl: number;
  readonly changed: Ending;
}

export interface SessionRenewal {
  readonly term: SessionTerm;
  readonly pace: () => RenewalPace;
  /** Called with the time of the next renewal. */
  readonly sleepsUntil: (at: number) => void;
  /** Ends the loop. */
  readonly signal: Ending;
  readonly renew: (options: OwnRequestOptions) => Promise<SessionEntry | null>;
  /** Called with each new term. */
  readonly renewed: (term: SessionTerm) => void;
  /** Called with the error of each failed attempt. */
  readonly failed: (error: unknown) => void;
}

/** As often as in Go: a waiter loses its place in the queue, and nothing else. */
export const WAITER_RENEWALS = 2;

/**
 * A holder leaves at least three quarters of the TTL to survive failures. A renewal is no write, and
 * costs little.
 */
export const HOLDER_RENEWALS = 4;

/**
 * How long the first try may take, as a part of the TTL: a server that has stopped answers nothing,
 * and the next one is asked all the sooner. Those after it have twice as long, for one that is slow.
 */
const FIRST_ATTEMPT_TTLS = 1 / 8;
const NEXT_ATTEMPT_TTLS = 1 / 4;
const SHORTEST_ATTEMPT_MS = 1;

/** How much of what is left of the term passes at most before the next try. */
const RETRY_SHARE = 1 / 4;
const SHORTEST_PAUSE_MS = 10;

/**
 * Renews a session several times in each TTL (Go: `RenewPeriodic`). A renewal that fails is tried
 * again and again: when the TTL is over is not for this loop to say but for the watchdog, which
 * then aborts the signal. Resolves to how the session was lost, or to nothing when the signal
 * aborts.
 */
export async function renewSession({
  term,
  pace,
  sleepsUntil,
  signal,
  renew,
  renewed,
  failed,
}: SessionRenewal): Promise<SemaphoreLostError | undefined> {
  const backoff = new Backoff();
  let retryAt: number | undefined;
  let share = FIRST_ATTEMPT_TTLS;
  for (;;) {
    // What keeps a holder's process alive is its monitor. When that has ended, with the client closed
    // or the slot lost, a session is no reason to stay.
    const { perTtl, changed } = pace();
    const dueAt = retryAt ?? term.sentAt + term.ttl / perTtl;
    sleepsUntil(dueAt);
    await sleepUntil(dueAt, signal, changed);
    if (signal.aborted) return undefined;
    if (changed.aborted) continue;
    const sentAt = performance.now();
    const timeout = attemptTime(term, share, sentAt);
    try {
      const session = await renew({ signal, timeout });
      if (session === null) return new SemaphoreLostError("session-invalidated");
      term = { sentAt, ttl: ttlOf(session) ?? term.ttl };
      renewed(term);
      backoff.reset();
      share = FIRST_ATTEMPT_TTLS;
      retryAt = undefined;
    } catch (error) {
      if (isAborted(signal)) return undefined;
      if (isClosed(error)) return new SemaphoreLostError("session-expired", error);
      // A try that only the end of the term has cut short says less than the one before it.
      if (!isTimeout(error) || sentAt + timeout < endOfTerm(term)) failed(error);
      share = NEXT_ATTEMPT_TTLS;
      const now = performance.now();
      // With half of the TTL over, a rate limit is no reason to be slow any more.
      const isEarly = now < term.sentAt + term.ttl / 2;
      const pause = backoff.next(isEarly ? pauseFactor(error) : 1);
      // Towards the end of the term the pauses are shorter: an outage may be over just in time.
      const longest = RETRY_SHARE * (endOfTerm(term) - now);
      retryAt = now + Math.max(SHORTEST_PAUSE_MS, Math.min(pause, longest));
    }
  }
}

/**
 * Renews a session once. Resolves to `null` if it is gone. A newly elected leader may not know of it yet,
 * so that a second, consistent read has to confirm that.
 *
 * @throws ConsulError
 */
export async function sendRenewal(
  sessions: OwnEndpoints["session"],
  id: string,
  options: OwnRequestOptions,
): Promise<SessionEntry | null> {
  const session = await sessions.renew(id, options);
  if (session !== null) return session;
  const { value, meta } = await sessions.info(id, { ...options, consistent: true });
  if (value === null) return null;
  throw new ConsulError(`session ${id} is there at index ${meta.index}, and was not renewed`, {
    code: "CONSUL_BAD_ANSWER",
    method: "PUT",
    path: `/v1/session/renew/${id}`,
    retryable: true,
  });
}

async function sleepUntil(at: number, ...signals: readonly Ending[]): Promise<void> {
  const first = new FirstOf(...signals);
  await sleep(at - performance.now(), first, { keepAlive: false });
  first.dispose();
}

/** Never more than what is left of the term. */
function attemptTime(term: SessionTerm, share: number, now: number): number {
  const time = Math.min(share * term.ttl, LONGEST_ATTEMPT_MS, endOfTerm(term) - now);
  return Math.max(SHORTEST_ATTEMPT_MS, time);
}

function isTimeout(error: unknown): boolean {
  return error instanceof ConsulError && error.code === "CONSUL_TIMEOUT";
}

/** Whether the client was closed, so that no later try can go better. */
function isClosed(error: unknown): boolean {
  return error instanceof ConsulError && error.code === "CONSUL_CLOSED";
}

/** The TTL that the server applies, which may differ from the requested one; nothing for none. */
export function ttlOf({ ttl }: SessionEntry): number | undefined {
  try {
    const ms = parseDuration(ttl);
    return ms > 0 ? ms : undefined;
  } catch {
    return undefined;
  }
}
