// Measures this library beside the Go original on a real Consul. `npm run bench -- --help`
import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { format } from "prettier";

import { messageOf } from "../test/harness/error-message.js";
import { drawPlots } from "./drawing/draw-plots.js";
import { judge } from "./goals.js";
import { measure } from "./measure.js";
import { parseOptions, usage, type Options } from "./options.js";
import { prepare } from "./prepare.js";
import type { Results } from "./results.js";
import { beds } from "./scenario.js";
import { header, legend, lineOfTwoWrites, linesOf } from "./table.js";
import { lineOfVerdict } from "./verdict.js";

// The Consuls that were started are ended with this process, if it ends in its own way.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === "help") console.log(usage);
  else process.exitCode = await run(options);
} catch (error) {
  console.error(messageOf(error));
  process.exitCode = 1;
}

/** Resolves to what the process is to end with. */
async function run(options: Options): Promise<number> {
  const { machine, ...equipment } = await prepare();
  console.log(`\n${header()}`);
  const measured = await measure({
    ...{ ...equipment, options },
    tell: (result) => {
      for (const line of linesOf(result)) console.log(line);
    },
  });
  return conclude({ machine, measureMs: options.measureMs, ...measured }, options);
}

async function conclude(results: Results, options: Options): Promise<number> {
  console.log(`\n${legend.join("\n")}`);
  for (const bed of beds) {
    const outcome = results.twoWrites[bed];
    if (outcome !== undefined) console.log(lineOfTwoWrites(bed, outcome));
  }
  const verdicts = judge(results);
  if (verdicts.length > 0) console.log(`\n${verdicts.map(lineOfVerdict).join("\n")}`);

  await mkdir(dirname(options.out), { recursive: true });
  const json = JSON.stringify({ ...results, goals: verdicts });
  await writeFile(options.out, await format(json, { parser: "json", printWidth: 100 }));
  console.log(`\nAll figures are in ${options.out}`);
  if (options.plots !== undefined) {
    await drawPlots(results, options.plots);
    console.log(`The plots are in ${options.plots}`);
  }
  return options.check && verdicts.some(({ met }) => !met) ? 1 : 0;
}
