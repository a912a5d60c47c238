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

/** The value of a promise that has resolved by now. */
export function valueOf<Value>({ outcome }: Watched<Value>): Value {
  if (outcome !== undefined && "value" in outcome) return outcome.value;
  throw new Error("it has not resolved", { cause: outcome });
}

/** The message of the error that a promise has rejected with by now. */
export function messageOf({ outcome }: Watched<unknown>): string {
  if (outcome === undefined || !("error" in outcome)) {
    throw new Error("it has not rejected", { cause: outcome });
  }
  return outcome.error instanceof Error ? outcome.error.message : String(outcome.error);
}
