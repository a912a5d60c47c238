import { SemaphoreError, withPrefix } from "./errors.js";

/** One call of a user's on a semaphore: its prefix, and the line that it was made from. */
export class Caller {
  readonly #prefix: string;
  /** Its `stack` is the user's, which is formatted when it is read. */
  readonly #site: { readonly stack?: unknown } = {};

  /** Made in a method of the library, which is not shown in the stack. */
  constructor(prefix: string) {
    this.#prefix = prefix;
    Error.captureStackTrace(this.#site, new.target);
  }

  /**
   * What the call rejects with: a semaphore's error as one of its own, anything else as it is, and so
   * is the reason of the user's signal.
   */
  report(error: unknown, signal?: AbortSignal): unknown {
    if (!(error instanceof SemaphoreError) || error === signal?.reason) return error;
    const own = withPrefix(error, this.#prefix);
    const { stack } = this.#site;
    // A program's own `Error.prepareStackTrace` may return anything.
    if (typeof stack !== "string") return own;
    // Without its own header and the frame of the method.
    const value = [String(own), ...stack.split("\n").slice(2)].join("\n");
    return Object.defineProperty(own, "stack", { value, writable: true, configurable: true });
  }
}
