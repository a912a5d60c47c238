import { onAbort } from "./on-abort.js";
import { timerMs } from "./timer-limit.js";

/**
 * Waits `ms` milliseconds; less if the signal aborts. It always resolves. With `keepAlive: false`
 * the process may end while it waits, if there is nothing else to do.
 */
export function sleep(
  ms: number,
  signal: AbortSignal | undefined,
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
