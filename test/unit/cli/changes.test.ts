import { expect, test } from "vitest";

import { changesBetween } from "../../../src/cli/changes.js";
import type { Member, PrefixView } from "../../../src/cli/prefix-view.js";

/** A view in short: `a` came at index 1, `a5` at 5. */
function viewOf(holders: string, waiters = "", dead = ""): PrefixView {
  const words = (text: string): string[] => text.split(" ").filter((word) => word !== "");
  const members = (text: string): Member[] =>
    words(text).map((word) => ({
      ...{ session: word.slice(0, 1), value: "" },
      index: BigInt(word.slice(1) || 1),
    }));
  return {
    ...{ limit: 2, index: 9n, dead: words(dead) },
    ...{ holders: members(holders), waiters: members(waiters) },
  };
}

test.each<[string, PrefixView | undefined, PrefixView, string[]]>([
  ["the first view", undefined, viewOf("a", "b", "c"), ["c dies", "a acquires", "b waits"]],
  ["nothing", viewOf("a", "b", "c"), viewOf("a", "b", "c"), []],
  ["a newcomer waits", viewOf("a"), viewOf("a", "b"), ["b waits"]],
  ["a newcomer has a slot at once", viewOf("a"), viewOf("a b"), ["b acquires"]],
  ["a waiter has its turn", viewOf("a", "b"), viewOf("b"), ["a releases", "b acquires"]],
  ["a waiter gives up", viewOf("a", "b"), viewOf("a"), ["b leaves"]],
  ["a holder dies", viewOf("a", "b"), viewOf("", "b", "a"), ["a dies"]],
  ["its slot goes on", viewOf("", "b", "a"), viewOf("b"), ["a is freed", "b acquires"]],
  ["a holder is removed", viewOf("a", "b"), viewOf("b", "a"), ["b acquires", "a loses", "a waits"]],
  ["one turn more", viewOf("a3"), viewOf("a7"), ["a releases", "a acquires"]],
])("%s", (_, before, after, expected) => {
  const changes = changesBetween(before, after);
  expect(changes.map(({ session, type }) => `${session} ${type}`)).toEqual(expected);
});
