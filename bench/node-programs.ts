import { rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "tsup";

import type { Program } from "./program.js";

const root = join(import.meta.dirname, "..");

const entries = {
  semaphore: join(import.meta.dirname, "load", "semaphore-process.ts"),
  runs: join(import.meta.dirname, "load", "runs-process.ts"),
  fleet: join(import.meta.dirname, "fleet", "fleet-process.ts"),
  bare: join(import.meta.dirname, "fleet", "bare-process.ts"),
  writes: join(import.meta.dirname, "load", "writes-process.ts"),
  proxy: join(import.meta.dirname, "wire", "counting-proxy-process.ts"),
};

export type NodePrograms = Readonly<Record<keyof typeof entries, Program>>;

/**
 * Compiles the programs, as users run the library: a loader of TypeScript in each process would
 * count as its memory and its CPU time. A change to the sources during a run has no effect on it.
 */
export async function buildNodePrograms(): Promise<NodePrograms> {
  const folder = join(root, ".cache", "bench", `node-${process.pid}`);
  process.once("exit", () => {
    rmSync(folder, { recursive: true, force: true });
  });
  await build({
    config: false,
    entry: entries,
    outDir: folder,
    format: "esm",
    target: "node20",
    clean: true,
    silent: true,
  });
  const program = (name: keyof typeof entries): Program => ({
    command: process.execPath,
    args: ["--no-deprecation", join(folder, `${name}.js`)],
  });
  return {
    semaphore: program("semaphore"),
    runs: program("runs"),
    fleet: program("fleet"),
    bare: program("bare"),
    writes: program("writes"),
    proxy: program("proxy"),
  };
}
