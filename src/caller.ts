import { SemaphoreError, withPrefix } from "./errors.js";

/** One call of a user's on a semaphore: its prefix, and the line that it was made from. */
export class Caller {
  readonly #prefix: string;
  /** Its `stack` is the user's, which is formatted when it is read. */
  readonly #site: { readonly stack?: unknown } = {};

  /** `method`: the public function that was called; what stands above it in the stack is the user's. */
  constructor(prefix: string, method: (...args: never[]) => unknown) {
    this.#prefix = prefix;
    Error.captureStackTrace(this.#site, method);
  }

  /**
   * What the call rejects with: a semaphore's error as one of its own, anything else as it is. That
   * of a semaphore with another prefix comes from the user's function.
   */
  report(error: unknown): unknown {
    if (!(error instanceof SemaphoreError)) return error;
    if (error.prefix !== undefined && error.prefix !== this.#prefix) return error;
    const own = withPrefix(error, this.#prefix);
    const { stack } = this.#site;
    // A program's own `Error.prepareStackTrace` may return anything.
    if (typeof stack !== "string") return own;
    const value = `${String(own)}${stack.replace(/^.*/, "")}`;
    return Object.defineProperty(own, "stack", { value, writable: true, configurable: true });
  }
}
