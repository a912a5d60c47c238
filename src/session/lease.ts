import { Cancellation } from "../async/cancellation.js";
import { retry, type RetryOptions } from "../async/retry.js";
import { inSharedContext } from "../async/shared-context.js";
import type { OwnEndpoints } from "../consul/endpoints.js";
import type { OwnRequestOptions } from "../consul/http/request-options.js";
import type { SessionEntry } from "../consul/session.js";
import { renewChannel, tracedTime, type RenewEvent } from "../diagnostics.js";
import { isOutcomeUnknown, pauseFactor, SemaphoreLostError } from "../errors.js";
import { HOLDER_RENEWALS, renewSession, sendRenewal, WAITER_RENEWALS } from "./renewal.js";
import { endOfTerm, type SessionTerm } from "./term.js";
import { Watchdog, type Watchdogs } from "./watchdog.js";

/** How long to try to end a session, which its TTL ends as well. */
const LONGEST_DESTRUCTION_MS = 60_000;

export interface SessionLeaseOptions {
  readonly id: string;
  readonly term: SessionTerm;
  readonly watchdogs: Watchdogs;
  /** Whether the session is ours to end, and with it whatever hangs on it. */
  readonly own: boolean;
  readonly scope: OwnRequestOptions;
  /** Ends sessions that tries to create this one have left, if there are any. */
  readonly destroyStrays?: (options: OwnRequestOptions) => Promise<void>;
}

/**
 * A session that a contender entry, and then a slot, hangs on. It is renewed until `stop`, and
 * counts as lost as soon as Consul says so, or one TTL after the last renewal that succeeded was
 * sent.
 */
export class SessionLease {
  readonly id: string;
  readonly own: boolean;
  readonly #sessions: OwnEndpoints["session"];
  readonly #scope: OwnRequestOptions;
  readonly #watchdog: Watchdog;
  readonly #stopped = new Cancellation();
  readonly #lost = new Cancellation();
  readonly #destroyStrays: SessionLeaseOptions["destroyStrays"];
  #term: SessionTerm;
  #perTtl = WAITER_RENEWALS;
  #paceChange = new Cancellation();
  #nextRenewalAt = -Infinity;
  #failure: unknown;

  constructor(
    sessions: OwnEndpoints["session"],
    { id, term, watchdogs, own, scope, destroyStrays }: SessionLeaseOptions,
  ) {
    this.id = id;
    this.own = own;
    this.#sessions = sessions;
    this.#scope = scope;
    this.#term = term;
    this.#destroyStrays = destroyStrays;
    this.#watchdog = inSharedContext(
      () =>
        new Watchdog(watchdogs, endOfTerm(term), () => {
          this.#lose(new SemaphoreLostError("session-expired", this.#failure));
        }),
    );
    if (term.ttl !== Infinity) inSharedContext(() => void this.#renew());
  }

  /** Aborts when the session is known to be over. */
  get lost(): Cancellation {
    return this.#lost;
  }

  /** Whether the session is known to be over, or is so by the clock. */
  checkLost(): boolean {
    this.#watchdog.check();
    return this.#lost.aborted;
  }

  /** In milliseconds; `Infinity` for a session without a TTL. */
  get ttl(): number {
    return this.#term.ttl;
  }

  /** Until when Consul keeps the session for sure, on the clock of `performance.now()`. */
  get expiresAt(): number {
    return endOfTerm(this.#term);
  }

  /** Renews it more often: a slot hangs on it from now on. */
  holdsSlot(): void {
    this.#renewAtPace(HOLDER_RENEWALS);
  }

  /** Renews it less often: it is for a waiter, or for nobody yet. */
  holdsNoSlot(): void {
    this.#renewAtPace(WAITER_RENEWALS);
  }

  /** Renews it no longer. */
  stop(): void {
    this.#watchdog.stop();
    // A reason of our own spares the making of a DOMException.
    this.#stopped.abort("stopped");
  }

  /** Ends the session, if it is ours to end. */
  async destroy(options: OwnRequestOptions = {}): Promise<void> {
    this.stop();
    if (!this.own) return;
    await this.#sessions.destroy(this.id, { ...this.#scope, ...options });
    await this.#destroyStrays?.(options);
  }

  /** The same again and again, until its TTL ends it as well. It never rejects. */
  async destroyInTime(
    options: OwnRequestOptions,
    retries: Pick<RetryOptions, "signal" | "keepAlive">,
  ): Promise<void> {
    this.stop();
    await retry(() => this.destroy(options), {
      ...retries,
      isTransient: isOutcomeUnknown,
      pauseFactor,
      until: Math.min(this.expiresAt, performance.now() + LONGEST_DESTRUCTION_MS),
    }).catch(() => undefined);
  }

  #lose(loss: SemaphoreLostError): void {
    this.stop();
    this.#lost.abort(loss);
  }

  #renewAtPace(perTtl: number): void {
    this.#perTtl = perTtl;
    // Where the next renewal comes in time, it may come as it is.
    if (this.#nextRenewalAt <= this.#term.sentAt + this.ttl / perTtl) return;
    const before = this.#paceChange;
    this.#paceChange = new Cancellation();
    before.abort("another pace");
  }

  async #renew(): Promise<void> {
    const loss = await renewSession({
      term: this.#term,
      pace: () => ({ perTtl: this.#perTtl, changed: this.#paceChange }),
      sleepsUntil: (at) => {
        this.#nextRenewalAt = at;
      },
      signal: this.#stopped,
      renew: (options) => this.#sendRenewal(options),
      renewed: (term) => {
        // Too late is too late, also for an answer that was only read too late.
        if (this.#watchdog.check()) return;
        this.#term = term;
        this.#failure = undefined;
        this.#watchdog.extend(endOfTerm(term));
      },
      failed: (error) => {
        this.#failure = error;
      },
    });
    if (loss !== undefined) this.#lose(loss);
  }

  async #sendRenewal(options: OwnRequestOptions): Promise<SessionEntry | null> {
    const ended = tracedTime<RenewEvent>(renewChannel, { session: this.id, ttl: this.ttl });
    try {
      const session = await sendRenewal(this.#sessions, this.id, { ...this.#scope, ...options });
      ended();
      return session;
    } catch (error) {
      // One that is cut off because the session is needed no longer has not failed.
      ended(this.#stopped.aborted ? undefined : error);
      throw error;
    }
  }
}
