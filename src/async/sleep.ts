import { onAbort } from "./on-abort.js";

/** Waits `ms` milliseconds; less if the signal aborts. It always resolves. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      off();
      resolve();
    };
    const timer = setTimeout(end, ms);
    const off = onAbort(signal, () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
