import { EXIT_USAGE } from "./exit-codes.js";

/** Why the program ends before it has done what it was told. */
export class ExitError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The command line is not one. The message says what to write. */
export class UsageError extends ExitError {
  constructor(problem: string) {
    super(`${problem} (see --help)`, EXIT_USAGE);
  }
}
