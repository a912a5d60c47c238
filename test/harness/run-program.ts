import { execFile } from "node:child_process";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** Runs a program to its end, within a bound, and gives what it wrote to its standard output. */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: { readonly timeoutMs: number; readonly cwd?: string },
): Promise<string> {
  try {
    const { stdout } = await execute(program, args, {
      timeout: options.timeoutMs,
      killSignal: "SIGKILL",
      maxBuffer: 16 * 1024 * 1024,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    return stdout;
  } catch (error) {
    throw new Error(`${program} ${describeFailure(error, options.timeoutMs)}`, { cause: error });
  }
}

function describeFailure(error: unknown, timeoutMs: number): string {
  if (!(error instanceof Error)) return String(error);
  if ("code" in error && error.code === "ENOENT") return "does not exist";
  if ("code" in error && error.code === "EACCES") return "may not be executed";
  if ("killed" in error && error.killed === true) {
    return `did not end within ${timeoutMs / 1000} s`;
  }
  const stderr = "stderr" in error && typeof error.stderr === "string" ? error.stderr.trim() : "";
  return `failed: ${stderr === "" ? error.message : lastLines(stderr, 3)}`;
}

function lastLines(text: string, count: number): string {
  return text.split("\n").slice(-count).join(" / ");
}
