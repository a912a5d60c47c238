import { join } from "node:path";

import commonJsPlugin from "@rollup/plugin-commonjs";
import { nodeResolve } from "@rollup/plugin-node-resolve";
import * as esbuild from "esbuild";
import * as rollup from "rollup";
import * as vite from "vite";
import { z } from "zod";

/** A program in one file, and what the bundler complained of. */
export interface Bundle {
  readonly file: string;
  readonly warnings: readonly string[];
}

/** `external` are packages that the bundle loads when it runs. */
export interface BundleOptions {
  readonly format: "esm" | "cjs";
  readonly external: readonly string[];
  readonly minify?: boolean;
}

export async function bundleWithEsbuild(
  program: string,
  folder: string,
  { format, external, minify = false }: BundleOptions,
): Promise<Bundle> {
  const file = join(folder, format === "esm" ? "program.mjs" : "program.cjs");
  const { warnings } = await esbuild.build({
    entryPoints: [program],
    outfile: file,
    bundle: true,
    platform: "node",
    format,
    minify,
    sourcemap: true,
    external: [...external],
    logLevel: "silent",
  });
  return { file, warnings: warnings.map(({ text }) => text) };
}

/** The ES module is the function that its types, written for CommonJS, have as a property. */
const commonjs = z
  .custom<typeof commonJsPlugin.default>((plugin) => typeof plugin === "function")
  .parse(commonJsPlugin);

export async function bundleWithRollup(
  program: string,
  folder: string,
  { format, external }: BundleOptions,
): Promise<Bundle> {
  const file = join(folder, format === "esm" ? "program.mjs" : "program.cjs");
  const warnings: string[] = [];
  const bundle = await rollup.rollup({
    input: program,
    external: (id) => external.some((name) => id === name || id.startsWith(`${name}/`)),
    plugins: [nodeResolve({ preferBuiltins: true }), commonjs()],
    onwarn: ({ message }) => warnings.push(message),
  });
  await bundle.write({ file, format, sourcemap: true });
  await bundle.close();
  return { file, warnings };
}

/** Bundles as a server-side framework does. */
export async function bundleWithVite(
  program: string,
  folder: string,
  { external }: BundleOptions,
): Promise<Bundle> {
  const warnings: string[] = [];
  const logger = vite.createLogger("silent");
  logger.warn = logger.warnOnce = (message) => warnings.push(message);
  await vite.build({
    root: join(program, ".."),
    configFile: false,
    customLogger: logger,
    ssr: { noExternal: true, external: [...external] },
    build: {
      ssr: program,
      outDir: folder,
      sourcemap: true,
      rolldownOptions: { output: { entryFileNames: "program.mjs" } },
    },
  });
  return { file: join(folder, "program.mjs"), warnings };
}
