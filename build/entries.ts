// Writes the entries of the package beside what tsup has built, which is a function of the modules
// that it needs (`tsup.config.ts`): ES modules that import these, and CommonJS that requires them.
import { readFile, writeFile } from "node:fs/promises";

await writeEntries("index", "consul-semaphore");
await writeEntries("testing", "consul-in-memory");

async function writeEntries(entry: string, implementation: string): Promise<void> {
  const { modules, names } = await takeNotes(`${implementation}.cjs`);

  await write(`${entry}.cjs`, [
    '"use strict";',
    `const all = require("./${implementation}.cjs").define({`,
    ...modules.map((name) => `\t"${name}": require("${name}"),`),
    "});",
    ...names.map((name) => `exports.${name} = all.${name};`),
  ]);

  // To import CommonJS, Node reads it through for the names that it exports. In a file so short that
  // takes no time; in the implementation, it was a third of the time of the whole import on Node 20.
  const define = `${implementation}.define.cjs`;
  await write(define, [`exports.define = require("./${implementation}.cjs").define;`]);
  await write(`${entry}.js`, [
    `import { define } from "./${define}";`,
    ...modules.map(
      (name, index) => `import ${isCommonJs(name) ? "" : "* as "}m${index} from "${name}";`,
    ),
    "export const {",
    ...names.map((name) => `\t${name},`),
    "} = define({",
    ...modules.map((name, index) => `\t"${name}": m${index},`),
    "});",
  ]);
  await write(`${entry}.d.ts`, [`export * from "./${entry}.cjs";`]);
}

/** Whether what `require` gives is the default export; of an ES module it is the whole namespace. */
function isCommonJs(module: string): boolean {
  return /^(?:node:|undici\/)/.test(module);
}

interface Notes {
  /** What the implementation requires. */
  readonly modules: readonly string[];
  /** What it exports. */
  readonly names: readonly string[];
}

/** Reads in a file what it needs and has, and takes out the list of names that is there for Node. */
async function takeNotes(file: string): Promise<Notes> {
  const code = await readFile(`dist/${file}`, "utf8");
  const required = [...code.matchAll(/\brequire\("([^"]+)"\)/g)].map(([, name = ""]) => name);
  const list = /(?:\/\/ Annotate.*\n)?\b0\s*&&\s*\(module\.exports\s*=\s*\{([\w\s,]+)\}\);/;
  const [found, names] = list.exec(code) ?? [];
  if (found === undefined || names === undefined) throw new Error(`${file} exports nothing`);
  await writeFile(`dist/${file}`, code.replace(found, ""));
  return { modules: [...new Set(required)].sort(), names: names.match(/\w+/g) ?? [] };
}

async function write(file: string, lines: readonly string[]): Promise<void> {
  await writeFile(`dist/${file}`, lines.map((line) => `${line}\n`).join(""));
}
