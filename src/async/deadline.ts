import { onAbort } from "./on-abort.js";
import { timerMs } from "./timer-limit.js";

/**
 * An abort signal with a time limit: it aborts after `ms` milliseconds, or with the first of
 * `parents`. It holds a timer and listeners until it is disposed of.
 */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #offs: readonly (() => void)[];
  #expired = false;

  constructor(ms: number, ...parents: readonly (AbortSignal | undefined)[]) {
    this.#timer = setTimeout(() => {
      // A parent may have aborted first: then the deadline has not expired, and the reason stays.
      this.#expired = !this.signal.aborted;
      this.#controller.abort(new DOMException(`${ms} ms have passed`, "TimeoutError"));
    }, timerMs(ms));
    this.#offs = parents.map((parent) =>
      onAbort(parent, () => {
        this.#controller.abort(parent?.reason);
      }),
    );
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether the time limit aborted the signal, not a parent. */
  get expired(): boolean {
    return this.#expired;
  }

  dispose(): void {
    clearTimeout(this.#timer);
    for (const off of this.#offs) off();
  }
}
