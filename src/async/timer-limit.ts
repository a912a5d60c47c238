/** The longest time, in milliseconds, that a timer of Node's can wait: almost 25 days. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Node makes 1 ms of a longer time, and of a negative one. Here it becomes the nearest there is. */
export function timerMs(ms: number): number {
  return Math.max(0, Math.min(ms, LONGEST_TIMER_MS));
}
