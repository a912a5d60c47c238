import { runProgram } from "./run-program.js";

/**
 * The command line that runs a program so that the kernel ends it with this process, even when
 * this process is killed and can't see to it. Where the system can't do that, the plain one.
 */
export async function boundToParent(
  program: string,
  args: readonly string[],
): Promise<{ readonly program: string; readonly args: readonly string[] }> {
  const prefix = ["--pdeathsig", "KILL"];
  if (process.platform !== "linux") return { program, args };
  try {
    await runProgram("setpriv", [...prefix, "true"], { timeoutMs: 5_000 });
    return { program: "setpriv", args: [...prefix, program, ...args] };
  } catch {
    return { program, args };
  }
}
