import { Backoff } from "../async/backoff.js";
import { Deadline } from "../async/deadline.js";
import { isAborted } from "../async/is-aborted.js";
import { onAbort } from "../async/on-abort.js";
import { sleep } from "../async/sleep.js";
import type { QueryOptions } from "../consul/query.js";
import type { PrefixReading } from "./requests.js";

/** What a subscriber needs of the watch. */
export interface Subscription {
  /** How long one look lasts at most while nothing changes, in milliseconds. */
  readonly wait: number;
  /** What its answer may need beyond that. */
  readonly grace: number;
}

/** What looks bring to whoever wants to know. */
export interface WatchEvents {
  readonly shown: (reading: PrefixReading) => void;
  /** Answers how long to pause before the next look, in milliseconds, where that matters. */
  readonly failed: (error: unknown) => number | undefined;
}

/** A time in which changes gather, and what is worth a look before it is over. */
export interface Pause {
  /** In milliseconds. */
  readonly ms: number;
  /** Whoever has to leave before there can be anything to do. */
  readonly until?: string | undefined;
}

export interface PrefixWatchOptions {
  /** Takes a look: at once, or when something has changed. */
  readonly look: (query: QueryOptions) => Promise<PrefixReading>;
  /** How long to let changes gather before the next look. */
  readonly pause: () => Pause;
  /** Waits so long; less if that contender leaves. */
  readonly untilGone: (session: string, ms: number, signal: AbortSignal) => Promise<void>;
  /** Told of each look that went well, */
  readonly shown: () => void;
  /** and of each that failed; answers how long to pause, if not as long as usual. */
  readonly failed: (error: unknown) => number | undefined;
  /** Aborts when the client is about to be closed, so that no subscriber follows the last. */
  readonly closing?: AbortSignal | undefined;
}

/** The last subscriber is often about to be followed by the next: a waiter that becomes a holder. */
const LINGER_MS = 50;

/** A wait for somebody to leave takes a request, which for less than that is not worth it. */
const SHORTEST_VIGIL_MS = 20;

/**
 * A look that is answered before its time though nothing has changed means nothing, once. Where it
 * goes on, something on the way drops what makes a query wait, and to ask on and on would be a load.
 */
const IDLE_PAUSES = { first: 50, longest: 500 };

const FIRST_RETRY_MS = 50;
/** Less than the second within which a loss is to be told once looks get through again. */
const LONGEST_RETRY_MS = 500;

/**
 * One blocking query after another, for all who want to know what becomes of a prefix. It starts
 * with the first subscriber and ends with the last.
 */
export class PrefixWatch {
  readonly #options: PrefixWatchOptions;
  readonly #subscriptions = new Set<Subscription>();
  #lastNeeds: Subscription = { wait: 0, grace: 0 };
  #running: AbortController | undefined;
  /** Has it go on, after the last subscriber, for the next. */
  #endLinger: () => void = () => undefined;
  /** The look under way, and how long it takes at most. */
  #look: { readonly controller: AbortController; readonly wait: number } | undefined;
  /** Ends the pause between two looks. */
  #pause: AbortController | undefined;
  /** What the next look waits for a change since, and when that was answered. */
  #index = 0n;
  #answeredAt = -Infinity;

  constructor(options: PrefixWatchOptions) {
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** The returned function ends the subscription. */
  subscribe(subscription: Subscription): () => void {
    this.#subscriptions.add(subscription);
    this.#endLinger();
    if (this.#running === undefined) void this.#run((this.#running = new AbortController()).signal);
    // A look that lasts longer than this one may wait for would find a dead connection too late.
    else if (this.#look !== undefined && this.#look.wait > subscription.wait) {
      this.#look.controller.abort();
    }
    return () => {
      if (!this.#subscriptions.delete(subscription) || this.#subscriptions.size > 0) return;
      this.#linger();
    };
  }

  /** Whether a look is under way that waits for what is not known yet. */
  get tellsOfChanges(): boolean {
    return this.#look !== undefined && this.#index > 0n;
  }

  /** Looks now, if it was pausing: there is something to see. */
  hurry(): void {
    this.#pause?.abort();
  }

  /**
   * Takes note of a look that was made otherwise. An index that has gone backwards means that the
   * servers' data was restored: who waits for a change since the one before would wait in vain.
   */
  compare({ index, sentAt }: PrefixReading): void {
    if (index >= this.#index || sentAt <= this.#answeredAt) return;
    // In a pause there is none that could be given up.
    this.#index = 0n;
    this.#look?.controller.abort();
  }

  #linger(): void {
    const linger = new Deadline(LINGER_MS, this.#options.closing);
    this.#endLinger = () => {
      linger.dispose();
    };
    onAbort(linger.signal, () => {
      linger.dispose();
      this.#running?.abort();
      this.#running = undefined;
    });
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { look, pause, shown, failed } = this.#options;
    const backoff = new Backoff({ first: FIRST_RETRY_MS, longest: LONGEST_RETRY_MS });
    const idle = new Backoff(IDLE_PAUSES);
    let wasIdle = false;
    this.#index = 0n;
    while (!signal.aborted) {
      const { wait, grace } = this.#needs();
      const controller = new AbortController();
      this.#look = { controller, wait };
      const off = onAbort(signal, () => {
        controller.abort();
      });
      // The server adds up to a sixteenth.
      const timeout = wait + wait / 16 + grace;
      let rest: Pause = { ms: 0 };
      const askedAt = performance.now();
      const since = this.#index;
      try {
        const reading = await look({
          index: this.#index,
          wait,
          timeout,
          consistent: true,
          signal: controller.signal,
        });
        this.#index = reading.nextIndex;
        this.#answeredAt = performance.now();
        backoff.reset();
        shown();
        rest = pause();
        const isIdle = since > 0n && this.#index === since && this.#answeredAt - askedAt < wait / 2;
        if (!isIdle) idle.reset();
        else if (wasIdle) rest = { ms: Math.max(rest.ms, idle.next()) };
        wasIdle = isIdle;
      } catch (error) {
        // One that was given up might have waited for an index that no server knows any more, too.
        this.#index = 0n;
        if (!controller.signal.aborted) {
          const usual = backoff.next();
          rest = { ms: failed(error) ?? usual };
        }
      } finally {
        off();
        this.#look = undefined;
      }
      if (rest.ms > 0 && !isAborted(signal)) await this.#rest(rest, signal);
    }
  }

  /** What suits every subscriber; the last ones, where the next is still to come. */
  #needs(): Subscription {
    const all = [...this.#subscriptions];
    if (all.length > 0) {
      this.#lastNeeds = {
        wait: Math.min(...all.map(({ wait }) => wait)),
        grace: Math.min(...all.map(({ grace }) => grace)),
      };
    }
    return this.#lastNeeds;
  }

  async #rest({ ms, until }: Pause, signal: AbortSignal): Promise<void> {
    const pause = new AbortController();
    this.#pause = pause;
    const off = onAbort(signal, () => {
      pause.abort();
    });
    if (until === undefined || ms < SHORTEST_VIGIL_MS) await sleep(ms, pause.signal);
    else await this.#options.untilGone(until, ms, pause.signal);
    off();
    if (this.#pause === pause) this.#pause = undefined;
  }
}
