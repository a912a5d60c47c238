import {
  ConsulConfigError,
  ConsulError,
  SemaphoreConflictError,
  SemaphoreError,
  SemaphoreInUseError,
  SemaphoreLimitConflictError,
  SemaphoreLostError,
  SemaphoreOptionsError,
  SemaphoreTimeoutError,
} from "consul-semaphore";

import { inOptions } from "./connection.js";
import {
  EXIT_USAGE,
  EXIT_UNREACHABLE,
  EXIT_DEFECT,
  EXIT_NO_SLOT,
  EXIT_LOST,
  EXIT_REFUSED,
} from "./exit-codes.js";
import { ExitError } from "./exit-error.js";
import { printable } from "./printable.js";

/** How the program ends when it cannot do what it was told. */
export interface Failure {
  readonly exitCode: number;
  /** One line, which says what to do. */
  readonly line: string;
}

export function failureOf(error: unknown): Failure {
  if (error instanceof Error && /invalid session ?ttl/i.test(error.message)) {
    const line = "--ttl is not within what Consul takes, by default 10s to 24h";
    return { exitCode: EXIT_USAGE, line };
  }
  return { exitCode: exitCodeFor(error), line: printable(messageOf(error)) };
}

function exitCodeFor(error: unknown): number {
  if (error instanceof ExitError) return error.exitCode;
  if (error instanceof SemaphoreOptionsError || error instanceof ConsulConfigError) {
    return EXIT_USAGE;
  }
  if (error instanceof SemaphoreTimeoutError) return EXIT_NO_SLOT;
  if (error instanceof SemaphoreLostError) return EXIT_LOST;
  const isSemaphores = error instanceof SemaphoreError;
  const answer = isSemaphores ? error.cause : error;
  if (answer instanceof ConsulError) {
    return answer.code === "CONSUL_STATUS" && !answer.retryable ? EXIT_REFUSED : EXIT_UNREACHABLE;
  }
  return isSemaphores ? EXIT_REFUSED : EXIT_DEFECT;
}

/** The library's own advice, where it is about code, is put in terms of commands. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!(error instanceof SemaphoreError)) return inOptions(error.message);
  const { message, prefix = "PREFIX" } = error;
  if (error instanceof SemaphoreLimitConflictError) {
    const { lockLimit, localLimit } = error;
    return (
      `the limit of ${JSON.stringify(prefix)} is ${lockLimit}, not ${localLimit}: use it, or ` +
      `--adopt-limit, or resize ${prefix} ${localLimit}`
    );
  }
  if (error instanceof SemaphoreConflictError) {
    return `${JSON.stringify(prefix)} is used by something other than a semaphore, such as "consul lock" without -n: use another prefix`;
  }
  if (error instanceof SemaphoreInUseError) {
    return `${JSON.stringify(prefix)} is in use: its holders have to release first; inspect ${prefix} shows them`;
  }
  return error instanceof SemaphoreTimeoutError
    ? `${message}; inspect ${prefix} shows who holds`
    : inOptions(message);
}
