import { constants } from "node:os";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A program started by another one may get the same Ctrl-C twice: from the terminal and from it. */
const SAME_WITHIN_MS = 500;

/** Hears the wish to end early, and leaves time to clean up. Who asks twice need not wait. */
export class Interruption {
  readonly #controller = new AbortController();
  #exitCode = 0;
  #heardAt = 0;

  constructor() {
    for (const name of SIGNALS) {
      process.on(name, () => {
        this.#hear(128 + constants.signals[name]);
      });
    }
    // Whoever read our output has left, as `head` does.
    process.stdout.on("error", () => {
      this.#hear(1);
    });
  }

  /** Aborts at the first sign. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What the process is to end with, by the custom of shells. */
  get exitCode(): number {
    return this.#exitCode;
  }

  #hear(exitCode: number): void {
    if (!this.signal.aborted) {
      this.#exitCode = exitCode;
      this.#heardAt = performance.now();
      this.#controller.abort();
    } else if (performance.now() - this.#heardAt > SAME_WITHIN_MS) {
      process.exit(exitCode);
    }
  }
}
