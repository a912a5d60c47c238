/** The longest time, in milliseconds, that a timer of Node's can wait: almost 25 days. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Node makes 1 ms of a longer time. Here it becomes the longest there is. */
export function timerMs(ms: number): number {
  return Math.min(ms, LONGEST_TIMER_MS);
}
