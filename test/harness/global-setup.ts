import type { TestProject } from "vitest/node";
import { locateConsul } from "./locate-consul.js";
import { startLocated } from "./start-consul.js";

declare module "vitest" {
  export interface ProvidedContext {
    /** The address of the Consul that all tests share. */
    consulAddress: string;
    /** Where it comes from, in words. */
    consulSource: string;
  }
}

/** Many test files with many clients each run side by side, all of them from one address. */
const SETTINGS = "limits { http_max_conns_per_client = 2000 }";

/** Starts the Consul that all integration tests share; the result stops it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const located = await locateConsul();
  const consul = await startLocated(located, SETTINGS);
  console.log(`Consul under test: ${consul.source}`);

  // Tests that start an agent of their own get the same Consul, without searching for it again.
  if (located.found.kind === "binary") process.env["CONSUL_BIN"] = located.found.path;
  if (located.found.kind === "image") process.env["CONSUL_IMAGE"] = located.found.name;

  project.provide("consulAddress", consul.address);
  project.provide("consulSource", consul.source);
  return () => consul.stop();
}
