import { expect, test } from "vitest";

import { plant, runCli } from "./mutant-run.js";
import { MUTANTS } from "./mutants.js";

/** Some are found in one seed of hundreds. */
const SEEDS = 4_000;

test.for(MUTANTS)("finds out: $name", { timeout: 900_000 }, async (mutant) => {
  const root = await plant(mutant.name, [mutant, ...(mutant.circumstances ?? [])]);
  const { exitCode, output } = await runCli(
    [
      ...["--from", String(mutant.seed), "--seeds", String(SEEDS)],
      ...["--only", mutant.breaks, "--minutes", "14"],
    ],
    root,
  );
  expect(exitCode, output).toBe(1);
  expect(output).toMatch(new RegExp(`seed \\d+: ${mutant.breaks}:`));
});
