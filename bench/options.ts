import { join } from "node:path";
import { parseArgs } from "node:util";

import { scenarios, type Scenario } from "./scenario.js";

export interface Options {
  readonly scenarios: readonly Scenario[];
  /** How long each trial is measured, where few contend. */
  readonly measureMs: number;
  readonly rounds: number;
  /** Where the results go. */
  readonly out: string;
  /** The folder for the plots, if there are to be any. */
  readonly plots: string | undefined;
  /** Whether a goal that is missed makes it fail. */
  readonly check: boolean;
}

export const usage = `npm run bench -- [options]

  --only NAME     this scenario only, such as dev:8:0, dev:10x10:20 or cluster:100:0
                  (bed:contenders:hold in ms; a part such as "dev" or "dev:100" stands for all of it)
                  may be given several times
  --quick         on a dev agent only, without hold, shorter
  --seconds N     how long each trial is measured, twice that from 100 contenders on (default: 1.5)
  --rounds N      how often each program is measured, in turn (default: 3;
                  on the cluster no more than 2, with a hold once)
  --out FILE      where the results go
                  (default: bench/results/latest.json, of a part .cache/bench/results.json)
  --plots FOLDER  where the plots go (default: bench/plots, of a part none)
  --check         fail when a goal is missed
`;

/** @throws Error for options that make no sense. */
export function parseOptions(args: readonly string[]): Options | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: "boolean", short: "h", default: false },
      quick: { type: "boolean", default: false },
      only: { type: "string", multiple: true, default: [] },
      seconds: { type: "string" },
      rounds: { type: "string" },
      out: { type: "string" },
      plots: { type: "string" },
      check: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const chosen = scenarios
    .filter(({ bed, holdMs }) => !values.quick || (bed === "dev" && holdMs === 0))
    .filter(({ name }) => values.only.length === 0 || values.only.some((part) => has(name, part)));
  if (chosen.length === 0) {
    throw new Error(`no such scenario: ${values.only.join(", ")}`);
  }
  const whole = chosen.length === scenarios.length;
  const root = join(import.meta.dirname, "..");
  return {
    scenarios: chosen,
    measureMs: 1_000 * positive("--seconds", values.seconds ?? (values.quick ? "1" : "1.5")),
    rounds: positive("--rounds", values.rounds ?? (values.quick ? "2" : "3")),
    out:
      values.out ??
      (whole
        ? join(root, "bench", "results", "latest.json")
        : join(root, ".cache", "bench", "results.json")),
    plots: values.plots ?? (whole ? join(root, "bench", "plots") : undefined),
    check: values.check,
  };
}

function has(name: string, part: string): boolean {
  return name === part || name.startsWith(`${part}:`);
}

export function positive(option: string, text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new Error(`${option} must be a positive number, and is ${text}`);
}

export function positiveInteger(option: string, text: string): number {
  const value = positive(option, text);
  if (Number.isInteger(value)) return value;
  throw new Error(`${option} must be a positive whole number, and is ${text}`);
}
