import { cloneable } from "./cloneable-error.js";
import { goDuration, type Duration } from "./consul/duration.js";
import { ConsulError, mayBeOfAnother } from "./consul/http/consul-error.js";
import { isRateLimit } from "./consul/http/refusal.js";

interface ErrorContext {
  readonly prefix?: string | undefined;
  /** What the user can do about it, said where the prefix is known. */
  readonly advice?: string;
  readonly cause?: unknown;
}

/**
 * What the errors of a semaphore at work have in common. The message names the prefix and says what
 * to do, and the stack holds the line that called the semaphore. `structuredClone` and JSON keep the
 * fields. Bad options are a {@link SemaphoreOptionsError}, which is none of these.
 *
 * @example
 * ```ts
 * try {
 *   await sem.run((slot) => work({ signal: slot.signal }));
 * } catch (error) {
 *   if (!(error instanceof SemaphoreError)) throw error; // one of the work
 *   console.error(error.code, error.message);
 * }
 * ```
 */
export abstract class SemaphoreError extends cloneable(Error) {
  /** The name of the class. */
  abstract override readonly name: string;
  /** Which error it is; stable across versions. */
  abstract readonly code: string;
  /** As {@link SemaphoreOptions.prefix}. */
  readonly prefix: string | undefined;

  readonly #advice: string | undefined;

  /** @internal */
  constructor(message: string, { prefix, advice, cause }: ErrorContext = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.prefix = prefix;
    this.#advice = advice;
  }

  /**
   * What it says of the semaphore with that prefix.
   *
   * @internal
   */
  about(prefix: string): string {
    if (this.prefix !== undefined) return this.message;
    const advice = this.#advice === undefined ? "" : `: ${this.#advice}`;
    return `${this.message}: ${JSON.stringify(prefix)}${advice}`;
  }
}

/**
 * Another error that says the same of the semaphore with that prefix. Deep inside, where errors are
 * made, no prefix is known, and several callers may get the same one.
 */
export function withPrefix(error: SemaphoreError, prefix: string): SemaphoreError {
  const own: unknown = Object.create(Reflect.getPrototypeOf(error));
  if (!(own instanceof SemaphoreError)) return error;
  for (const name of Object.getOwnPropertyNames(error)) {
    // To read a stack is to have it written, which takes longer than all the rest.
    const field = name === "stack" ? undefined : Object.getOwnPropertyDescriptor(error, name);
    if (field !== undefined) Object.defineProperty(own, name, field);
  }
  Object.defineProperties(
    own,
    Object.getOwnPropertyDescriptors({ message: error.about(prefix), prefix }),
  );
  Error.captureStackTrace(own, withPrefix);
  return own;
}

/**
 * A semaphore was given options, or a call an argument, that it cannot work with; nothing was sent to
 * Consul. The message names the option and shows the value. It is a mistake in the program.
 *
 * @example
 * ```ts
 * try {
 *   consul.semaphorePrefix("jobs/resize", Number(process.env["RESIZERS"]));
 * } catch (error) {
 *   if (!(error instanceof SemaphoreOptionsError)) throw error;
 *   console.error(error.message);
 * }
 * ```
 */
export class SemaphoreOptionsError extends cloneable(TypeError) {
  /** The name of the class. */
  override readonly name = "SemaphoreOptionsError";
  /** Stable across versions. */
  readonly code = "SEMAPHORE_INVALID_OPTIONS";
}

/**
 * `acquire` or `destroy` on a semaphore that holds a slot (Go: `ErrSemaphoreHeld`). One that was lost
 * is held no longer.
 *
 * @example
 * ```ts
 * try {
 *   await sem.acquire();
 * } catch (error) {
 *   if (!(error instanceof SemaphoreHeldError)) throw error;
 *   const another = consul.semaphorePrefix("jobs/resize", 3); // a slot of its own
 *   await another.acquire();
 * }
 * ```
 */
export class SemaphoreHeldError extends SemaphoreError {
  override readonly name = "SemaphoreHeldError";
  readonly code = "SEMAPHORE_HELD";

  /** With Go's message, `Semaphore already held`, and advice for the call that was refused. */
  constructor(call: "acquire" | "destroy" = "acquire") {
    const advice =
      call === "acquire"
        ? "one acquire is one slot; use run(), or another Semaphore"
        : "release its slot first";
    super("Semaphore already held", { advice });
  }
}

