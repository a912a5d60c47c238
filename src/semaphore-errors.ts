import { ConsulError } from "./consul/consul-error.js";

/** What the errors of a semaphore at work have in common: a `code` that is stable across versions. */
export abstract class SemaphoreError extends Error {
  abstract readonly code: string;
}

/**
 * A semaphore was given options it cannot work with; nothing was sent to Consul. The message names
 * the option and shows the value.
 */
export class SemaphoreOptionsError extends TypeError {
  override readonly name = "SemaphoreOptionsError";
  readonly code = "SEMAPHORE_INVALID_OPTIONS";
}

/** `acquire` or `destroy` on a semaphore whose slot has not been released (Go: `ErrSemaphoreHeld`). */
export class SemaphoreHeldError extends SemaphoreError {
  override readonly name = "SemaphoreHeldError";
  readonly code = "SEMAPHORE_HELD";

  constructor() {
    super("Semaphore already held");
  }
}

/** `release` on a semaphore that has no slot (Go: `ErrSemaphoreNotHeld`). */
export class SemaphoreNotHeldError extends SemaphoreError {
  override readonly name = "SemaphoreNotHeldError";
  readonly code = "SEMAPHORE_NOT_HELD";

  constructor() {
    super("Semaphore not held");
  }
}

/**
 * `acquire` and its like when the client has been closed, or is closed while they wait; and `run`
 * when that took the slot from under its function.
 */
export class SemaphoreClosedError extends SemaphoreError {
  override readonly name = "SemaphoreClosedError";
  readonly code = "SEMAPHORE_CLOSED";

  constructor() {
    super("Semaphore closed: its client has been closed");
  }
}

/** `destroy` while somebody holds a slot (Go: `ErrSemaphoreInUse`). */
export class SemaphoreInUseError extends SemaphoreError {
  override readonly name = "SemaphoreInUseError";
  readonly code = "SEMAPHORE_IN_USE";

  constructor() {
    super("Semaphore in use");
  }
}

/**
 * The lock entry's key holds something that no semaphore wrote, such as Consul's single lock
 * (Go: `ErrSemaphoreConflict`).
 */
export class SemaphoreConflictError extends SemaphoreError {
  override readonly name = "SemaphoreConflictError";
  readonly code = "SEMAPHORE_CONFLICT";

  constructor() {
    super("Existing key does not match semaphore use");
  }
}

/**
 * Others use the prefix with another limit. The limit is set by whoever comes first and stays until
 * the semaphore is destroyed.
 */
export class SemaphoreLimitConflictError extends SemaphoreError {
  override readonly name = "SemaphoreLimitConflictError";
  readonly code = "SEMAPHORE_LIMIT_CONFLICT";
  /** The limit in Consul. */
  readonly lockLimit: number;
  /** The limit of this semaphore. */
  readonly localLimit: number;

  constructor(lockLimit: number, localLimit: number) {
    super(`semaphore limit conflict (lock: ${lockLimit}, local: ${localLimit})`);
    this.lockLimit = lockLimit;
    this.localLimit = localLimit;
  }
}

/** The lock entry's value is not what a semaphore writes. */
export class SemaphoreDecodingError extends SemaphoreError {
  override readonly name = "SemaphoreDecodingError";
  readonly code = "SEMAPHORE_LOCK_DECODING_FAILED";

  constructor(problem: string, cause?: unknown) {
    super(`lock decoding failed: ${problem}`, cause === undefined ? undefined : { cause });
  }
}

const FAILED_STEPS = {
  SEMAPHORE_SESSION_FAILED: "failed to create session",
  SEMAPHORE_CONTENDER_FAILED: "failed to make contender entry",
  SEMAPHORE_READ_FAILED: "failed to read prefix",
  SEMAPHORE_UPDATE_FAILED: "failed to update lock",
  SEMAPHORE_LEAVE_FAILED: "failed to remove contender entry",
  SEMAPHORE_REMOVE_FAILED: "failed to remove semaphore",
} as const;

/** Which request of the semaphore failed. */
export type SemaphoreRequestErrorCode = keyof typeof FAILED_STEPS;

/** A request that the semaphore depends on failed, as a rule with a {@link ConsulError} as `cause`. */
export class SemaphoreRequestError extends SemaphoreError {
  override readonly name = "SemaphoreRequestError";
  readonly code: SemaphoreRequestErrorCode;
  /** Whether the same may succeed a moment later: Consul was out of reach, or without a leader. */
  readonly retryable: boolean;

  constructor(code: SemaphoreRequestErrorCode, problem: unknown) {
    super(
      `${FAILED_STEPS[code]}: ${problem instanceof Error ? problem.message : String(problem)}`,
      problem instanceof Error ? { cause: problem } : undefined,
    );
    this.code = code;
    this.retryable = problem instanceof ConsulError && problem.retryable;
  }
}

/** Whether a failure is of the kind that passes, so that the same step may go better later. */
export function isPassing(error: unknown): boolean {
  return (
    (error instanceof SemaphoreRequestError || error instanceof ConsulError) && error.retryable
  );
}

/**
 * The same, and answers that are none of Consul's too: a proxy's page says nothing about whether a
 * slot is still there, or given back.
 */
export function isUnclear(error: unknown): boolean {
  const cause = error instanceof SemaphoreRequestError ? error.cause : error;
  return isPassing(error) || (cause instanceof ConsulError && cause.code === "CONSUL_BAD_ANSWER");
}

/**
 * How a slot was lost:
 *
 * - `"session-expired"`: no renewal of its session succeeded for one TTL.
 * - `"session-invalidated"`: its session, or its contender entry, is gone from Consul.
 * - `"holder-removed"`: somebody took it out of the lock's holders, or deleted the lock.
 * - `"monitor-failed"`: Consul could not be asked for two TTLs, or refused to say,
 *   whether the slot is still there.
 */
export type SemaphoreLostReason =
  "session-expired" | "session-invalidated" | "holder-removed" | "monitor-failed";

const LOSSES: Readonly<Record<SemaphoreLostReason, string>> = {
  "session-expired": "its session could not be renewed in time",
  "session-invalidated": "its session or contender entry is gone",
  "holder-removed": "it is no longer among the holders",
  "monitor-failed": "Consul could not be asked whether it is still held",
};

/** The slot is no longer ours, and others may be at work in it. The reason of `slot.signal`. */
export class SemaphoreLostError extends SemaphoreError {
  override readonly name = "SemaphoreLostError";
  readonly code = "SEMAPHORE_LOST";
  readonly reason: SemaphoreLostReason;

  constructor(reason: SemaphoreLostReason, cause?: unknown) {
    const problem = cause instanceof Error ? `: ${cause.message}` : "";
    super(
      `Semaphore slot lost: ${LOSSES[reason]}${problem}`,
      cause === undefined ? undefined : { cause },
    );
    this.reason = reason;
  }
}

/** The slot has been given back. The reason of `slot.signal` after `release`. */
export class SemaphoreReleasedError extends SemaphoreError {
  override readonly name = "SemaphoreReleasedError";
  readonly code = "SEMAPHORE_RELEASED";

  constructor() {
    super("Semaphore slot released");
  }
}
