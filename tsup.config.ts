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

/**
 * Makes a function of what tsup builds, which requires nothing itself: an entry hands it the modules
 * that it needs. In a bundle that is an ES module a `require` fails. The function runs once, for the
 * first entry; a second one gets the same.
 */
const asFunction: Options = {
  banner: { js: "const implement = (function (require, module) {" },
  footer: {
    js: [
      "return module.exports;",
      "});",
      "let all;",
      "exports.define = (modules) => (all ??= implement((name) => modules[name], { exports: {} }));",
    ].join("\n"),
  },
};

const common: Options = {
  ...asFunction,
  format: ["cjs"],
  target: "node20.18",
  platform: "node",
  // `build/entries.ts` tells Node's modules by it.
  removeNodeProtocol: false,
};

// tsup gives TypeScript a baseUrl, which TypeScript 6 calls deprecated.
const compilerOptions = { ignoreDeprecations: "6.0" };

/**
 * One implementation for both kinds of entry, which `build/entries.ts` adds.
 *
 * - It is CommonJS, since Node 20.18 cannot `require` an ES module. A copy of it as an ES module would
 *   be 170 kB more, and a process that uses both kinds would have two of everything: errors that are
 *   not `instanceof` each other, and watches and connections that are not shared.
 * - The source maps hold lines and no sources (`build/compact.ts`), for stack traces. The sources
 *   would be 250 kB, more than all the rest.
 * - Not minified: the code is the source without its types and docs, module by module, with every name, so
 *   that debuggers, and stack traces without a map, show what there is to see.
 */
const semaphore: Options = {
  ...common,
  entry: { "consul-semaphore": "src/index.ts" },
  dts: { entry: { index: "src/index.ts" }, compilerOptions },
  sourcemap: true,
  esbuildPlugins: [withoutComments],
  // All are built at once.
  clean: ["!consul-in-memory.cjs", "!testing.d.cts", "!cli.cjs"],
};

/**
 * What is for tests, and nobody has to debug: minified and without a map it is a third as large, and
 * stack traces still have the names. It needs the other by the package's own name, for its
 * very classes: a copy would make clients that are not `instanceof` the service's `ConsulClient`.
 */
const testing: Options = {
  ...common,
  entry: { "consul-in-memory": "src/testing/index.ts" },
  dts: { entry: { testing: "src/testing/index.ts" }, compilerOptions },
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
