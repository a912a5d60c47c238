import { onAbort } from "./on-abort.js";

/**
 * The promise, or a rejection with the signal's reason if that aborts first. What the promise comes
 * to after that is let go.
 */
export function unlessAborted<Result>(
  promise: Promise<Result>,
  signal: AbortSignal | undefined,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const off = onAbort(signal, () => {
      reject(signal?.reason);
    });
    promise.finally(off).then(resolve, reject);
  });
}
