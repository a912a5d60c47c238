import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { cleanPath, DEFAULT_SEMAPHORE_KEY, prefixKeys } from "../../../src/protocol/keys.js";

/** Prefix, `path.Clean` of it, and what it joins to with `s1` and `.lock`, as Go 1.19 answers. */
const JOINED_BY_GO: readonly (readonly [string, string, string, string])[] = [
  ["a", "a", "a/s1", "a/.lock"],
  ["a/", "a", "a/s1", "a/.lock"],
  ["a//", "a", "a/s1", "a/.lock"],
  ["a/b", "a/b", "a/b/s1", "a/b/.lock"],
  ["a//b", "a/b", "a/b/s1", "a/b/.lock"],
  ["./a", "a", "a/s1", "a/.lock"],
  ["a/.", "a", "a/s1", "a/.lock"],
  ["a/./b", "a/b", "a/b/s1", "a/b/.lock"],
  ["a/../b", "b", "b/s1", "b/.lock"],
  ["a/b/..", "a", "a/s1", "a/.lock"],
  ["a/b/../", "a", "a/s1", "a/.lock"],
  ["a/b/../../c", "c", "c/s1", "c/.lock"],
  ["a/./../b/.//c/", "b/c", "b/c/s1", "b/c/.lock"],
  ["jobs/resize///", "jobs/resize", "jobs/resize/s1", "jobs/resize/.lock"],
  ["...", "...", ".../s1", ".../.lock"],
  ["a/...", "a/...", "a/.../s1", "a/.../.lock"],
  ["..a", "..a", "..a/s1", "..a/.lock"],
  ["a/..b", "a/..b", "a/..b/s1", "a/..b/.lock"],
  [".a", ".a", ".a/s1", ".a/.lock"],
  ["a/.b/", "a/.b", "a/.b/s1", "a/.b/.lock"],
  ["é/日本/", "é/日本", "é/日本/s1", "é/日本/.lock"],
  ["a b/c", "a b/c", "a b/c/s1", "a b/c/.lock"],
  ["a%2Fb", "a%2Fb", "a%2Fb/s1", "a%2Fb/.lock"],
  ["a\\b/", "a\\b", "a\\b/s1", "a\\b/.lock"],
  ["a/ /b", "a/ /b", "a/ /b/s1", "a/ /b/.lock"],
  ["a\n/b", "a\n/b", "a\n/b/s1", "a\n/b/.lock"],
];

/** Paths at which no semaphore can be, with `path.Clean` of them, as Go 1.19 answers. */
const CLEANED_BY_GO: readonly (readonly [string, string])[] = [
  ["", "."],
  [".", "."],
  ["./", "."],
  ["./.", "."],
  ["a/..", "."],
  ["..", ".."],
  ["../", ".."],
  ["a/../..", ".."],
  ["a/b/../../..", ".."],
  ["../..", "../.."],
  ["../a", "../a"],
  ["../../a", "../../a"],
  ["a/../../b", "../b"],
  ["/", "/"],
  ["//", "/"],
  ["/a", "/a"],
  ["/a/", "/a"],
  ["//a", "/a"],
  ["/..", "/"],
  ["/../a", "/a"],
  ["/./a/..", "/"],
];

const anyPath = fc
  .array(fc.oneof(fc.constantFrom("", ".", "..", "...", ".lock", " "), fc.string()), {
    maxLength: 8,
  })
  .map((segments) => segments.join("/"));

/** A prefix at which a semaphore can be. */
const usablePrefix = anyPath.filter(
  (path) => path !== "" && !path.startsWith("/") && !/^\.{1,2}(\/|$)/.test(cleanPath(path)),
);

describe("cleaning a path", () => {
  const joined = JOINED_BY_GO.map(([path, clean]) => [path, clean] as const);

  test.each([...joined, ...CLEANED_BY_GO])(
    "turns %j into %j, as Go's path.Clean does",
    (path, clean) => {
      expect(cleanPath(path)).toBe(clean);
    },
  );

  test("changes nothing the second time", () => {
    fc.assert(
      fc.property(anyPath, (path) => {
        const once = cleanPath(path);
        expect(cleanPath(once)).toBe(once);
      }),
    );
  });

  test("leaves no empty segment, no inner dots and no slash at the end", () => {
    fc.assert(
      fc.property(anyPath, (path) => {
        const clean = cleanPath(path);
        expect(clean).not.toBe("");
        expect(clean).not.toContain("//");
        expect(`${clean}/`).not.toMatch(/(?:^|[^/.])\/\.{1,2}\//);
        if (clean !== "/") expect(clean.endsWith("/")).toBe(false);
      }),
    );
  });
});

describe("the keys of a prefix", () => {
  test.each(JOINED_BY_GO)(
    "of %j lie directly below %j: %j and %j, as Go's path.Join puts them",
    (prefix, clean, contender, lock) => {
      const keys = prefixKeys(prefix);
      expect(keys.prefix).toBe(`${clean}/`);
      expect(keys.contender("s1")).toBe(contender);
      expect(keys.lock).toBe(lock);
    },
  );

  test("name the lock entry as Go does", () => {
    expect(DEFAULT_SEMAPHORE_KEY).toBe(".lock");
  });

  test("are directly below what is listed, and hold no empty segment", () => {
    fc.assert(
      fc.property(usablePrefix, fc.uuid(), (prefix, session) => {
        const keys = prefixKeys(prefix);
        expect(keys.lock).toBe(`${keys.prefix}.lock`);
        expect(keys.contender(session)).toBe(`${keys.prefix}${session}`);
        expect(keys.tail(session)).toBe(`${keys.prefix}.tail/${session}`);
        expect(keys.tail(session).startsWith(keys.tails)).toBe(true);
        for (const key of [keys.prefix, keys.lock, keys.contender(session), keys.tail(session)]) {
          expect(key).not.toContain("//");
          expect(key.startsWith("/")).toBe(false);
        }
      }),
    );
  });

  test("are the same for all spellings of a prefix", () => {
    fc.assert(
      fc.property(usablePrefix, (prefix) => {
        const { prefix: listed } = prefixKeys(prefix);
        expect(prefixKeys(`${prefix}/`).prefix).toBe(listed);
        expect(prefixKeys(`./${prefix}//`).prefix).toBe(listed);
        expect(prefixKeys(`x/../${prefix}/.`).prefix).toBe(listed);
        expect(prefixKeys(listed).prefix).toBe(listed);
      }),
    );
  });

  test("of a prefix never match those of a neighbour whose name begins alike", () => {
    const keys = prefixKeys("jobs");
    expect(prefixKeys("jobs2").lock.startsWith(keys.prefix)).toBe(false);
  });
});
