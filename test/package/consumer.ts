import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { pack } from "./pack.js";
import { projectFolder } from "./project.js";
import { run } from "./run.js";

/**
 * Makes a project that has installed the package, as its users do. What it says it depends on is
 * there in the project's own copies: no registry is asked, and no new release turns a run red by
 * itself.
 */
export async function makeConsumer(folder: string, tarball: string): Promise<void> {
  const copyOf = async (dependency: string): Promise<string> => {
    const copy = await pack(join(projectFolder, "node_modules", dependency), folder);
    return `file:${copy.tarball}`;
  };
  const manifest = {
    name: "consumer",
    private: true,
    type: "module",
    devDependencies: { "@types/node": await copyOf("@types/node") },
    // Takes a copy for what is asked for, and installs none that is not.
    overrides: {
      undici: await copyOf("undici"),
      "undici-types": await copyOf("undici-types"),
      zod: await copyOf("zod"),
    },
  };
  await writeFile(join(folder, "package.json"), JSON.stringify(manifest));
  const options = ["--offline", "--ignore-scripts", "--no-audit", "--no-fund"];
  await run("npm", ["install", ...options, tarball], folder);
  await cp(join(import.meta.dirname, "consumers"), folder, { recursive: true });
}
