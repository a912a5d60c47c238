import type { Ending } from "./cancellation.js";
import { onAbort } from "./on-abort.js";

/**
 * Settles as `promise` does, or rejects with the signal's reason if that aborts first. The
 * promise's later outcome is then ignored.
 */
export function unlessAborted<Result>(
  promise: Promise<Result>,
  signal: Ending | undefined,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const off = onAbort(signal, () => {
      reject(signal?.reason);
    });
    promise.finally(off).then(resolve, reject);
  });
}
