import { spawn } from "node:child_process";

export interface CommandOptions {
  /** Added to the environment of this process. */
  readonly env: Readonly<Record<string, string>>;
  /** Sends SIGTERM to the command. */
  readonly signal: AbortSignal;
}

/** Resolves to the command's exit code when it has ended, and not before, whatever the signal does. */
export function runCommand(
  command: string,
  args: readonly string[],
  { env, signal }: CommandOptions,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: "inherit", env: { ...process.env, ...env } });
    const stop = (): void => {
      child.kill("SIGTERM");
    };
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop);
    child.once("error", reject);
    child.once("exit", (code) => {
      signal.removeEventListener("abort", stop);
      resolve(code ?? 1);
    });
  });
}
