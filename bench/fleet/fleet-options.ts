import { join } from "node:path";
import { parseArgs } from "node:util";

import { positive, positiveInteger } from "../options.js";
import { fleets, parseFleet, type Fleet } from "./fleet.js";

export interface FleetOptions {
  readonly fleets: readonly Fleet[];
  readonly measureMs: number;
  readonly rounds: number;
  readonly withGo: boolean;
  /** Whether a bare queue is measured as well. */
  readonly withBare: boolean;
  readonly withProfile: boolean;
  /** Where the results go. */
  readonly json: string;
  /** Where the plot goes, if there is to be one. */
  readonly plot: string | undefined;
  /** Whether a goal that is missed makes it fail. */
  readonly check: boolean;
}

export const fleetUsage = `npm run bench:fleet -- [options]

  --only FLEETS   these fleets only, such as 32x0,100x20,300x20x10,50x0/50: clients, ms of hold, the
                  limit (default: 2), and after a slash into how many processes our clients are divided
                  (default: 1); also others than those that are measured by default
  --seconds N     how long each program is measured in a round, after a warm-up (default: 5)
  --rounds N      how often each program is measured, in turn (default: 3)
  --no-go         without the Go original
  --bare          also a queue of the same kind that has none of the library's duties
  --profile       also what our process does in a cycle, in a pass of its own
  --json FILE     where the results go
                  (default: bench/results/fleet.json, of a part .cache/bench/fleet.json)
  --plot FILE     where the plot goes (default: bench/plots/fleet.svg, of a part none)
  --check         fail when a goal is missed

It always fails when more hold a slot at once than the limit allows.
`;

/** @throws Error for options that make no sense. */
export function parseFleetOptions(args: readonly string[]): FleetOptions | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: "boolean", short: "h", default: false },
      only: { type: "string" },
      seconds: { type: "string", default: "5" },
      rounds: { type: "string", default: "3" },
      "no-go": { type: "boolean", default: false },
      bare: { type: "boolean", default: false },
      profile: { type: "boolean", default: false },
      json: { type: "string" },
      plot: { type: "string" },
      check: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const isWhole = values.only === undefined;
  const bench = join(import.meta.dirname, "..");
  return {
    fleets: values.only === undefined ? fleets : values.only.split(",").map(parseFleet),
    measureMs: 1_000 * positive("--seconds", values.seconds),
    rounds: positiveInteger("--rounds", values.rounds),
    withGo: !values["no-go"],
    withBare: values.bare,
    withProfile: values.profile,
    json:
      values.json ??
      (isWhole
        ? join(bench, "results", "fleet.json")
        : join(bench, "..", ".cache", "bench", "fleet.json")),
    plot: values.plot ?? (isWhole ? join(bench, "plots", "fleet.svg") : undefined),
    check: values.check,
  };
}
