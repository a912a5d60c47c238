import { expect, test } from "vitest";

import { plant, runCli } from "./mutant-run.js";
import { MUTANTS } from "./mutants.js";

const SEEDS = 1_500;

test.for(MUTANTS)("finds out: $name", { timeout: 400_000 }, async (mutant) => {
  const root = await plant(mutant);
  const { exitCode, output } = await runCli(
    [
      ...["--from", String(mutant.seed), "--seeds", String(SEEDS)],
      ...["--only", mutant.breaks, "--minutes", "6"],
    ],
    root,
  );
  expect(exitCode, output).toBe(1);
  expect(output).toMatch(new RegExp(`seed \\d+: ${mutant.breaks}:`));
});
