import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { z } from "zod";

export const projectFolder = join(import.meta.dirname, "..", "..");

const manifestSchema = z.object({ engines: z.object({ node: z.string().startsWith(">=") }) });

/** The oldest Node that the package says it runs on. */
export async function oldestNode(): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(join(projectFolder, "package.json"), "utf8"));
  return manifestSchema.parse(manifest).engines.node.slice(">=".length);
}
