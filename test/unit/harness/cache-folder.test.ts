import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { cachedFolder } from "../../harness/cache-folder.js";

let cache = "";

beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), "cache-folder-"));
});

afterEach(async () => {
  await rm(cache, { recursive: true, force: true });
});

const write = (text: string) => (draft: string) => writeFile(join(draft, "file"), text);

test("is filled once", async () => {
  const folder = await cachedFolder("a", write("first"), cache);
  expect(await cachedFolder("a", write("second"), cache)).toBe(folder);
  expect(await readFile(join(folder, "file"), "utf8")).toBe("first");
});

test("two that fill it at once end with one whole folder", async () => {
  const folders = await Promise.all([
    cachedFolder("a", write("one"), cache),
    cachedFolder("a", write("one"), cache),
  ]);
  expect(new Set(folders).size).toBe(1);
  expect(await readdir(cache)).toEqual(["a"]);
});

test("a fill that fails leaves nothing behind, and the next one starts anew", async () => {
  const fails = async (draft: string) => {
    await write("half")(draft);
    throw new Error("the line went dead");
  };
  await expect(cachedFolder("a", fails, cache)).rejects.toThrow("the line went dead");
  expect(await readdir(cache)).toEqual([]);
  const folder = await cachedFolder("a", write("whole"), cache);
  expect(await readFile(join(folder, "file"), "utf8")).toBe("whole");
});

test("what a run that was cut off left behind is never used, and removed in time", async () => {
  const abandoned = join(cache, "a.draft-old");
  await mkdir(abandoned);
  await mkdir(join(cache, "a.draft-recent"));
  const twoHoursAgo = new Date(Date.now() - 2 * 60 * 60 * 1000);
  await utimes(abandoned, twoHoursAgo, twoHoursAgo);
  await cachedFolder("a", write("whole"), cache);
  expect((await readdir(cache)).sort()).toEqual(["a", "a.draft-recent"]);
});
