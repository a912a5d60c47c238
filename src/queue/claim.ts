import { attemptTimeout } from "../async/attempt-timeout.js";
import { callAfter } from "../async/call-after.js";
import { Cancellation, type Ending } from "../async/cancellation.js";
import { FirstOf } from "../async/first-of.js";
import { retry } from "../async/retry.js";
import { unlessAborted } from "../async/unless-aborted.js";
import { ConsulError } from "../consul/http/consul-error.js";
import type { OwnRequestOptions } from "../consul/http/request-options.js";
import { isOutcomeUnknown, isTransient, pauseFactor, SemaphoreRequestError } from "../errors.js";
import type { Waiter } from "../protocol/step.js";
import type { Standing } from "../protocol/standing.js";
import type { ContenderWrite } from "../protocol/transactions.js";
import type { SessionLease } from "../session/lease.js";
import { CleanUp, type ClaimState, type CleanUpOptions, type LeftQueue } from "./clean-up.js";
import { LONGEST_WATCH_MS } from "./requests.js";

/** What a claim uses of its queue. */
export interface ClaimedQueue {
  readonly entrance: {
    joinAtOnce(claim: Claim, timeout: () => number, signal: Ending): Promise<bigint | undefined>;
    isHolder(claim: Claim, options: OwnRequestOptions): Promise<boolean>;
    enter(claim: Claim, options: EnterOptions): Promise<string | undefined>;
  };
  readonly exit: LeftQueue & {
    passOn(claim: Claim, timeout: number): Promise<bigint | undefined>;
  };
  standingOf(claim: Claim): Standing | undefined;
  wait(claim: Claim): void;
  leaveLine(claim: Claim): void;
}

export interface EnterOptions {
  readonly timeout: number;
  /** Whether the session must have its contender entry already. */
  readonly isHolder: boolean;
}

export interface ClaimOptions {
  readonly value: Uint8Array | string | undefined;
  /** The limit that it goes by, which may change while it waits. */
  readonly limits: Pick<Waiter, "limit" | "adoptsLimit">;
  /** How long one blocking query lasts at most, in milliseconds. */
  readonly longestWatch: number;
}

/** How a wait ended: with the index of the write that made it a holder, if it went well. */
export type WaitOutcome = bigint | "gone" | TooLate;

/** There was no slot in time. */
export interface TooLate {
  readonly kind: "too late";
  /** Its standing then, as far as is known. */
  readonly standing: Standing | undefined;
}

/** A short wait time is meant for `tryAcquire`, not for short blocking queries. */
const SHORTEST_WATCH_MS = 1_000;

/**
 * However short the timeout, failed requests on the way into the queue are retried for this long, and so is
 * a free slot that another contender takes first.
 */
export const SHORTEST_TRY_MS = 1_000;

/** What exists in Consul for one session on a prefix: it enters, waits, holds, and cleans itself up. */
export class Claim implements Waiter {
  readonly lease: SessionLease;
  /** The session and the value of its contender entry. */
  readonly entry: ContenderWrite;
  /** How long one blocking query lasts at most: it finds a dead connection. In milliseconds. */
  readonly watchTime: number;
  readonly #queue: ClaimedQueue;
  readonly #limits: ClaimOptions["limits"];
  /**
   * Each write advances it before it is sent. A refusal does not set it back, since it may be the answer to
   * a second copy of the write.
   */
  #state: ClaimState = "nothing";
  /** Writes of unknown outcome, which may still arrive. */
  readonly #unanswered = new Set<"entry" | "swap">();
  #enteredAt = Infinity;
  readonly #waiting = new Cancellation();
  #settle: Settle | undefined;
  /** The write under way that makes it a holder: its own, or that of a leaving holder. */
  #swap: "own" | "handover" | undefined;
  /** Whether there was no slot for it. */
  #hasHadToWait = false;
  /** Whether its caller no longer waits, and whether it no longer tries either. */
  #isTimeOver = false;
  #isTryOver = false;
  #tryUntil = Infinity;
  #refusals = { index: -1n, times: 0 };

