import { defineConfig } from "tsup";

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
 * - Not minified: the code is the source without its types, module by module, with every name, so
 *   that debuggers, and stack traces without a map, show what there is to see.
 */
export default defineConfig({
  entry: { "consul-semaphore": "src/index.ts" },
  format: ["cjs"],
  target: "node20.18",
  platform: "node",
  // tsup gives TypeScript a baseUrl, which TypeScript 6 calls deprecated.
  dts: { compilerOptions: { ignoreDeprecations: "6.0" } },
  sourcemap: true,
  clean: true,
});