/**
 * `release` on a semaphore that has no slot (Go: `ErrSemaphoreNotHeld`). `slot.release()` may be called
 * twice instead.
 *
 * @example
 * ```ts
 * await sem.release().catch((error: unknown) => {
 *   if (!(error instanceof SemaphoreNotHeldError)) throw error;
 * });
 * ```
 */
export class SemaphoreNotHeldError extends SemaphoreError {
  override readonly name = "SemaphoreNotHeldError";
  readonly code = "SEMAPHORE_NOT_HELD";

  /** With Go's message, `Semaphore not held`. */
  constructor() {
    super("Semaphore not held", {
      advice: "acquire first; slot.release() may be called twice",
    });
  }
}

/**
 * `acquire` and its like when the client has been closed, or is closed while they wait; and `run`
 * when that took the slot from under its function.
 *
 * @example
 * ```ts
 * try {
 *   await sem.run((slot) => work({ signal: slot.signal }));
 * } catch (error) {
 *   if (!(error instanceof SemaphoreClosedError)) throw error;
 *   console.log("shutting down");
 * }
 * ```
 */
export class SemaphoreClosedError extends SemaphoreError {
  override readonly name = "SemaphoreClosedError";
  readonly code = "SEMAPHORE_CLOSED";

  /** With the message `Semaphore closed`. */
  constructor() {
    super("Semaphore closed", { advice: "its client has been closed" });
  }
}

/**
 * `acquire` or `run` when the `timeout` of their {@link SemaphoreWait} is over. The message says how
 * many hold a slot, and how many wait ahead, as far as that is known.
 *
 * @example
 * ```ts
 * const onFailure = (error: unknown): void => {
 *   if (!(error instanceof SemaphoreTimeoutError)) throw error;
 *   console.error(error.message, error.ahead);
 * };
 * ```
 */
export class SemaphoreTimeoutError extends SemaphoreError {
  override readonly name = "SemaphoreTimeoutError";
  readonly code = "SEMAPHORE_TIMEOUT";
  /** The timeout, as it was given. */
  readonly timeout: Duration;
  /** How many held a slot. */
  declare readonly held?: number;
  /** The limit in Consul. */
  declare readonly limit?: number;
  /** How many waited ahead of this call. */
  declare readonly ahead?: number;

  /** With a message such as `no slot of "jobs/resize" within 30s: 3 of 3 held, 12 ahead`. */
  constructor(
    prefix: string,
    timeout: Duration,
    queue?: { readonly held: number; readonly limit: number; readonly ahead: number },
  ) {
    const time = typeof timeout === "number" ? goDuration(timeout) : timeout;
    const state = queue && `: ${queue.held} of ${queue.limit} held, ${queue.ahead} ahead`;
    super(`no slot of ${JSON.stringify(prefix)} within ${time}${state ?? ""}`, { prefix });
    this.timeout = timeout;
    if (queue === undefined) return;
    this.held = queue.held;
    this.limit = queue.limit;
    this.ahead = queue.ahead;
  }
}

/**
 * `destroy` while somebody holds a slot, or takes one at that moment (Go: `ErrSemaphoreInUse`).
 *
 * @example
 * ```ts
 * try {
 *   await sem.destroy();
 * } catch (error) {
 *   if (!(error instanceof SemaphoreInUseError)) throw error;
 *   console.error("still there:", (await sem.inspect()).holders);
 * }
 * ```
 */
export class SemaphoreInUseError extends SemaphoreError {
  override readonly name = "SemaphoreInUseError";
  readonly code = "SEMAPHORE_IN_USE";

  /** With Go's message, `Semaphore in use`. */
  constructor() {
    super("Semaphore in use", {
      advice: "its holders have to release first; inspect() names them",
    });
  }
}

/**
 * The lock entry's key holds something that no semaphore wrote, such as Consul's single lock
 * (Go: `ErrSemaphoreConflict`). Another prefix is needed, or that entry has to go.
 *
 * @example
 * ```ts
 * try {
 *   await sem.acquire();
 * } catch (error) {
 *   if (!(error instanceof SemaphoreConflictError)) throw error;
 *   console.error("something else is there:", error.message);
 * }
 * ```
 */
export class SemaphoreConflictError extends SemaphoreError {
  override readonly name = "SemaphoreConflictError";
  readonly code = "SEMAPHORE_CONFLICT";

  /** With Go's message, `Existing key does not match semaphore use`. */
  constructor() {
    super("Existing key does not match semaphore use", {
      advice: "use another prefix, or delete its .lock entry",
    });
  }
}

