/** What ends a wait: a user's signal, or one of the library's own. */
export type Ending = AbortSignal | Cancellation;

/**
 * Like an `AbortController` with its signal, for the library's own use. An `AbortSignal` is an event
 * target, which costs more than all else that is made for a request.
 */
export class Cancellation {
  #callbacks: Set<{ readonly call: () => void }> | undefined;
  #isAborted = false;
  #reason: unknown;
  #controller: AbortController | undefined;

  get aborted(): boolean {
    return this.#isAborted;
  }

  /** Why it was aborted. */
  get reason(): unknown {
    return this.#reason;
  }

  /** The same for users, made on first use. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#isAborted) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** @throws the reason, once it was aborted */
  throwIfAborted(): void {
    if (this.#isAborted) throw this.#reason;
  }

  /** Without a reason it is that of an `AbortController`: a signal made by others may have none. */
  abort(reason: unknown = new DOMException("This operation was aborted", "AbortError")): void {
    if (this.#isAborted) return;
    this.#isAborted = true;
    this.#reason = reason;
    const callbacks = this.#callbacks;
    this.#callbacks = undefined;
    // Users' listeners come first.
    this.#controller?.abort(reason);
    callEach(callbacks ?? []);
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

/** As an event target calls its listeners: one that throws stops neither the others nor its caller. */
export function callEach(callbacks: Iterable<{ readonly call: () => void }>): void {
  for (const { call } of callbacks) {
    try {
      call();
    } catch (error) {
      process.nextTick(() => {
        throw error;
      });
    }
  }
}
