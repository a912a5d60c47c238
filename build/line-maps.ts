// Thins out the source maps that tsup has made, so that they may go into the package: a stack trace
// under `node --enable-source-maps` needs to know the line, and what stands where in it weighs ten
// times as much, with the sources themselves.
import { readdir, readFile, writeFile } from "node:fs/promises";

import { addMapping, GenMapping, toEncodedMap } from "@jridgewell/gen-mapping";
import { eachMapping, TraceMap } from "@jridgewell/trace-mapping";

const dist = "./dist";
for (const file of await readdir(dist)) {
  if (!file.endsWith(".map")) continue;
  const path = `${dist}/${file}`;
  await writeFile(path, lineMap(await readFile(path, "utf8")));
  // The names of the files are in the map. The lines stay where they are.
  const code = path.slice(0, -".map".length);
  await writeFile(code, (await readFile(code, "utf8")).replace(/^\/\/ src\/.*$/gm, ""));
}

/** The same map with one mapping where a line of the sources begins, and without the sources. */
function lineMap(json: string): string {
  const map = new TraceMap(json);
  const lines = new GenMapping();
  let last = { generatedLine: 0, source: "", originalLine: 0 };
  eachMapping(map, ({ source, originalLine, generatedLine, generatedColumn }) => {
    if (source === null) return;
    const sameLine =
      last.generatedLine === generatedLine &&
      last.source === source &&
      last.originalLine === originalLine;
    if (sameLine) return;
    last = { generatedLine, source, originalLine };
    addMapping(lines, {
      generated: { line: generatedLine, column: generatedColumn },
      source,
      original: { line: originalLine, column: 0 },
    });
  });
  return JSON.stringify(toEncodedMap(lines));
}
