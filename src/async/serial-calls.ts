import { unlessAborted } from "./unless-aborted.js";

/** Runs calls one after the other, in the order in which they came. */
export class SerialCalls {
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Runs `call` once all earlier ones have ended. If `signal` aborts before that, `call` never runs
   * and the promise rejects with the signal's reason at once.
   */
  async run<Result>(call: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    const before = this.#last;
    const turn = unlessAborted(before, signal).then(call);
    // The next call waits for `before` too: this one may be given up before its turn comes. What
    // they came to is let go of, or each call would keep all those before it in memory.
    this.#last = Promise.allSettled([before, turn]).then(() => undefined);
    return await turn;
  }
}
