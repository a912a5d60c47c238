/** What ends a wait. */
export type Ending = AbortSignal | Cancellation;

/**
 * Like an `AbortController` with its signal, for the library's own use. An `AbortSignal` is an event
 * target, which costs more than all else that is made for a request.
 */
export class Cancellation {
  #callbacks: Set<{ readonly call: () => void }> | undefined;
  #isAborted = false;
  #reason: unknown;

  get aborted(): boolean {
    return this.#isAborted;
  }

  /** Why it was aborted. */
  get reason(): unknown {
    return this.#reason;
  }

  abort(reason: unknown): void {
    if (this.#isAborted) return;
    this.#isAborted = true;
    this.#reason = reason;
    const callbacks = this.#callbacks;
    this.#callbacks = undefined;
    for (const { call } of callbacks ?? []) call();
  }

  /** Calls back when it is aborted, until the result is called. */
  onAbort(call: () => void): () => void {
    const callbacks = (this.#callbacks ??= new Set());
    const entry = { call };
    callbacks.add(entry);
    return () => {
      callbacks.delete(entry);
    };
  }
}
