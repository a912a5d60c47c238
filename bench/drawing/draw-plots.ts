import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { Results } from "../results.js";
import { throughputFigure } from "./throughput-figure.js";
import { waitFigure } from "./wait-figure.js";

/** Draws the results into the folder. */
export async function drawPlots(results: Results, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "throughput.svg"), throughputFigure(results));
  await writeFile(join(folder, "acquire.svg"), waitFigure(results));
}
