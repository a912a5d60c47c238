import { readFile } from "node:fs/promises";

import { defineConfig, type Options } from "tsup";

type Plugin = NonNullable<Options["esbuildPlugins"]>[number];

/** Leaves comments to the sources, and docs to the types as well; each line stays where it is. */
const withoutComments: Plugin = {
  name: "without-comments",
  setup: (build) => {
    build.onLoad({ filter: /[/\\]src[/\\].*\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      const blank = (comment: string): string => comment.replace(/[^\n]/g, "");
      return { contents: text.replace(/^[ \t]*(?:\/\*\*[^]*?\*\/|\/\/.*)/gm, blank), loader: "ts" };
    });
  },
};

const common: Options = {
  format: ["cjs"],
  target: "node20.18",
  platform: "node",
  // tsup gives TypeScript a baseUrl, which TypeScript 6 calls deprecated.
  dts: { compilerOptions: { ignoreDeprecations: "6.0" } },
};

/**
 * One implementation, in CommonJS, to which `build/entries.ts` adds entries that pass it on, one of
 * them ESM.
 *
 * - Node 20.18 cannot `require` an ES module, so CommonJS has to be there in full; ESM can import it.
 *   A second copy would be 150 kB more, and a process that uses both would have two of everything:
 *   errors that are not `instanceof` each other, and watches and connections that are not shared.
 *   Nor would it load faster: undici is CommonJS, and zod has both.
 * - The source maps hold lines and no sources (`build/line-maps.ts`), for stack traces. The sources
 *   would be 250 kB, more than all the rest.
 * - Not minified: the code is the source without its types and docs, module by module, with every name, so
 *   that debuggers, and stack traces without a map, show what there is to see.
 */
const semaphore: Options = {
  ...common,
  entry: { "consul-semaphore": "src/index.ts" },
  sourcemap: true,
  esbuildPlugins: [withoutComments],
  // All are built at once.
  clean: ["!testing.*", "!cli.*"],
};

/**
 * What is for tests, and nobody has to debug: minified and without a map it is a third as large, and
 * stack traces still have the names. It requires the other by the package's own name, for its
 * very classes: a copy would make clients that are not `instanceof` the service's `ConsulClient`.
 */
const testing: Options = {
  ...common,
  entry: { testing: "src/testing/index.ts" },
  external: ["consul-semaphore"],
  minify: true,
  keepNames: true,
  esbuildOptions: (options) => {
    // Node prints the whole line where an error was thrown.
    options.lineLimit = 160;
  },
};

/** The command line, which nobody imports. It requires the package by its name as well. */
const cli: Options = {
  entry: { cli: "src/cli/index.ts" },
  format: ["cjs"],
  target: "node20.18",
  platform: "node",
  external: ["consul-semaphore"],
  minify: true,
};

export default defineConfig([semaphore, testing, cli]);
