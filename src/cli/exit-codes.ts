import { constants } from "node:os";

// What the program ends with where it is not the code of a command. They are those of `sysexits.h`,
// which few commands use.

/** The command line, or the configuration, is wrong. */
export const EXIT_USAGE = 64;
/** Consul cannot be reached. */
export const EXIT_UNREACHABLE = 69;
/** A defect of this program. */
export const EXIT_DEFECT = 70;
/** No slot within the timeout. */
export const EXIT_NO_SLOT = 75;
/** The slot was lost while the command ran. */
export const EXIT_LOST = 76;
/** Consul or the semaphore says no. */
export const EXIT_REFUSED = 77;
/** The command cannot be executed, as in a shell, */
export const EXIT_NOT_EXECUTABLE = 126;
/** or is not there. */
export const EXIT_NOT_FOUND = 127;

/** As a shell does for what a signal has ended. */
export function exitCodeOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}
