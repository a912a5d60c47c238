import { isatty } from "node:tty";

import { exitCodeOf } from "./exit-codes.js";
import { ExitError } from "./exit-error.js";

const HANDLED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

/** What the terminal sends to every process in its foreground by itself. */
const FROM_TERMINAL: readonly NodeJS.Signals[] = ["SIGINT", "SIGQUIT"];

/** The same Ctrl-C may come twice: from the terminal, and from the program that started this one. */
const SAME_WITHIN_MS = 500;

/** The program was told to end before it was done. */
export function interruption(signal: NodeJS.Signals): ExitError {
  return new ExitError(`ended by ${signal}`, exitCodeOf(signal));
}

/** Takes the signals that would end this process. What to do about them changes as it goes on. */
export class Signals {
  #receive: (signal: NodeJS.Signals) => void;

  constructor(receive: (signal: NodeJS.Signals) => void) {
    this.#receive = receive;
    for (const name of HANDLED) {
      process.on(name, (signal) => {
        this.#receive(signal);
      });
    }
  }

  /** Hands them on to a child, but for those that the terminal has sent it already. */
  handOn(send: (signal: NodeJS.Signals) => void): void {
    // To ask `process.stdin` would have it not block any more, for the child as well.
    const inTerminal = [0, 1, 2].some((fd) => isatty(fd));
    this.#receive = (signal) => {
      if (!inTerminal || !FROM_TERMINAL.includes(signal)) send(signal);
    };
  }

  /** From now on there is only cleaning up to do, and another signal cuts that short. */
  finish(): void {
    const since = performance.now();
    this.#receive = (signal) => {
      if (performance.now() - since > SAME_WITHIN_MS) process.exit(exitCodeOf(signal));
    };
  }
}
