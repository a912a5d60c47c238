/** How a promise has ended, and when, on the clock of `performance.now()`. */
export type Outcome<Value> =
  { readonly value: Value; readonly at: number } | { readonly error: unknown; readonly at: number };

/** Watches a promise while a test moves the clock. */
export class Watched<Value> {
  /** Nothing as long as it is under way. */
  outcome: Outcome<Value> | undefined;

  constructor(promise: Promise<Value>) {
    promise.then(
      (value) => {
        this.outcome = { value, at: performance.now() };
      },
      (error: unknown) => {
        this.outcome = { error, at: performance.now() };
      },
    );
  }
}
