import { sleep } from "./sleep.js";

/**
 * A serial queue with a time limit on waiting: a call that has waited long enough starts although
 * an earlier one still runs. For calls that conflict when they overlap, but stay correct.
 */
export class LooseTurns {
  readonly #patience: number;
  #last: Promise<unknown> = Promise.resolve();
  #underWay = 0;

  /** @param patience how long a call waits for the earlier ones, in milliseconds */
  constructor(patience: number) {
    this.#patience = patience;
  }

  async run<Result>(call: () => Promise<Result>): Promise<Result> {
    const before = this.#last;
    const turn = this.#underWay === 0 ? call() : this.#waitFor(before).then(call);
    this.#underWay += 1;
    this.#last = Promise.allSettled([before, turn]).then(() => {
      this.#underWay -= 1;
    });
    return await turn;
  }

  async #waitFor(before: Promise<unknown>): Promise<void> {
    const done = new AbortController();
    void before.then(() => {
      done.abort();
    });
    await sleep(this.#patience, done.signal);
  }
}