  constructor(
    queue: ClaimedQueue,
    lease: SessionLease,
    { value, limits, longestWatch }: ClaimOptions,
  ) {
    this.#queue = queue;
    this.lease = lease;
    this.#limits = limits;
    this.watchTime = Math.min(Math.max(longestWatch, SHORTEST_WATCH_MS), LONGEST_WATCH_MS);
    this.entry = { session: lease.id, value };
  }

  get limit(): number {
    return this.#limits.limit;
  }

  get adoptsLimit(): boolean {
    return this.#limits.adoptsLimit;
  }

  get session(): string {
    return this.lease.id;
  }

  /** A reading that was sent since then shows the contender entry. */
  get enteredAt(): number {
    return this.#enteredAt;
  }

  /** Aborts when it no longer waits. */
  get signal(): Ending {
    return this.#waiting;
  }

  /** Whether a slot can be handed over to it: it waits, and has no swap under way. */
  get isOpen(): boolean {
    return this.#swap === undefined && !this.#waiting.aborted && !this.lease.checkLost();
  }

  // What it does by itself.

  /**
   * Makes the contender entry and takes a slot that nobody waits for, in one write. If that fails for a
   * transient reason, the claim enters the queue.
   */
  async joinAtOnce(until: number, signal: Ending): Promise<bigint | undefined> {
    // A session of the user's may be in there already, and does not end if the answer is lost.
    if (!this.lease.own) return undefined;
    try {
      return await this.#queue.entrance.joinAtOnce(this, () => attemptTimeout(until), signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!isTransient(error) && !isSessionGone(error)) throw error;
      return undefined;
    }
  }

  /** Makes the contender entry. Resolves to whether the claim can wait; otherwise it must begin anew. */
  async enter(until: number, signal: Ending): Promise<boolean> {
    if (this.#state === "nothing") this.#state = "contender";
    let refusal: string | undefined;
    try {
      refusal = await retry(() => this.#tryToEnter(until, signal), {
        isTransient: (error) => isTransient(error) && !this.lease.checkLost(),
        pauseFactor,
        until,
        signal,
      });
    } catch (error) {
      if (this.lease.own && this.lease.checkLost()) return false;
      throw error;
    }
    if (refusal === undefined) return true;
    // The entry of a session of ours is its own; but one that was ended while it was idle has left it
    // under lock-delay, of which Consul speaks first.
    const isSessions = /invalid session|lock delay|lock is already held/i.test(refusal);
    if (this.lease.own && isSessions) return false;
    this.#state = "nothing";
    const why =
      isSessions && !/invalid session/i.test(refusal)
        ? `another session has the lock of the entry of ${this.session}, or had it a moment ago, ` +
          `as when that session was ended and its lock-delay is not over`
        : refusal;
    throw new SemaphoreRequestError("SEMAPHORE_CONTENDER_FAILED", why);
  }

