import { timerMs } from "./timer-limit.js";

/** Calls `call` after so many milliseconds, unless the returned function is called before. */
export function callAfter(ms: number, call: () => void): () => void {
  if (ms === Infinity) return () => undefined;
  const timer = setTimeout(call, timerMs(ms));
  return () => {
    clearTimeout(timer);
  };
}
