import {
  ConsulConfigError,
  ConsulError,
  SemaphoreError,
  SemaphoreInUseError,
  SemaphoreLimitConflictError,
  SemaphoreLostError,
  SemaphoreOptionsError,
  SemaphoreTimeoutError,
} from "consul-semaphore";

import { UsageError } from "./arguments.js";
import { inOptions } from "./connection.js";
import { EXIT, exitCodeOf } from "./exit-codes.js";
import { printable } from "./printable.js";

/** How the program ends when it cannot do what it was told. */
export interface Failure {
  readonly exitCode: number;
  /** One line, which says what to do. */
  readonly line: string;
}

/** The program was told to end before it was done. */
export class InterruptedError extends Error {
  readonly signal: NodeJS.Signals;

  constructor(signal: NodeJS.Signals) {
    super(`ended by ${signal}`);
    this.signal = signal;
  }
}

/** The command could not be started. */
export class CommandError extends Error {
  readonly exitCode: number;

  constructor(command: string, cause: NodeJS.ErrnoException) {
    const found = cause.code !== "ENOENT";
    const advice = found ? "is it executable?" : "is it installed, and on the PATH?";
    super(`cannot run ${JSON.stringify(command)} (${cause.code ?? cause.message}): ${advice}`);
    this.exitCode = found ? EXIT.notExecutable : EXIT.notFound;
  }
}

export function failureOf(error: unknown): Failure {
  return { exitCode: exitCodeFor(error), line: printable(inOptions(messageOf(error))) };
}

function exitCodeFor(error: unknown): number {
  if (error instanceof InterruptedError) return exitCodeOf(error.signal);
  if (error instanceof CommandError) return error.exitCode;
  if (
    error instanceof UsageError ||
    error instanceof SemaphoreOptionsError ||
    error instanceof ConsulConfigError
  ) {
    return EXIT.usage;
  }
  if (error instanceof SemaphoreTimeoutError) return EXIT.noSlot;
  if (error instanceof SemaphoreLostError) return EXIT.lost;
  const answer = consulErrorOf(error);
  if (answer !== undefined) {
    return answer.code === "CONSUL_STATUS" && !answer.retryable ? EXIT.refused : EXIT.unreachable;
  }
  return error instanceof SemaphoreError ? EXIT.refused : EXIT.defect;
}

function consulErrorOf(error: unknown): ConsulError | undefined {
  if (error instanceof ConsulError) return error;
  return error instanceof SemaphoreError && error.cause instanceof ConsulError
    ? error.cause
    : undefined;
}

/** The library's own advice, where it is about code, is put in terms of commands. */
function messageOf(error: unknown): string {
  if (error instanceof UsageError) return `${error.message} (see --help)`;
  if (!(error instanceof Error)) return String(error);
  if (!(error instanceof SemaphoreError)) return error.message;
  const prefix = printable(error.prefix ?? "PREFIX");
  if (error instanceof SemaphoreLimitConflictError) {
    const { lockLimit, localLimit } = error;
    return (
      `the limit of ${JSON.stringify(prefix)} is ${lockLimit}, not ${localLimit}: use it, or ` +
      `--adopt-limit, or resize ${prefix} ${localLimit}`
    );
  }
  if (error instanceof SemaphoreInUseError) {
    return `${JSON.stringify(prefix)} is in use: its holders have to release first; inspect ${prefix} shows them`;
  }
  if (error instanceof SemaphoreTimeoutError) {
    return `${error.message}; inspect ${prefix} shows who holds`;
  }
  return error.message;
}
