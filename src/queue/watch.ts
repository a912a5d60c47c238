import { Cancellation } from "../async/cancellation.js";

/** One blocking query. It outlives the step, and the waiter, that started it. */
export class Watch {
  readonly #end = new Cancellation();
  #failure: { readonly error: unknown } | undefined;
  #isOver = false;

  /** Calls `changed` when it has been answered, or has failed. */
  constructor(query: (signal: Cancellation) => Promise<void>, changed: () => void) {
    query(this.#end)
      .catch((error: unknown) => {
        this.#failure = { error };
      })
      .finally(() => {
        this.#isOver = true;
        changed();
      });
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** @throws what it has failed with */
  checkOver(): boolean {
    if (this.#failure !== undefined) throw this.#failure.error;
    return this.#isOver;
  }

  end(): void {
    this.#end.abort("nobody waits");
  }
}
