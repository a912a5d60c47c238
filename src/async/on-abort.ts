const callbacksOf = new WeakMap<AbortSignal, CallbacksOnAbort>();

/**
 * Calls `callback` once when `signal` aborts; at once if it has already. The returned function takes
 * the callback off again.
 *
 * However many callbacks wait on a signal, it carries one listener: a service may hand the same
 * shutdown signal to hundreds of calls, and Node warns of a leak from the eleventh listener on.
 */
export function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (signal === undefined) return () => undefined;
  if (signal.aborted) {
    callback();
    return () => undefined;
  }
  let callbacks = callbacksOf.get(signal);
  if (callbacks === undefined) {
    callbacks = new CallbacksOnAbort(signal);
    callbacksOf.set(signal, callbacks);
  }
  return callbacks.add(callback);
}

/** The one listener of ours on a signal, and those it calls. It is there while there are any. */
class CallbacksOnAbort {
  readonly #signal: AbortSignal;
  readonly #callbacks = new Set<{ readonly call: () => void }>();
  readonly #listener = (): void => {
    this.#leave();
    for (const { call } of this.#callbacks) call();
  };

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", this.#listener);
  }

  add(call: () => void): () => void {
    const entry = { call };
    this.#callbacks.add(entry);
    return () => {
      if (this.#callbacks.delete(entry) && this.#callbacks.size === 0) this.#leave();
    };
  }

  #leave(): void {
    this.#signal.removeEventListener("abort", this.#listener);
    callbacksOf.delete(this.#signal);
  }
}
