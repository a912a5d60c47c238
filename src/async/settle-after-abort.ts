import type { Ending } from "./cancellation.js";
import { onAbort } from "./on-abort.js";

/**
 * Settles as `promise` does. Once `signal` has aborted, `promise` has `graceMs` left to settle;
 * after that, the result rejects with the signal's reason.
 */
export function settleAfterAbort<Result>(
  promise: Promise<Result>,
  signal: Ending | undefined,
  graceMs: number,
): Promise<Result> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    let grace: NodeJS.Timeout | undefined;
    const off = onAbort(signal, () => {
      grace = setTimeout(() => {
        reject(signal.reason);
      }, graceMs);
    });
    promise
      .finally(() => {
        clearTimeout(grace);
        off();
      })
      .then(resolve, reject);
  });
}
