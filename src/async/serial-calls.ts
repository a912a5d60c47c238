import { unlessAborted } from "./unless-aborted.js";

/** A serial queue: runs calls one at a time, in the order in which they were made. */
export class SerialCalls {
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Runs `call` once all earlier ones have settled. If `signal` aborts before that, `call` never
   * runs, and the promise rejects at once with the signal's reason.
   */
  async run<Result>(call: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    const before = this.#last;
    const turn = unlessAborted(before, signal).then(call);
    // The next call waits for `before` too, since this one may be aborted before its turn. The
    // results are dropped: otherwise each call would keep all earlier ones in memory.
    this.#last = Promise.allSettled([before, turn]).then(() => undefined);
    return await turn;
  }
}