  /**
   * Waits in the queue for a slot. It survives failures of any length, since only its session can be lost.
   * With a time limit, it tries at least once.
   *
   * @throws the signal's reason, or why it cannot go on
   */
  async wait(until: number, signal: Ending): Promise<WaitOutcome> {
    const now = performance.now();
    this.#tryUntil = Math.max(until, now + SHORTEST_TRY_MS);
    const outcome = new Promise<WaitOutcome>((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    const timers = [
      callAfter(until - now, () => {
        this.#isTimeOver = true;
        this.#endIfOver();
      }),
      callAfter(this.#tryUntil - now, () => {
        this.#isTryOver = true;
        this.#endIfOver();
      }),
    ];
    const end = new FirstOf(signal, this.lease.lost);
    try {
      this.#queue.wait(this);
      return await unlessAborted(outcome, end);
    } catch (error) {
      signal.throwIfAborted();
      if (this.lease.checkLost()) return "gone";
      throw error;
    } finally {
      this.#waiting.abort("over");
      this.#queue.leaveLine(this);
      end.dispose();
      for (const cancel of timers) cancel();
    }
  }

  /**
   * Ends its slot and begins another one, for the next run of this client, if nobody else waits. Resolves to
   * the index of that write, or to nothing: then the slot must be released.
   */
  async passOn(): Promise<bigint | undefined> {
    try {
      return await this.#queue.exit.passOn(this, attemptTimeout(this.lease.expiresAt));
    } catch (error) {
      if (isOutcomeUnknown(error)) this.#unanswered.add("swap");
      return undefined;
    }
  }

  /** Removes all that may exist of it, and ends its session, or has it kept. */
  cleanUp(options: CleanUpOptions = {}): CleanUp {
    const remains = () => ({
      kind: this.#state,
      mayEnterLate: this.#unanswered.has("entry"),
      hasUnanswered: this.#unanswered.size > 0,
    });
    return new CleanUp(this.#queue.exit, this.lease, remains, options);
  }

  // What the queue reports to it.

  /** How long the next request for it may take, in milliseconds. */
  requestTimeout(): number {
    return attemptTimeout(this.#tryUntil);
  }

  /** It has its contender entry: a reading that is sent from then on shows it. */
  entered(at: number): void {
    this.#enteredAt = at;
  }

  /** Its session was a holder before, which is not its to undo. */
  resumes(): void {
    if (this.#state === "contender") this.#state = "nothing";
  }

  /** There is no slot for it now. */
  hasToWait(): void {
    this.#hasHadToWait = true;
    this.#endIfOver();
  }

  /** A write of its own that makes it a holder is about to be sent. */
  beforeSwap(isHolder = false): void {
    this.#swap = "own";
    if (!isHolder) this.#state = "holder";
  }

  /** A leaving holder is about to send such a write. */
  beforeHandover(): void {
    this.#swap = "handover";
    this.#state = "holder";
  }

  /** That write was refused. */
  afterSwap(): void {
    this.#swap = undefined;
    this.#endIfOver();
  }

  /** The outcome of that write is unknown. */
  swapWentUnanswered(): void {
    this.#unanswered.add("swap");
    this.afterSwap();
  }

  /** That write has made it a holder. */
  holds(since: bigint): void {
    this.#swap = undefined;
    this.#state = "holder";
    this.#settle?.resolve(this.lease.checkLost() ? "gone" : since);
  }

  /** Its contender entry is gone. */
  isGone(): void {
    this.#settle?.resolve("gone");
  }

  /** A request for it has failed. After a transient failure it goes on. */
  requestFailed(error: unknown): void {
    if (!isOutcomeUnknown(error)) this.#settle?.reject(error);
    else if (this.#isTimeOver) this.#endTooLate();
  }

  /** How often a swap was refused in a row while the lock had this index. */
  refused(index: bigint): number {
    const times = this.#refusals.index === index ? this.#refusals.times + 1 : 1;
    this.#refusals = { index, times };
    return times;
  }

  #endIfOver(): void {
    // A handover may take long: the cleanup removes what it may still bring about.
    if (!this.#isTimeOver || this.#swap === "own") return;
    if (this.#hasHadToWait || this.#isTryOver) this.#endTooLate();
  }

  #endTooLate(): void {
    this.#settle?.resolve({ kind: "too late", standing: this.#queue.standingOf(this) });
  }

  /**
   * The session may be in the lock already. With a new contender entry a dead holder would be alive again, and
   * might be one too many: it leaves the lock first.
   */
  async #tryToEnter(until: number, signal: Ending): Promise<string | undefined> {
    const { entrance, exit } = this.#queue;
    const mayHold = !this.lease.own || this.#unanswered.has("swap");
    const timeout = (): number => attemptTimeout(until);
    const isHolder = mayHold && (await entrance.isHolder(this, { timeout: timeout(), signal }));
    const refusal = await this.#makeEntry({ timeout: timeout(), isHolder });
    if (refusal === undefined || !isHolder) return refusal;
    await exit.leave(this.session, { timeout: timeout() });
    return await this.#makeEntry({ timeout: timeout(), isHolder: false });
  }

  async #makeEntry(options: EnterOptions): Promise<string | undefined> {
    try {
      return await this.#queue.entrance.enter(this, options);
    } catch (error) {
      if (isOutcomeUnknown(error)) this.#unanswered.add("entry");
      throw error;
    }
  }
}

interface Settle {
  resolve(outcome: WaitOutcome): void;
  reject(reason: unknown): void;
}

function isSessionGone(error: unknown): boolean {
  return (
    error instanceof SemaphoreRequestError &&
    error.cause instanceof ConsulError &&
    /invalid session/i.test(error.cause.text ?? "")
  );
}
