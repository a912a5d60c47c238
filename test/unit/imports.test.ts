// No file of the sources imports itself by way of others, imports of types included.
import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";

import ts from "typescript";
import { expect, test } from "vitest";

/** The text of each file, by its path. */
type Files = ReadonlyMap<string, string>;

/** The package by its own name, as src/testing imports it. */
const ENTRY_POINTS: Readonly<Record<string, string>> = {
  "consul-semaphore": "src/index.ts",
  "consul-semaphore/testing": "src/testing/index.ts",
};

function sources(): Files {
  const paths = readdirSync("src", { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => posix.join("src", name.replaceAll("\\", "/")));
  return new Map(paths.sort().map((path) => [path, readFileSync(path, "utf8")]));
}

/** The modules that a text imports or exports from, in whichever form. */
function modulesIn(text: string): string[] {
  const modules: string[] = [];
  const visit = (node: ts.Node): void => {
    const module = moduleOf(node);
    if (module !== undefined && ts.isStringLiteralLike(module)) modules.push(module.text);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile("file.ts", text, ts.ScriptTarget.Latest));
  return modules;
}

function moduleOf(node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier;
  if (ts.isExternalModuleReference(node)) return node.expression;
  if (ts.isImportTypeNode(node)) {
    return ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined;
  }
  const isImportCall =
    ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword;
  return isImportCall ? node.arguments[0] : undefined;
}

/** The files that a file imports. Other packages are not followed. */
function importsOf(path: string, files: Files): string[] {
  return modulesIn(files.get(path) ?? "").flatMap((module) => {
    if (!module.startsWith(".")) return ENTRY_POINTS[module] ?? [];
    const imported = posix.join(posix.dirname(path), module.replace(/\.js$/, ".ts"));
    if (!files.has(imported)) throw new Error(`${path} imports ${module}, which is not there`);
    return imported;
  });
}

/** The cycles that a depth-first search meets: none only where there is none. */
function cyclesIn(files: Files): string[] {
  const cycles: string[] = [];
  const visited = new Set<string>();
  const visit = (path: string, importers: readonly string[]): void => {
    const start = importers.indexOf(path);
    if (start >= 0) cycles.push([...importers.slice(start), path].join(" → "));
    if (visited.has(path)) return;
    visited.add(path);
    for (const imported of importsOf(path, files)) visit(imported, [...importers, path]);
  };
  for (const path of files.keys()) visit(path, []);
  return cycles;
}

test("the sources have no import cycle", () => {
  const files = sources();
  expect(files.size).toBeGreaterThan(50);
  expect(cyclesIn(files)).toEqual([]);
});

test.each([
  'import { b } from "./b.js";',
  'import type { B } from "./b.js";',
  'import { c, type B } from "./b.js";',
  'import "./b.js";',
  'export * from "./b.js";',
  'export type * as b from "./b.js";',
  'export type { B } from "./b.js";',
  'type B = import("./b.js").B;',
  'const b = await import("./b.js");',
  'import b = require("./b.js");',
])("a cycle is found by way of %s", (text) => {
  const files = new Map([
    ["src/main.ts", 'import "./x/a.js";'],
    ["src/x/a.ts", text],
    ["src/x/b.ts", 'import "../c.js";'],
    ["src/c.ts", 'import type { A } from "./x/a.js";'],
  ]);
  expect(cyclesIn(files)).toEqual(["src/x/a.ts → src/x/b.ts → src/c.ts → src/x/a.ts"]);
});

test("a cycle is found by way of the package's own name", () => {
  const files = new Map([
    ["src/index.ts", 'export * from "./testing/index.js";'],
    ["src/testing/index.ts", 'import { ConsulClient } from "consul-semaphore";'],
  ]);
  expect(cyclesIn(files)).toEqual(["src/index.ts → src/testing/index.ts → src/index.ts"]);
});

test("two ways to one file, comments and texts are no cycle", () => {
  const files = new Map([
    ["src/a.ts", 'import "./b.js"; import "./c.js";'],
    ["src/b.ts", 'import "./c.js"; // import "./a.js";'],
    ["src/c.ts", "/** {@link import('./a.js').A} */ const text = `import \"./a.js\";`;"],
  ]);
  expect(cyclesIn(files)).toEqual([]);
});
