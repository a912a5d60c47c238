import { constants } from "node:os";

/**
 * What the program ends with where it is not the code of a command. They are those of `sysexits.h`,
 * which few commands use.
 */
export const EXIT = {
  /** The command line, or the configuration, is wrong. */
  usage: 64,
  /** Consul cannot be reached. */
  unreachable: 69,
  /** A defect of this program. */
  defect: 70,
  /** No slot within the timeout. */
  noSlot: 75,
  /** The slot was lost while the command ran. */
  lost: 76,
  /** Consul or the semaphore says no. */
  refused: 77,
  /** The command cannot be executed, or is not there: as in a shell. */
  notExecutable: 126,
  notFound: 127,
} as const;

/** As a shell does for what a signal has ended. */
export function exitCodeOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}
