import type { Ending } from "./cancellation.js";

/**
 * Reads `aborted` anew. TypeScript assumes that a property which was false before an `await` still
 * is, and reports a second check as unnecessary.
 */
export function isAborted(signal: Ending | undefined): boolean {
  return signal?.aborted === true;
}
