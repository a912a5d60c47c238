import { callAfter } from "./call-after.js";
import type { Ending } from "./cancellation.js";
import { FirstOf } from "./first-of.js";

/**
 * Aborts after `ms` milliseconds, or with the first of `parents`. It holds a timer and listeners until
 * it is disposed of.
 */
export class Deadline extends FirstOf {
  /** When it expires, on the clock of `performance.now()`. */
  readonly at: number;
  readonly #cancel: () => void;
  #expired = false;

  constructor(ms: number, ...parents: readonly (Ending | undefined)[]) {
    super(...parents);
    this.at = performance.now() + ms;
    this.#cancel = callAfter(ms, () => {
      // A parent may have aborted first: then the deadline has not expired, and the reason stays.
      this.#expired = !this.aborted;
      this.abort(new DOMException(`${ms} ms have passed`, "TimeoutError"));
    });
  }

  /** Whether its time has ended it, and no parent. */
  get expired(): boolean {
    return this.#expired;
  }

  override dispose(): void {
    this.#cancel();
    super.dispose();
  }
}
