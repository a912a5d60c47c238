import { spawn, type ChildProcess } from "node:child_process";

import { EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, exitCodeOf } from "./exit-codes.js";
import { ExitError } from "./exit-error.js";
import { complain } from "./output.js";

/** A command that runs as a child, without a shell, with the input and output of this process. */
export class Child {
  /** Resolves to its exit code, or rejects with an {@link ExitError} if it cannot be started. */
  readonly ended: Promise<number>;
  readonly #process: ChildProcess;

  constructor([command = "", ...args]: readonly string[], env: NodeJS.ProcessEnv) {
    const child = start(command, args, env);
    this.#process = child;
    this.ended = new Promise((resolve, reject) => {
      child.on("error", (error) => {
        if (child.pid === undefined) reject(notStarted(command, error));
        // As one of another user, which ends when it likes.
        else complain(`cannot signal the command (${error.message}), and waits for its end`);
      });
      child.once("exit", (code, signal) => {
        resolve(code ?? exitCodeOf(signal ?? "SIGKILL"));
      });
    });
  }

  send(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Asks it to end. Where it has not after the grace time, it is ended by force. */
  end(graceMs: number): void {
    this.send("SIGTERM");
    const timer = setTimeout(() => {
      this.send("SIGKILL");
    }, graceMs);
    this.#process.once("exit", () => {
      clearTimeout(timer);
    });
  }
}

function start(command: string, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  try {
    return spawn(command, args, { stdio: "inherit", env: { ...process.env, ...env } });
  } catch (error) {
    throw error instanceof Error ? notStarted(command, error) : error;
  }
}

function notStarted(command: string, { code = "", message }: NodeJS.ErrnoException): ExitError {
  const isThere = code !== "ENOENT";
  const advice = isThere ? "is it executable?" : "is it installed, and on the PATH?";
  return new ExitError(
    `cannot run ${JSON.stringify(command)} (${code || message}): ${advice}`,
    isThere ? EXIT_NOT_EXECUTABLE : EXIT_NOT_FOUND,
  );
}
