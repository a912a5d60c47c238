// Makes smaller what tsup has built, so that it may go into the package: tabs instead of spaces, and
// source maps that know the line, as a stack trace under `node --enable-source-maps` needs it. What
// stands where in it weighs ten times as much, with the sources themselves.
import { readdir, readFile, writeFile } from "node:fs/promises";

import { addMapping, GenMapping, setSourceContent, toEncodedMap } from "@jridgewell/gen-mapping";
import { decodedMappings, TraceMap } from "@jridgewell/trace-mapping";

import { withoutInternalDocs } from "./internal-docs.js";
import { withTabs, type Tabbed } from "./tabs.js";

const dist = "./dist";
/** Where all sources are, as seen from there: it stands in a map once. */
const sources = "../src/";
/** For bundlers, which leave nothing out of a function. */
const PURE = "/* @__PURE__ */ ";
for (const file of await readdir(dist)) {
  const path = `${dist}/${file}`;
  if (file.endsWith(".d.cts")) {
    const types = withoutInternalDocs(file, await readFile(path, "utf8"));
    await writeFile(path, withTabs(file, types, 4).code);
  } else if (file === "consul-in-memory.cjs") {
    // No string goes on in a second line, where rollup's indentation would become part of it.
    const code = await readFile(path, "utf8");
    await writeFile(path, code.replace(/(?<=(?:^|[^\\])(?:\\\\)*)\\\n/g, ""));
  } else if (file.endsWith(".map")) {
    const codePath = path.slice(0, -".map".length);
    // Empty lines go, and comments: the names of the files are in the map, and the rest is of esbuild.
    // No string of the sources goes on in a second line.
    const lines = [...(await readFile(codePath, "utf8")).split("\n").entries()];
    const kept = lines.filter(([, line]) => !/^[ \t]*(?:$|\/\/ )/.test(line));
    const plain = kept.map(([, line]) => line.replaceAll(PURE, ""));
    const tabbed = withTabs(codePath, plain.join("\n"), 2);
    await writeFile(codePath, tabbed.code);
    await writeFile(path, lineMap(await readFile(path, "utf8"), tabbed, kept));
  }
}

/**
 * The map of the code with tabs: one mapping where a line of the sources begins.
 *
 * @param built where each line of the code stood, and what it was there
 */
function lineMap(
  json: string,
  { code, shifts }: Tabbed,
  built: readonly (readonly [place: number, line: string])[],
): string {
  const map = new TraceMap(json);
  const lines = new GenMapping({ sourceRoot: sources });
  const nameOf = (source: string | null | undefined): string => (source ?? "").replace(sources, "");
  const mappings = decodedMappings(map);
  for (const [index, codeLine] of code.split("\n").entries()) {
    // Nothing is called where there are only brackets, and words that go with them.
    if (/^[\s)\]};,]*(?:try|finally|else|break|continue|return)?[\s{([;]*$/.test(codeLine))
      continue;
    // Nor where a function or a block begins that only has names, unless it goes through a list.
    const begins = /^[\s\w#}]*(?:= (?:async )?)?\([\s\w,]*\) (?:=> )?\{$/;
    if (begins.test(codeLine) && !/\b(?:for|await)\b/.test(codeLine)) continue;
    // Nor by names and plain values alone, or where one is assigned to another.
    const isPlain =
      /^[\s\w:,;"{}]*$/.test(codeLine) || /^[\s\w;"#=]*$/.test(codeLine.replaceAll("this.#", "#"));
    if (isPlain && !/\b(?:await|new|throw|yield)\b/.test(codeLine)) continue;
    const indentation = codeLine.search(/\S/);
    // Of several in the indentation, the last is that of the code.
    const starts = new Map<number, { source: number; line: number }>();
    const [place = -1, was = ""] = built[index] ?? [];
    for (const [column, source, line] of mappings[place] ?? []) {
      if (source === undefined || line === undefined) continue;
      const dropped = (was.slice(0, column).split(PURE).length - 1) * PURE.length;
      starts.set(Math.max(indentation, column - dropped - (shifts[index] ?? 0)), { source, line });
    }
    let last = { source: -1, line: -1 };
    for (const [column, start] of starts) {
      if (start.source === last.source && start.line === last.line) continue;
      last = start;
      addMapping(lines, {
        generated: { line: index + 1, column },
        source: nameOf(map.sources[start.source]),
        original: { line: start.line + 1, column: 0 },
      });
    }
  }
  // Bundlers warn of a source that they find neither here nor on the disk. Here they are empty.
  for (const source of map.sources) setSourceContent(lines, nameOf(source), "");
  return JSON.stringify(toEncodedMap(lines));
}
