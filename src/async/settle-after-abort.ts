import { onAbort } from "./on-abort.js";

/**
 * The promise; but once `signal` has aborted it has only `graceMs` left to settle by itself, and
 * then the result rejects with the signal's reason, whatever the promise does later.
 */
export function settleAfterAbort<Result>(
  promise: Promise<Result>,
  signal: AbortSignal | undefined,
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
