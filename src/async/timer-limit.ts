/** The longest delay of a Node timer, in milliseconds: almost 25 days. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Limits a delay to what a Node timer supports. Node itself makes 1 ms of one out of range. */
export function timerMs(ms: number): number {
  return Math.max(0, Math.min(ms, LONGEST_TIMER_MS));
}
