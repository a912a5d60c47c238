import { Backoff } from "./backoff.js";
import { isAborted } from "./is-aborted.js";
import { sleep } from "./sleep.js";

export interface RetryOptions {
  /** Whether a failure may pass, so that the step is worth another try. */
  readonly isTransient: (error: unknown) => boolean;
  /** After this time of `performance.now()` there is no other try. */
  readonly until: number;
  /** Ends the tries: the promise then rejects with the failure of the last one. */
  readonly signal?: AbortSignal | undefined;
  /** Whether the next pause keeps the process alive. Default: it does. */
  readonly keepAlive?: (() => boolean) | undefined;
  /** Told of each failure that another try follows. */
  readonly failed?: ((error: unknown) => void) | undefined;
}

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;

/**
 * Takes a step that can be repeated without harm until it succeeds, with growing pauses. It is
 * tried once at least; rejects with its last failure.
 */
export async function retry<Result>(
  step: () => Promise<Result>,
  { isTransient, until, signal, keepAlive, failed }: RetryOptions,
): Promise<Result> {
  const backoff = new Backoff({ first: FIRST_PAUSE_MS, longest: LONGEST_PAUSE_MS });
  for (;;) {
    try {
      return await step();
    } catch (error) {
      const left = until - performance.now();
      if (left <= 0 || isAborted(signal) || !isTransient(error)) throw error;
      failed?.(error);
      await sleep(Math.min(backoff.next(), left), signal, { keepAlive: keepAlive?.() });
      if (isAborted(signal)) throw error;
    }
  }
}
