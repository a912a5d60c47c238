/**
 * Reads `aborted` afresh. TypeScript takes it that what was false before an `await` still is, and
 * calls a second look at the property needless.
 */
export function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}
