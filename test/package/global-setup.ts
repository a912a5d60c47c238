import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { TestProject } from "vitest/node";

import { makeConsumer } from "./consumer.js";
import { pack, type PackedPackage } from "./pack.js";
import { projectFolder } from "./project.js";
import { run } from "./run.js";

declare module "vitest" {
  export interface ProvidedContext {
    packed: PackedPackage;
    /** A project that has installed it. */
    consumerFolder: string;
  }
}

/** Builds and packs the package once for all tests; the result clears away. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "consul-semaphore-consumer-"));
  await run("npm", ["run", "build"], projectFolder);
  const packed = await pack(projectFolder, folder);
  await makeConsumer(folder, packed.tarball);
  project.provide("packed", packed);
  project.provide("consumerFolder", folder);
  return () => rm(folder, { recursive: true, force: true });
}
