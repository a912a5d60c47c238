import { LONGEST_TIMER_MS, timerMs } from "./timer-limit.js";

/** Calls `call` after so many milliseconds, unless the returned function is called before. */
export function callAfter(ms: number, call: () => void): () => void {
  if (ms === Infinity) return () => undefined;
  if (ms > LONGEST_TIMER_MS) {
    let cancel = callAfter(LONGEST_TIMER_MS, () => {
      cancel = callAfter(ms - LONGEST_TIMER_MS, call);
    });
    return () => {
      cancel();
    };
  }
  const timer = setTimeout(call, timerMs(ms));
  return () => {
    clearTimeout(timer);
  };
}
