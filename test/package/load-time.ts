import { dirname } from "node:path";

import { runningNode } from "./node-versions.js";
import { run } from "./run.js";

/** In milliseconds of the processor. */
export interface LoadTimes {
  /** The least time that it took to load undici and zod. */
  readonly dependencies: number;
  /** The same for the package, which loads them too. */
  readonly all: number;
}

const leastRounds = 6;
const mostRounds = 40;

/**
 * Lets a program load both in turn, each time in a process of its own. The minima come nearest to
 * what there is without other work on the machine, which can only add. So rounds go on until the
 * ratio is within the bound, or until there were so many that it never will be.
 */
export async function loadTimes(program: string, bound: number): Promise<LoadTimes> {
  let dependencies = Infinity;
  let all = Infinity;
  for (let round = 1; round <= mostRounds; round++) {
    dependencies = Math.min(dependencies, await timeToLoad(program, "undici", "zod"));
    all = Math.min(all, await timeToLoad(program, "consul-semaphore"));
    if (round >= leastRounds && all < dependencies * bound) break;
  }
  return { dependencies, all };
}

async function timeToLoad(program: string, ...names: readonly string[]): Promise<number> {
  return Number(await run(runningNode.binary, [program, ...names], dirname(program)));
}
