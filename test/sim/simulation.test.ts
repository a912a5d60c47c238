import { expect, test } from "vitest";

import { runCli } from "./mutants/mutant-run.js";

const SEEDS = 8;

test(`${SEEDS} seeds keep every promise, and do the same in however many processes`, async () => {
  const once = await runCli(["--seeds", String(SEEDS), "--jobs", "1"]);
  expect(once.exitCode, once.output).toBe(0);
  const again = await runCli(["--seeds", String(SEEDS), "--jobs", "2"]);
  const [hash] = /^hash: .*$/m.exec(once.output) ?? [];
  expect(hash).toBeDefined();
  expect(again.output).toContain(hash);
});
