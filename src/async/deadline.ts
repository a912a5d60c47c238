import { onAbort } from "./on-abort.js";
import { timerMs } from "./timer-limit.js";

/**
 * An abort signal with a time limit: it aborts when `ms` milliseconds have passed, or with one of
 * `parents`. Whoever makes one disposes of it, so that neither its timer nor its listeners stay.
 */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #offs: readonly (() => void)[];
  #expired = false;

  constructor(ms: number, ...parents: readonly (AbortSignal | undefined)[]) {
    this.#timer = setTimeout(() => {
      // A parent that aborted first keeps its reason; its abort is not ours to claim.
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

  /** Whether it was the time that ended it, not a parent. */
  get expired(): boolean {
    return this.#expired;
  }

  dispose(): void {
    clearTimeout(this.#timer);
    for (const off of this.#offs) off();
  }
}
