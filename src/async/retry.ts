import { Backoff } from "./backoff.js";
import type { Ending } from "./cancellation.js";
import { isAborted } from "./is-aborted.js";
import { sleep } from "./sleep.js";

export interface RetryOptions {
  /** Whether a failure is transient, so that another attempt may succeed. */
  readonly isTransient: (error: unknown) => boolean;
  /** The time of `performance.now()` at which the last attempt starts. The first is always made. */
  readonly until: number;
  /** Stops the retries: the promise then rejects with the last failure. */
  readonly signal?: Ending | undefined;
  /** Whether the next pause keeps the process alive. Default: it does. */
  readonly keepAlive?: (() => boolean) | undefined;
  /** How many times longer than usual the pause after a failure is. Default: 1. */
  readonly pauseFactor?: ((error: unknown) => number) | undefined;
  /** Called with each failure that is retried. */
  readonly failed?: ((error: unknown) => void) | undefined;
}

/**
 * Repeats an idempotent step until it succeeds, with growing pauses. The step runs at least once.
 *
 * @throws the last failure, once it is not transient, the time is over or the signal has aborted
 */
export async function retry<Result>(
  step: () => Promise<Result>,
  { isTransient, until, signal, keepAlive, pauseFactor, failed }: RetryOptions,
): Promise<Result> {
  const backoff = new Backoff();
  for (;;) {
    try {
      return await step();
    } catch (error) {
      const left = until - performance.now();
      if (left <= 0 || isAborted(signal) || !isTransient(error)) throw error;
      failed?.(error);
      const pause = backoff.next(pauseFactor?.(error));
      await sleep(Math.min(pause, left), signal, { keepAlive: keepAlive?.() });
      if (isAborted(signal)) throw error;
    }
  }
}
