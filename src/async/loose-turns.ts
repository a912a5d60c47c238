import { sleep } from "./sleep.js";

/**
 * Has calls take turns that would get in each other's way, but need not: one that has waited long
 * enough goes ahead, so that a call that hangs holds up nobody for long.
 */
export class LooseTurns {
  readonly #patience: number;
  #last: Promise<unknown> = Promise.resolve();
  #underWay = 0;

  /** `patience`: how long a call waits for those before it, in milliseconds. */
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
