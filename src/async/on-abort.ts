import { callEach, Cancellation, type Ending } from "./cancellation.js";

const callbacksOf = new WeakMap<AbortSignal, CallbacksOnAbort>();

/**
 * Calls `callback` once when `signal` aborts, or at once if it already has. The returned function
 * removes the callback.
 *
 * All callbacks of a signal share one listener: a service may pass the same shutdown signal to
 * hundreds of calls, and Node warns of a leak from the eleventh listener on.
 */
export function onAbort(signal: Ending | undefined, callback: () => void): () => void {
  if (signal === undefined) return () => undefined;
  if (signal.aborted) {
    callback();
    return () => undefined;
  }
  if (signal instanceof Cancellation) return signal.onAbort(callback);
  let callbacks = callbacksOf.get(signal);
  if (callbacks === undefined) {
    callbacks = new CallbacksOnAbort(signal);
    callbacksOf.set(signal, callbacks);
  }
  return callbacks.add(callback);
}

/** The one listener that this library has on a signal. It stays while there are callbacks. */
class CallbacksOnAbort {
  readonly #signal: AbortSignal;
  readonly #callbacks = new Set<{ readonly call: () => void }>();
  readonly #listener = (): void => {
    this.#removeListener();
    callEach(this.#callbacks);
  };

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", this.#listener);
  }

  add(call: () => void): () => void {
    const entry = { call };
    this.#callbacks.add(entry);
    return () => {
      if (this.#callbacks.delete(entry) && this.#callbacks.size === 0) this.#removeListener();
    };
  }

  #removeListener(): void {
    this.#signal.removeEventListener("abort", this.#listener);
    callbacksOf.delete(this.#signal);
  }
}