/**
 * Others use the prefix with another limit. The limit is set by the first contender and stays until
 * the semaphore is destroyed.
 *
 * @example
 * ```ts
 * try {
 *   await sem.acquire();
 * } catch (error) {
 *   if (!(error instanceof SemaphoreLimitConflictError)) throw error;
 *   console.error("the others have agreed on", error.lockLimit);
 * }
 * ```
 */
export class SemaphoreLimitConflictError extends SemaphoreError {
  override readonly name = "SemaphoreLimitConflictError";
  readonly code = "SEMAPHORE_LIMIT_CONFLICT";
  /** The limit in Consul. */
  readonly lockLimit: number;
  /** The limit of this semaphore. */
  readonly localLimit: number;

  /** With Go's message, `semaphore limit conflict (lock: 1, local: 2)`. */
  constructor(lockLimit: number, localLimit: number) {
    super(`semaphore limit conflict (lock: ${lockLimit}, local: ${localLimit})`, {
      advice: "use the same limit everywhere, adoptLimit, or resize()",
    });
    this.lockLimit = lockLimit;
    this.localLimit = localLimit;
  }
}

/**
 * The lock entry's value is not what a semaphore writes. The message shows it. As long as it stays,
 * nobody can acquire; `consul kv delete` of the lock entry puts an end to it.
 *
 * @example
 * ```ts
 * try {
 *   await sem.acquire();
 * } catch (error) {
 *   if (!(error instanceof SemaphoreDecodingError)) throw error;
 *   console.error("somebody has overwritten the lock entry:", error.message);
 * }
 * ```
 */
export class SemaphoreDecodingError extends SemaphoreError {
  override readonly name = "SemaphoreDecodingError";
  readonly code = "SEMAPHORE_LOCK_DECODING_FAILED";

  /** With Go's message, `lock decoding failed: …`. */
  constructor(problem: string, cause?: unknown) {
    super(`lock decoding failed: ${problem}`, {
      ...{
        advice: "use another prefix, or delete its .lock entry if that is nobody else's",
        cause,
      },
    });
  }
}

/**
 * Which request of a semaphore failed:
 *
 * - `SEMAPHORE_SESSION_FAILED`: that for a session, or the first renewal of one of yours.
 * - `SEMAPHORE_CONTENDER_FAILED`: that for the contender entry, the place in the queue.
 * - `SEMAPHORE_READ_FAILED`: reading the prefix, or one of its entries.
 * - `SEMAPHORE_UPDATE_FAILED`: a write to the lock entry, to get into a slot or out of it.
 * - `SEMAPHORE_LEAVE_FAILED`: taking the contender entry away.
 * - `SEMAPHORE_REMOVE_FAILED`: `destroy`.
 *
 * @example
 * ```ts
 * const onTheWayIn: SemaphoreRequestErrorCode = "SEMAPHORE_CONTENDER_FAILED";
 * ```
 */
export type SemaphoreRequestErrorCode =
  | "SEMAPHORE_SESSION_FAILED"
  | "SEMAPHORE_CONTENDER_FAILED"
  | "SEMAPHORE_READ_FAILED"
  | "SEMAPHORE_UPDATE_FAILED"
  | "SEMAPHORE_LEAVE_FAILED"
  | "SEMAPHORE_REMOVE_FAILED";

const FAILED_STEPS: Readonly<Record<SemaphoreRequestErrorCode, string>> = {
  SEMAPHORE_SESSION_FAILED: "failed to create session",
  SEMAPHORE_CONTENDER_FAILED: "failed to make contender entry",
  SEMAPHORE_READ_FAILED: "failed to read prefix",
  SEMAPHORE_UPDATE_FAILED: "failed to update lock",
  SEMAPHORE_LEAVE_FAILED: "failed to remove contender entry",
  SEMAPHORE_REMOVE_FAILED: "failed to remove semaphore",
};

/**
 * A request that the semaphore depends on failed, as a rule with a {@link ConsulError} as `cause`.
 * What may pass has been tried again already, for as long as the call says.
 *
 * @example
 * ```ts
 * try {
 *   await sem.acquire();
 * } catch (error) {
 *   if (!(error instanceof SemaphoreRequestError)) throw error;
 *   console.error(error.message);
 *   if (error.retryable) console.error("Consul is out of reach, or without a leader");
 * }
 * ```
 */
export class SemaphoreRequestError extends SemaphoreError {
  override readonly name = "SemaphoreRequestError";
  readonly code: SemaphoreRequestErrorCode;
  /**
   * Whether the same may succeed later: Consul was out of reach, not up yet, or without a leader.
   */
  readonly retryable: boolean;

