import type { Ending } from "./cancellation.js";
import { settledWithin } from "./settled-within.js";
import { unlessAborted } from "./unless-aborted.js";

/** Continues work in the background; later calls wait for it. */
export type Background = (work: Promise<unknown>) => void;

/** Runs calls one after the other, in the order in which they came. */
export class SerialQueue {
  readonly #patience: number;
  #last: Promise<unknown> = Promise.resolve();
  #underWay = 0;

  /** `patience`: how long a call waits for those before it, in milliseconds; then it goes ahead. */
  constructor(patience = Infinity) {
    this.#patience = patience;
  }

  /** Resolves when all calls so far have ended, with the work that they left behind. */
  get settled(): Promise<unknown> {
    return this.#last;
  }

  /**
   * Runs `call` once all earlier ones have ended. If `signal` aborts before that, `call` never runs
   * and the promise rejects with the signal's reason at once.
   */
  async run<Result>(
    call: (background: Background) => Promise<Result>,
    signal?: Ending,
  ): Promise<Result> {
    const before = this.#last;
    const background: Promise<unknown>[] = [];
    const start = (): Promise<Result> =>
      call((work) => {
        // It may fail long before the call ends, when nobody listens yet.
        work.catch(() => undefined);
        background.push(work);
      });
    const turn =
      this.#underWay === 0 && signal?.aborted !== true
        ? start()
        : unlessAborted(settledWithin(this.#patience, before), signal).then(start);
    this.#underWay += 1;
    // The next call waits for `before` too: this one may be given up before its turn comes. What
    // they came to is let go of, or each call would keep all those before it in memory.
    this.#last = Promise.allSettled([before, turn])
      .then(() => Promise.allSettled(background))
      .then(() => {
        this.#underWay -= 1;
      });
    return await turn;
  }
}
