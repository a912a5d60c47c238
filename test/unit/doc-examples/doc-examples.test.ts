// The examples in the comments of the sources, which are those of the reference as well, in the README
// and in docs.
import { readdirSync } from "node:fs";
import { join } from "node:path";

import { expect, test } from "vitest";
import { z } from "zod";

import { entryPoints, namesWithoutExample, problemsOf, readJson } from "./compile.js";
import { examplesIn } from "./examples.js";

/** It takes a compiler some seconds, and more on a busy machine. */
const LONG = 60_000;

const filesIn = (folder: string, ending: string): readonly string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(ending))
    .map((file) => join(folder, file));

test(
  "each example compiles, with no more than the package and a few names",
  { timeout: LONG },
  () => {
    const inSources = filesIn("src", ".ts").flatMap(examplesIn);
    const inReadme = examplesIn("README.md");
    const inDocs = filesIn("docs", ".md").flatMap(examplesIn);
    for (const examples of [inSources, inReadme, inDocs]) expect(examples).not.toEqual([]);
    expect(problemsOf([...inSources, ...inReadme, ...inDocs])).toEqual([]);
  },
);

test("each exported name has an example", { timeout: LONG }, () => {
  expect(namesWithoutExample()).toEqual([]);
});

test("one that does not compile is told, with its line", { timeout: LONG }, () => {
  const text = ["const slot = await sem.acquire();", "await slot.relese();"].join("\n");
  expect(problemsOf([{ file: "README.md", line: 10, text }])).toEqual([
    "README.md:11: Property 'relese' does not exist on type 'SemaphoreSlot'. " +
      "Did you mean 'release'?",
  ]);
});

test("the reference is that of all entry points", () => {
  const { entryPoints: documented } = z
    .object({ entryPoints: z.array(z.string()) })
    .parse(readJson("typedoc.json"));
  const all = [...entryPoints().values()].map((file) => file.replace(/^\.\//, ""));
  expect(documented.sort()).toEqual(all.sort());
});
