import { describe, expect, test } from "vitest";

import { readState } from "../../../src/protocol/semaphore-state.js";
import { contender, keys, lock } from "./stored-entries.js";

describe("a semaphore as users see it", () => {
  const early = { value: Buffer.from("host:1"), createIndex: 2n ** 60n };
  const late = { value: null, createIndex: 2n ** 60n + 1n };

  test("has its holders and its waiters in the order of their arrival", () => {
    const entries = [
      lock(2, ["b", "d", "gone"]),
      contender("a", { createIndex: 14n }),
      contender("b", { createIndex: 13n }),
      contender("c", { createIndex: 12n }),
      contender("d", { createIndex: 11n }),
    ];
    const { limit, holders, waiters } = readState(keys, entries);
    expect(limit).toBe(2);
    expect(holders.map(({ session }) => session)).toEqual(["d", "b"]);
    expect(waiters.map(({ session }) => session)).toEqual(["c", "a"]);
  });

  test("has no limit where nobody has used the prefix", () => {
    expect(readState(keys, [])).toEqual({ limit: undefined, holders: [], waiters: [] });
  });

  test("shows of each contender its session, its value and its index, and no more", () => {
    const { waiters } = readState(keys, [contender("a", early), contender("b", late)]);
    expect(waiters).toEqual([
      { session: "a", ...early },
      { session: "b", ...late },
    ]);
    for (const shown of waiters) {
      expect(Object.keys(shown)).toEqual(["session", "value", "createIndex"]);
    }
  });

  test("has a text for a value and a string for an index in JSON", () => {
    const { waiters } = readState(keys, [contender("a", early), contender("b", late)]);
    expect(JSON.parse(JSON.stringify(waiters))).toEqual([
      { session: "a", value: "host:1", createIndex: "1152921504606846976" },
      { session: "b", value: null, createIndex: "1152921504606846977" },
    ]);
  });
});
