import { attemptTimeout } from "./async/attempt-timeout.js";
import type { Ending } from "./async/cancellation.js";
import { Deadline } from "./async/deadline.js";
import { retry } from "./async/retry.js";
import { SerialQueue } from "./async/serial-queue.js";
import { settledWithin } from "./async/settled-within.js";
import { contextOf, type ClientContext, type SemaphoreClient } from "./client-context.js";
import { isTransient, pauseFactor } from "./errors.js";
import type { ResolvedSemaphoreOptions } from "./options.js";
import { limitFor } from "./protocol/next-step.js";
import type { TooLate } from "./queue/claim.js";
import { CLEAN_UP_GRACE_MS } from "./queue/clean-up.js";
import { contend, STEP_PATIENCE_MS, type Holding, type Wait } from "./queue/contend.js";
import type { Queue } from "./queue/queue.js";
import type { SessionLease } from "./session/lease.js";
import { SessionSource } from "./session/session-source.js";
import { Tenure, type TenureEnds } from "./tenure.js";

/** How long a call waits for a slot. */
export interface Patience {
  /** On the clock of `performance.now()`; `Infinity` for no limit. */
  readonly until: number;
  /** Aborts with the caller's signal, and when the client is closed. */
  readonly signal: Ending;
}

/** Where the slots of one semaphore come from: those of `acquire`, and those of its runs. */
export class SlotSource {
  readonly context: ClientContext;
  readonly queue: Queue;
  readonly options: ResolvedSemaphoreOptions;
  readonly #sessions: SessionSource;
  /** Its own limit, and whether it goes by that of the lock entry where there is one. */
  readonly #own: { limit: number; adoptsLimit: boolean };
  /** How many calls of resize are under way, and the last write of one. */
  #resizes = 0;
  #resizedAt = -1n;
  /** One session is one slot: calls that share a session of the user's take turns. */
  readonly #turns = new SerialQueue();
  #endTurn = (): void => undefined;
  #waitingForTurn = 0;
  /** Cleans up a slot that was lost while nobody waited for its session. */
  #makeWay: (() => void) | undefined;

  constructor(consul: SemaphoreClient, options: ResolvedSemaphoreOptions) {
    this.context = contextOf(consul);
    this.options = options;
    this.queue = this.context.queue(options.prefix, options.scope);
    this.#sessions = new SessionSource(this.context, options);
    this.#own = { limit: options.limit, adoptsLimit: options.adoptLimit };
  }

  /** The limit that it goes by now. */
  get limit(): number {
    return limitFor(this.#own, this.queue.limit);
  }

  /** While it changes the limit, it goes by whatever is there. */
  async resize(limit: number): Promise<void> {
    const { context, queue } = this;
    const until = performance.now() + STEP_PATIENCE_MS;
    this.#resizes += 1;
    this.#own.adoptsLimit = true;
    try {
      const writing = retry(() => queue.resize(limit, { timeout: attemptTimeout(until) }), {
        ...{ isTransient, pauseFactor, until, signal: context.closing },
      });
      context.track(writing);
      const index = await writing;
      // Of two at once, the one whose write came last.
      if (index < this.#resizedAt) return;
      this.#resizedAt = index;
      this.#own.limit = limit;
    } finally {
      this.#resizes -= 1;
      // After a restore, indexes may be smaller.
      if (this.#resizes === 0) this.#resizedAt = -1n;
      this.#own.adoptsLimit = this.options.adoptLimit || this.#resizes > 0;
    }
  }

  /** Waits for a slot in Consul. */
  async contend(wait: Wait): Promise<Holding | TooLate> {
    if (this.options.session === undefined) return await this.#contend(wait);
    this.#waitingForTurn += 1;
    this.#makeWay?.();
    this.#makeWay = undefined;
    try {
      if (!(await this.#takeTurn(wait))) {
        return { kind: "too late", standing: this.queue.standingOf() };
      }
    } finally {
      this.#waitingForTurn -= 1;
    }
    const endTurn = this.#endTurn;
    const left: Promise<unknown>[] = [];
    const background = (work: Promise<unknown>): void => {
      left.push(work);
      wait.background(work);
    };
    let isHeld = false;
    try {
      const outcome = await this.#contend({ ...wait, background });
      isHeld = outcome.kind === "held";
      return outcome;
    } finally {
      // A cleanup that still goes on would remove the next claim's entries as well.
      if (!isHeld) void Promise.allSettled(left).then(endTurn);
    }
  }

  async #contend(wait: Wait): Promise<Holding | TooLate> {
    const { prefix, value, semaphoreWaitTime: longestWatch } = this.options;
    // The search for the session of a failed creation may take a whole TTL.
    const background = (search: Promise<unknown>): void => {
      this.context.track(search);
      wait.background(settledWithin(CLEAN_UP_GRACE_MS, search));
    };
    const openSession = (until: number): Promise<SessionLease> =>
      this.#sessions.open({ ...wait, until, background });
    const options = { prefix, limits: this.#own, value, longestWatch, openSession };
    return await contend(this.queue, options, wait);
  }

  /** Resolves to whether its turn came in time. */
  async #takeTurn({ until, signal }: Patience): Promise<boolean> {
    const deadline = new Deadline(until - performance.now(), signal);
    try {
      await new Promise<void>((resolve, reject) => {
        const turn = (): Promise<void> =>
          new Promise((end) => {
            this.#endTurn = end;
            resolve();
          });
        this.#turns.run(turn, deadline).catch(reject);
      });
      return true;
    } catch (error) {
      if (deadline.expired) return false;
      throw error;
    } finally {
      deadline.dispose();
    }
  }

  /** Turns an acquired slot into a tenure. */
  hold(holding: Holding, ends: TenureEnds): Tenure {
    const { context, queue, limit } = this;
    const { prefix, monitorRetries, monitorRetryTime } = this.options;
    return new Tenure(holding, {
      context,
      queue,
      prefix,
      limit,
      monitorRetries,
      monitorRetryTime,
      keepSession: this.#sessions.keep,
      ends,
      lost: (makeWay) => {
        if (this.#waitingForTurn > 0) makeWay();
        else this.#makeWay = makeWay;
      },
      finished: this.#endTurn,
    });
  }
}
