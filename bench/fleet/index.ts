// Measures fleets of clients beside the Go original on a real Consul. `npm run bench:fleet -- --help`
import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { format } from "prettier";

import { messageOf } from "../../test/harness/error-message.js";
import { fleetFigure } from "../drawing/fleet-figure.js";
import { prepare, type Prepared } from "../prepare.js";
import type { Program } from "../program.js";
import { lineOfVerdict } from "../verdict.js";
import type { Fleet } from "./fleet.js";
import { isWithinLimit, judgeFleets } from "./fleet-goals.js";
import { fleetUsage, parseFleetOptions, type FleetOptions } from "./fleet-options.js";
import { failureOf, type FleetResult } from "./fleet-result.js";
import { fleetHeader, fleetLegend, fleetLines } from "./fleet-table.js";
import { measureFloor } from "./floor.js";
import { agentConfiguration, runFleet, type FleetOutcome, type FleetTrial } from "./run-fleet.js";

// The Consuls that were started are ended with this process, if it ends in its own way.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

try {
  const options = parseFleetOptions(process.argv.slice(2));
  if (options === "help") console.log(fleetUsage);
  else process.exitCode = await run(options);
} catch (error) {
  console.error(messageOf(error));
  process.exitCode = 1;
}

/** Resolves to what the process is to end with. */
async function run(options: FleetOptions): Promise<number> {
  const prepared = await prepare({ withGo: options.withGo });
  console.log(`\n${fleetHeader()}`);
  const results: FleetResult[] = [];
  const floors = new Map<string, number>();
  for (const fleet of options.fleets) {
    const floor = await floorOf(fleet, floors, prepared, options);
    const result = { ...(await measure(fleet, prepared, options)), floor };
    console.log(fleetLines(result).join("\n"));
    results.push(result);
  }
  const goals = judgeFleets(results);
  console.log(`\n${fleetLegend.join("\n")}\n\n${goals.map(lineOfVerdict).join("\n")}`);

  const { measureMs, rounds, json, plot } = options;
  const { machine } = prepared;
  const all = { machine, shape: { agentConfiguration, measureMs, rounds }, results, goals };
  await mkdir(dirname(json), { recursive: true });
  await writeFile(json, await format(JSON.stringify(all), { parser: "json", printWidth: 100 }));
  console.log(`\nAll figures are in ${json}`);
  if (plot !== undefined) {
    await mkdir(dirname(plot), { recursive: true });
    await writeFile(plot, fleetFigure(all));
    console.log(`The plot is ${plot}`);
  }
  const isMissed = options.check && goals.some(({ met }) => !met);
  return isMissed || !results.every(isWithinLimit) ? 1 : 0;
}

async function measure(
  fleet: Fleet,
  { binary, programs, original }: Prepared,
  { measureMs, rounds, withBare, withProfile }: FleetOptions,
): Promise<FleetResult> {
  const ours: FleetTrial = { binary, program: programs.fleet, fleet, measureMs };
  const ourRounds: FleetOutcome[] = [];
  const goRounds: FleetOutcome[] = [];
  const bareRounds: FleetOutcome[] = [];
  // In turn, so that what slows the machine for a while slows both.
  for (let round = 0; round < rounds; round += 1) {
    // What has failed once is not tried again: it may take long to fail.
    if (failureOf(ourRounds) === undefined) ourRounds.push(await runFleet(ours));
    if ("program" in original && failureOf(goRounds) === undefined) {
      const program = inFleet(original.program);
      goRounds.push(await runFleet({ ...ours, program, fleet: { ...fleet, processes: 1 } }));
    }
    if (withBare && failureOf(bareRounds) === undefined) {
      bareRounds.push(await runFleet({ ...ours, program: programs.bare }));
    }
  }
  return {
    fleet,
    ours: ourRounds,
    ...("program" in original ? { go: goRounds } : {}),
    ...(withBare ? { bare: bareRounds } : {}),
    counted: await runFleet({ ...ours, count: true }),
    ...(withProfile ? { profiled: await runFleet({ ...ours, profile: true }) } : {}),
  };
}

/** It depends on the hold and the limit alone. */
async function floorOf(
  { holdMs, limit }: Fleet,
  floors: Map<string, number>,
  { binary, programs }: Prepared,
  { measureMs }: FleetOptions,
): Promise<number> {
  const name = `${holdMs} ${limit}`;
  const floor =
    floors.get(name) ??
    (await measureFloor({ holdMs, limit }, { binary, program: programs.writes, measureMs }));
  floors.set(name, floor);
  return floor;
}

function inFleet({ command, args }: Program): Program {
  return { command, args: [...args, "-fleet"] };
}
