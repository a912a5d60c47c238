/** The longest that one request waits for its answer, by default, in milliseconds. */
export const LONGEST_ATTEMPT_MS = 10_000;

/** The shortest, also past the deadline: a request without time to be answered shows nothing. */
export const SHORTEST_ATTEMPT_MS = 1_000;

/**
 * The timeout of one request, in milliseconds, that should be answered before `deadline`, a time of
 * `performance.now()`.
 */
export function attemptTimeout(deadline: number): number {
  const left = deadline - performance.now();
  return Math.min(LONGEST_ATTEMPT_MS, Math.max(SHORTEST_ATTEMPT_MS, left));
}
