import { expect, test } from "vitest";

import { mostAtOnce, parseIntervals } from "../integration/intervals.js";

test.each([
  ["nobody", "", 0],
  ["one after the other", "a 1 2\nb 3 4\n", 1],
  ["the next at the very moment of the last", "a 1 2\nb 2 3\n", 1],
  ["two overlapping", "a 1 3\nb 2 4\n", 2],
  ["one around two", "a 1 9\nb 2 3\nc 4 5\n", 2],
  ["three at once", "a 1 9\nb 2 8\nc 3 7\nd 8 9\n", 3],
  [
    "beyond a double",
    "a 9007199254740993 9007199254740995\nb 9007199254740994 9007199254740996",
    2,
  ],
])("counts who is inside at once: %s", (_, records, most) => {
  expect(mostAtOnce(parseIntervals(records))).toBe(most);
});

test("refuses a record that is none", () => {
  expect(() => parseIntervals("a 1")).toThrow();
  expect(() => parseIntervals("a 1 x")).toThrow();
});