  /** With the message that Go has for that step; `problem` is the rest of it, or the error behind it. */
  constructor(code: SemaphoreRequestErrorCode, problem: unknown) {
    super(
      `${FAILED_STEPS[code]}: ${problem instanceof Error ? problem.message : String(problem)}`,
      problem instanceof Error ? { cause: problem } : {},
    );
    this.code = code;
    this.retryable = problem instanceof ConsulError && problem.retryable;
  }
}

/**
 * Whether the same step is worth another try, within the patience that there is for outages. Where
 * nothing has ever answered, the address is probably wrong, and the caller gets the error at once.
 */
export function isTransient(error: unknown): boolean {
  const cause = error instanceof SemaphoreRequestError ? error.cause : error;
  if (!(cause instanceof ConsulError) || cause.neverAnswered) return false;
  return cause.retryable || mayBeOfAnother(cause);
}

/** How many times longer than usual the pause after a failure is: a rate limit asks for fewer requests. */
export function pauseFactor(error: unknown): number {
  const cause = error instanceof SemaphoreRequestError ? error.cause : error;
  return cause instanceof ConsulError && isRateLimit(cause.text ?? "") ? 4 : 1;
}

/**
 * The same, and answers that are none of Consul's too: they say nothing about whether a slot is still
 * there, or given back.
 */
export function isOutcomeUnknown(error: unknown): boolean {
  const cause = error instanceof SemaphoreRequestError ? error.cause : error;
  if (isTransient(error)) return true;
  if (!(cause instanceof ConsulError)) return false;
  return cause.code === "CONSUL_BAD_ANSWER" || cause.status === 401 || cause.status === 407;
}

/**
 * How a slot was lost:
 *
 * - `"session-expired"`: no renewal of its session succeeded for one TTL.
 * - `"session-invalidated"`: its session, or its contender entry, is gone from Consul.
 * - `"holder-removed"`: another client removed it from the lock's holders, or deleted the lock.
 * - `"monitor-failed"`: Consul could not be asked for two TTLs, or refused to say,
 *   whether the slot is still there.
 *
 * @example
 * ```ts
 * const isForced = (reason: SemaphoreLostReason) => reason === "session-invalidated";
 * ```
 */
export type SemaphoreLostReason =
  "session-expired" | "session-invalidated" | "holder-removed" | "monitor-failed";

const LOSSES: Readonly<Record<SemaphoreLostReason, string>> = {
  "session-expired": "its session could not be renewed in time",
  "session-invalidated": "its session or contender entry is gone",
  "holder-removed": "it is no longer among the holders",
  "monitor-failed": "Consul could not be asked whether it is still held",
};

/**
 * The slot is no longer ours, and others may be at work in it. The reason of `slot.signal`; and what
 * `run` rejects with when its function did not throw.
 *
 * @example
 * ```ts
 * try {
 *   await sem.run((slot) => work({ signal: slot.signal }));
 * } catch (error) {
 *   if (!(error instanceof SemaphoreLostError)) throw error;
 *   console.error("not done, or done by two at once:", error.reason);
 * }
 * ```
 */
export class SemaphoreLostError extends SemaphoreError {
  override readonly name = "SemaphoreLostError";
  readonly code = "SEMAPHORE_LOST";
  /** How it was lost. */
  readonly reason: SemaphoreLostReason;

  /** With a message that says what the reason means, and that of the cause. */
  constructor(reason: SemaphoreLostReason, cause?: unknown) {
    const problem = cause instanceof Error ? `: ${cause.message}` : "";
    super(`Semaphore slot lost: ${LOSSES[reason]}${problem}`, { cause });
    this.reason = reason;
  }
}

/**
 * The slot has been given back. The reason of `slot.signal` after `release`.
 *
 * @example
 * ```ts
 * slot.signal.addEventListener("abort", () => {
 *   const reason: unknown = slot.signal.reason;
 *   if (!(reason instanceof SemaphoreReleasedError)) console.error("slot lost:", reason);
 * });
 * ```
 */
export class SemaphoreReleasedError extends SemaphoreError {
  override readonly name = "SemaphoreReleasedError";
  readonly code = "SEMAPHORE_RELEASED";

  /** With the message `Semaphore slot released`, the prefix, and what to do. */
  constructor(prefix?: string) {
    const advice = "await what works in it before that";
    const about = prefix === undefined ? "" : `: ${JSON.stringify(prefix)}: ${advice}`;
    super(`Semaphore slot released${about}`, { prefix, advice });
  }
}
