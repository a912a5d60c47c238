/** How long an answer is waited for, in milliseconds, where there is so much time. */
const LONGEST_ANSWER_MS = 10_000;

/** And where there is none left: a request that could not be answered would tell nothing. */
const SHORTEST_ANSWER_MS = 1_000;

/** The time limit for a request that should be answered until then, of `performance.now()`. */
export function attemptTimeout(deadline: number): number {
  const left = deadline - performance.now();
  return Math.min(LONGEST_ANSWER_MS, Math.max(SHORTEST_ANSWER_MS, left));
}
