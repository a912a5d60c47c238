import { mkdtemp, readFile } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, inject, it } from "vitest";
import { z } from "zod";

import {
  bundleWithEsbuild,
  bundleWithRollup,
  bundleWithVite,
  type BundleOptions,
} from "./bundlers.js";
import { runningNode } from "./node-versions.js";
import { run } from "./run.js";

const dependencies = ["undici", "zod"];
const consumer = inject("consumerFolder");

describe("a program in one file with the package", () => {
  const bundled = join(consumer, "bundled.mjs");
  const bothKinds = join(consumer, "both-kinds.cjs");

  const newFolder = (): Promise<string> => mkdtemp(join(consumer, "bundle-"));
  const outputOf = (file: string): Promise<string> =>
    run(runningNode.binary, ["--enable-source-maps", file], consumer);

  it.each<[string, BundleOptions]>([
    ["an ES module", { format: "esm", external: dependencies }],
    ["a minified ES module", { format: "esm", external: dependencies, minify: true }],
    ["CommonJS", { format: "cjs", external: dependencies }],
    ["CommonJS with all that it needs", { format: "cjs", external: [] }],
    ["minified CommonJS with all that it needs", { format: "cjs", external: [], minify: true }],
  ])("runs as %s by esbuild", async (_, options) => {
    const { file, warnings } = await bundleWithEsbuild(bundled, await newFolder(), options);
    expect(warnings).toEqual([]);
    expect(await outputOf(file)).toBe("held and lost\n");
  });

  it("has one of it where it both requires and imports it", async () => {
    const options: BundleOptions = { format: "cjs", external: dependencies };
    const { file, warnings } = await bundleWithEsbuild(bothKinds, await newFolder(), options);
    expect(warnings).toEqual([]);
    expect(await outputOf(file)).toBe("one of each\n");
  });

  it.each(["esm", "cjs"] as const)("runs as %s by rollup", async (format) => {
    const options: BundleOptions = { format, external: dependencies };
    const { file, warnings } = await bundleWithRollup(bundled, await newFolder(), options);
    expect(warnings).toEqual([]);
    expect(await outputOf(file)).toBe("held and lost\n");
  });

  it.each([
    ["without its dependencies", dependencies],
    ["with all that it needs", []],
  ])("runs as a Vite server build, %s", async (_, external) => {
    const options: BundleOptions = { format: "esm", external };
    const { file, warnings } = await bundleWithVite(bundled, await newFolder(), options);
    expect(warnings).toEqual([]);
    expect(await outputOf(file)).toBe("held and lost\n");
  });
});

const mapSchema = z.object({
  sourceRoot: z.string(),
  sources: z.array(z.string()),
  sourcesContent: z.array(z.string()),
});

/** webpack's `source-map-loader` and Vite's development server warn of a source they do not find. */
it("has bundlers look for no source that is not there", async () => {
  const file = join(consumer, "node_modules/consul-semaphore/dist/consul-semaphore.cjs.map");
  const map: unknown = JSON.parse(await readFile(file, "utf8"));
  const { sourceRoot, sources, sourcesContent } = mapSchema.parse(map);
  expect(sources.map((source) => `${sourceRoot}${source}`)).toContain("../src/semaphore.ts");
  expect(sourcesContent).toHaveLength(sources.length);
});
