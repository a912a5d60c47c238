import { spawn } from "node:child_process";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

import type { Edit } from "./mutant.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** How a run of the simulation's command line ended. */
export interface CliRun {
  readonly exitCode: number | null;
  readonly output: string;
}

/**
 * A changed copy of the library, and the simulation with it, below `.cache` so that the imports of
 * packages still resolve. Returns its root.
 */
export async function plant(name: string, edits: readonly Edit[]): Promise<string> {
  const root = path.join(ROOT, ".cache/mutants", name);
  await rm(root, { recursive: true, force: true });
  await mkdir(root, { recursive: true });
  for (const folder of ["src", "test/sim"]) {
    await cp(path.join(ROOT, folder), path.join(root, folder), { recursive: true });
  }
  for (const { file, search, replacement } of edits) {
    const target = path.join(root, file);
    const source = await readFile(target, "utf8");
    const parts = source.split(search);
    if (parts.length !== 2) {
      throw new Error(`${name}: the text is ${parts.length - 1} times in ${file}, expected once`);
    }
    await writeFile(target, parts.join(replacement));
  }
  return root;
}

/** Runs the command line of the simulation below `root`, to its end. */
export function runCli(args: readonly string[], root = ROOT): Promise<CliRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      ["--import", "tsx", path.join(root, "test/sim/cli.ts"), ...args],
      { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] },
    );
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    }
    child.on("error", reject);
    child.on("close", (exitCode) => {
      resolve({ exitCode, output });
    });
  });
}
