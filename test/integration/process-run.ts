import { spawn } from "node:child_process";
import { join } from "node:path";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

export interface ProcessRun {
  readonly code: number | null;
  /** What ended it, if it did not end by itself. */
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
  readonly errorOutput: string;
  /** From its output, which it writes when all its work is done, to its end; as it tells itself. */
  readonly lingeredMs: number;
}

/** Runs a program of `processes/` to its end; kills it when the limit is over. */
export async function runProcess(
  name: string,
  args: readonly string[],
  limitMs: number,
): Promise<ProcessRun> {
  const child = spawn(
    process.execPath,
    // What Node deprecates in the loader is no fault of the program's.
    [
      "--no-deprecation",
      "--import",
      "tsx",
      "--import",
      pathToFileURL(join(import.meta.dirname, "processes", "tell-lingering.ts")).href,
      join(import.meta.dirname, "processes", `${name}.ts`),
      ...args,
    ],
    { cwd: join(import.meta.dirname, "..", ".."), stdio: ["ignore", "pipe", "pipe", "pipe"] },
  );
  const timer = setTimeout(() => child.kill("SIGKILL"), limitMs);
  const end = new Promise<Pick<ProcessRun, "code" | "signal">>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      resolve({ code, signal });
    });
  });
  const pipes = child.stdio.filter((stream) => stream instanceof Readable);
  const [ending, ...said] = await Promise.all([end, ...pipes.map((pipe) => text(pipe))]);
  const [output = "", errorOutput = "", lingered = ""] = said;
  clearTimeout(timer);
  return { ...ending, output, errorOutput, lingeredMs: lingered === "" ? NaN : Number(lingered) };
}
