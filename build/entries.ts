// Writes the entries of the package, and their types, beside what tsup has built.
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";

// To import CommonJS, Node reads it through for the names that it exports. In an entry so short that
// takes no time; in the implementation, it was a third of the time of the whole import on Node 20.
const names = namesIn("consul-semaphore.cjs");
const requireLines = ['"use strict";', 'const all = require("./consul-semaphore.cjs");'];
const exportLines = names.map((name) => `exports.${name} = all.${name};`);
await write("index.cjs", [...requireLines, ...exportLines]);
await write("index.d.cts", ['export * from "./consul-semaphore.cjs";']);
await writeModule("index", names);

// It requires the package by its name, and so the entry that is there by now. What tests load need
// not be there a millisecond sooner.
await writeModule("testing", namesIn("testing.cjs"));

/** The ES module that passes on what CommonJS has. */
async function writeModule(entry: string, names: readonly string[]): Promise<void> {
  // By name: `export *` of a CommonJS module would add a "module.exports" on a later Node.
  const nameLines = names.map((name) => `  ${name},`);
  await write(`${entry}.js`, ["export {", ...nameLines, `} from "./${entry}.cjs";`]);
  await write(`${entry}.d.ts`, [`export * from "./${entry}.cjs";`]);
}

function namesIn(file: string): readonly string[] {
  const implementation: unknown = createRequire(import.meta.url)(`../dist/${file}`);
  if (typeof implementation === "object" && implementation !== null) {
    return Object.keys(implementation);
  }
  throw new Error(`${file} exports nothing`);
}

async function write(file: string, lines: readonly string[]): Promise<void> {
  await writeFile(`dist/${file}`, lines.map((line) => `${line}\n`).join(""));
}
