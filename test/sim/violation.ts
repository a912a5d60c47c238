/** Which promise was broken. The letters are those of the design's list of promises. */
export const VIOLATION_KINDS = [
  /** More live slots than the limit allows. */
  "A-too-many",
  /** A slot outlived the session that the process could count on. */
  "A-outlived",
  /** `held` was true again, or at a time when the session may have been gone. */
  "A-held",
  /** A slot was taken from its holder, and it was not told in time. */
  "B-not-told",
  /** Something was left behind. */
  "C-leak",
  /** A slot was lost without a reason. */
  "D-needless-loss",
  /** A waiter never had its turn. */
  "E-forgotten",
  /** A slot was free, and a waiter did not take it in time. */
  "E-idle",
  /** A slot went to somebody who had come later. */
  "E-order",
  /** A waiter was passed again and again. */
  "E-starved",
  /** A fencing token that is none. */
  "F-token",
  /** A restarted process did not find its slot again. */
  "G-not-resumed",
  /** What stands in Consul is not what a semaphore writes. */
  "wire",
  /** The state of a semaphore or an error is not as documented. */
  "state",
  "unhandled-rejection",
] as const;

export type ViolationKind = (typeof VIOLATION_KINDS)[number];

export interface Violation {
  readonly kind: ViolationKind;
  readonly problem: string;
}
