import { expect, test } from "vitest";

import { LONG_QUEUES } from "./mutants/mutant.js";
import { plant, runCli } from "./mutants/mutant-run.js";

const SEEDS = 300;

/** Each kind of fault and each way out has to come up, or the simulation has grown weak. */
const COMES_UP = [
  "fault drop-request",
  "fault drop-answer",
  "fault cut-before",
  "fault cut-after",
  "fault refuse",
  "fault error-before",
  "fault error-after",
  "fault too-many",
  "fault false-answer-before",
  "fault false-answer-after",
  "fault duplicate",
  "fault freeze",
  "fault late-reads",
  "fault late-requests",
  "fault stall",
  "fault stop-front",
  "fault hang",
  "fault kill",
  "fault restart",
  "fault election",
  "fault agent-restart",
  "fault destroy-session",
  "fault delete-contender",
  "fault delete-lock",
  "fault restore",
  "loss session-expired",
  "loss session-invalidated (forced)",
  "loss holder-removed (forced)",
  "outcome aborted",
  "outcome null",
  "outcome resumed",
  "outcome run lost",
  "late write",
  "barger acquired",
  "barger released",
  "fault barger killed",
  "client closed",
  "client drained",
  "outcome timed out",
  "slot passed on",
  "turn runs",
  "limit raised",
  "limit lowered",
  "more holders than a lowered limit",
];

test(`${SEEDS} seeds keep every promise, and meet every fault`, { timeout: 180_000 }, async () => {
  const { exitCode, output } = await runCli(["--seeds", String(SEEDS)]);
  expect(exitCode, output).toBe(0);
  const counts = countsOf(output);
  for (const what of COMES_UP) expect(counts.get(what) ?? 0, what).toBeGreaterThan(0);
  expect(counts.get("acquisitions") ?? 0).toBeGreaterThan(SEEDS * 5);
});

test(
  `${SEEDS} seeds keep every promise with a tail in each queue`,
  { timeout: 180_000 },
  async () => {
    const root = await plant("none-in-long-queues", LONG_QUEUES);
    const { exitCode, output } = await runCli(["--seeds", String(SEEDS)], root);
    expect(exitCode, output).toBe(0);
  },
);

function countsOf(output: string): ReadonlyMap<string, number> {
  return new Map(
    [...output.matchAll(/^(.+): (\d+)$/gm)].map(([, what = "", count]) => [what, Number(count)]),
  );
}
