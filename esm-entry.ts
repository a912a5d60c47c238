// Writes the ESM entry of the package, and its types, beside what tsup has built.
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";

const implementation: unknown = createRequire(import.meta.url)("./dist/index.cjs");
if (typeof implementation !== "object" || implementation === null) {
  throw new Error("dist/index.cjs exports nothing");
}
// By name: `export *` of a CommonJS module would add a "module.exports" on a later Node.
const names = Object.keys(implementation).map((name) => `  ${name},\n`);
await writeFile("dist/index.js", `export {\n${names.join("")}} from "./index.cjs";\n`);
await writeFile("dist/index.d.ts", 'export * from "./index.cjs";\n');
