import { Cancellation, type Ending } from "./cancellation.js";
import { onAbort } from "./on-abort.js";
import { timerMs } from "./timer-limit.js";

/**
 * Aborts after `ms` milliseconds, or with the first of `parents`. It holds a timer and listeners until
 * it is disposed of.
 */
export class Deadline extends Cancellation {
  readonly #timer: NodeJS.Timeout;
  readonly #offs: readonly (() => void)[];
  #expired = false;

  constructor(ms: number, ...parents: readonly (Ending | undefined)[]) {
    super();
    this.#timer = setTimeout(() => {
      // A parent may have aborted first: then the deadline has not expired, and the reason stays.
      this.#expired = !this.aborted;
      this.abort(new DOMException(`${ms} ms have passed`, "TimeoutError"));
    }, timerMs(ms));
    this.#offs = parents.map((parent) =>
      onAbort(parent, () => {
        this.abort(parent?.reason);
      }),
    );
  }

  /** Whether its time has ended it, and no parent. */
  get expired(): boolean {
    return this.#expired;
  }

  dispose(): void {
    clearTimeout(this.#timer);
    for (const off of this.#offs) off();
  }
}
