// Each link within the documents leads somewhere, and what the README names is there.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");

const DOCUMENTS = [
  ...readdirSync(root),
  ...["docs", "examples"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((file) =>
      join(folder, file),
    ),
  ),
].filter((file) => file.endsWith(".md"));

const textOf = (file: string): string =>
  readFileSync(join(root, file), "utf8").replaceAll(/^ *```[^]*?^ *```/gm, "");

/** The anchors of its headings, as GitHub makes them. */
function anchorsOf(file: string): readonly string[] {
  return [...textOf(file).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

test.each(DOCUMENTS)("the links of %s", (file) => {
  const links = [...textOf(file).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
  const dead = links.filter((link) => {
    if (/^https?:/.test(link)) return false;
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? file : join(dirname(file), path);
    if (!existsSync(join(root, target))) return true;
    return anchor !== undefined && !anchorsOf(target).includes(anchor);
  });
  expect(dead).toEqual([]);
});

// They are not in the package, so that the README cannot link them.
test("the pages and examples that the README names", () => {
  const named = [...textOf("README.md").matchAll(/`((?:docs|examples)\/[\w./-]+)`/g)];
  const paths = named.map(([, path = ""]) => path);
  expect(paths).not.toEqual([]);
  expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});
