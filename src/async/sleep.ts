import type { Ending } from "./cancellation.js";
import { onAbort } from "./on-abort.js";
import { timerMs } from "./timer-limit.js";

/**
 * Resolves after `ms` milliseconds, or as soon as the signal aborts. It never rejects. With
 * `keepAlive: false` the process may exit meanwhile.
 */
export function sleep(
  ms: number,
  signal: Ending | undefined,
  { keepAlive = true }: { readonly keepAlive?: boolean | undefined } = {},
): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      off();
      resolve();
    }, timerMs(ms));
    if (!keepAlive) timer.unref();
    const off = onAbort(signal, () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
