import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { messageOf } from "../test/harness/error-message.js";
import { runProgram } from "../test/harness/run-program.js";
import type { Program } from "./program.js";

/** The Go original as a program of the benchmark, or why there is none. */
export type GoOriginal =
  { readonly program: Program; readonly goVersion: string } | { readonly missing: string };

// Unpacking a toolchain takes a while where the mirror is far.
const buildWithinMs = 5 * 60_000;

export async function buildGoOriginal(): Promise<GoOriginal> {
  const folder = join(import.meta.dirname, "..", ".cache", "bench", "go");
  try {
    const output = await runProgram(join(import.meta.dirname, "go", "build"), [folder], {
      timeoutMs: buildWithinMs,
    });
    const goVersion = (await readFile(join(folder, "go-version"), "utf8")).trim();
    return { program: { command: output.trim(), args: [] }, goVersion };
  } catch (error) {
    return { missing: messageOf(error) };
  }
}
