import { Cancellation, type Ending } from "./cancellation.js";
import { onAbort } from "./on-abort.js";

/**
 * Aborts with the first of `parents`, until it is disposed of: `AbortSignal.any` would have a long-lived
 * signal keep a reference.
 */
export class FirstOf extends Cancellation {
  readonly #offs: readonly (() => void)[];

  constructor(...parents: readonly (Ending | undefined)[]) {
    super();
    this.#offs = parents.map((parent) =>
      onAbort(parent, () => {
        this.abort(parent?.reason);
      }),
    );
  }

  dispose(): void {
    for (const off of this.#offs) off();
  }
}
