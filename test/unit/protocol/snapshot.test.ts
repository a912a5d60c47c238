import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { KVEntry } from "../../../src/consul/kv.js";
import { prefixKeys } from "../../../src/protocol/keys.js";
import {
  readLockEntry,
  readSnapshot,
  requireSameLimit,
  SEMAPHORE_FLAG_VALUE,
} from "../../../src/protocol/snapshot.js";
import {
  SemaphoreConflictError,
  SemaphoreDecodingError,
  SemaphoreLimitConflictError,
} from "../../../src/errors.js";
import { encodeLock } from "../../../src/protocol/lock-entry.js";

const keys = prefixKeys("jobs");

function entry(key: string, given: Partial<KVEntry> = {}): KVEntry {
  return {
    key,
    value: null,
    flags: SEMAPHORE_FLAG_VALUE,
    session: null,
    createIndex: 1n,
    modifyIndex: 1n,
    lockIndex: 0n,
    ...given,
  };
}

const contender = (session: string, given: Partial<KVEntry> = {}): KVEntry =>
  entry(keys.contender(session), { session, lockIndex: 1n, ...given });

const lock = (limit: number, holders: readonly string[], given: Partial<KVEntry> = {}): KVEntry =>
  entry(keys.lock, {
    value: Buffer.from(encodeLock({ limit, holders: new Set(holders) })),
    modifyIndex: 7n,
    ...given,
  });

describe("the flags of a semaphore's entries", () => {
  test("are Go's SemaphoreFlagValue to the last bit", () => {
    expect(SEMAPHORE_FLAG_VALUE).toBe(16210313421097356768n);
  });
});

describe("a snapshot of a prefix", () => {
  test("of no entries has no limit, no holders and no contenders", () => {
    expect(readSnapshot(keys, [])).toEqual({
      limit: undefined,
      holders: new Set(),
      contenders: [],
      lockIndex: 0n,
    });
  });

  test("without a lock entry has contenders only", () => {
    const snapshot = readSnapshot(keys, [contender("a"), contender("b")]);
    expect(snapshot.limit).toBeUndefined();
    expect(snapshot.lockIndex).toBe(0n);
    expect(snapshot.holders).toEqual(new Set());
    expect(snapshot.contenders.map(({ session }) => session)).toEqual(["a", "b"]);
  });

  test("has the limit, the living holders and the index of the lock entry", () => {
    const snapshot = readSnapshot(keys, [
      lock(3, ["a", "dead", "b"]),
      contender("a"),
      contender("b"),
      contender("c"),
    ]);
    expect(snapshot.limit).toBe(3);
    expect(snapshot.holders).toEqual(new Set(["a", "b"]));
    expect(snapshot.lockIndex).toBe(7n);
  });

  test("counts a holder as dead whose contender entry is held by nobody", () => {
    const released = contender("a", { session: null });
    expect(readSnapshot(keys, [lock(3, ["a"]), released]).holders).toEqual(new Set());
    expect(readSnapshot(keys, [lock(3, ["a"]), released]).contenders).toEqual([]);
  });

  test("counts a holder as alive whose session holds any entry of the listing, as Go does", () => {
    const other = entry("jobs/deeper/key", { session: "a" });
    expect(readSnapshot(keys, [lock(3, ["a"]), other]).holders).toEqual(new Set(["a"]));
  });

  test("takes for a contender only a session's own entry, directly below the prefix", () => {
    const snapshot = readSnapshot(keys, [
      entry("jobs/"),
      entry("jobs/a", { session: "b" }),
      entry("jobs/deeper/c", { session: "c" }),
      entry("jobs/d"),
      contender("e"),
      entry("jobs2/f", { session: "f" }),
      entry("jobs2/.lock", { session: "g", value: Buffer.from("no lock of ours") }),
    ]);
    expect(snapshot.contenders.map(({ session }) => session)).toEqual(["e"]);
    expect(snapshot.limit).toBeUndefined();
  });

  test("does not take a neighbour's lock entry, nor one further down, for its own", () => {
    const snapshot = readSnapshot(keys, [
      entry("jobs/deeper/.lock", { value: Buffer.from('{"Limit":9}') }),
      entry("jobs.lock", { value: Buffer.from('{"Limit":9}') }),
    ]);
    expect(snapshot.limit).toBeUndefined();
    expect(snapshot.lockIndex).toBe(0n);
  });

  test("shows what each contender is called and when it came", () => {
    const value = Uint8Array.of(1, 2, 255);
    expect(readSnapshot(keys, [contender("a", { value, createIndex: 42n })]).contenders).toEqual([
      { session: "a", value, createIndex: 42n },
    ]);
  });

  test("has the contenders in the order in which they came, which is not that of their names", () => {
    const snapshot = readSnapshot(keys, [
      contender("a", { createIndex: 30n, modifyIndex: 1n }),
      contender("b", { createIndex: 9n, modifyIndex: 3n }),
      contender("c", { createIndex: 20n, modifyIndex: 2n }),
    ]);
    expect(snapshot.contenders.map(({ session }) => session)).toEqual(["b", "c", "a"]);
  });

  test("tells indexes apart that are the same as doubles", () => {
    const base = 2n ** 53n;
    const snapshot = readSnapshot(keys, [
      contender("third", { createIndex: base + 2n }),
      contender("last", { createIndex: 2n ** 64n - 1n }),
      contender("second", { createIndex: base + 1n }),
      contender("last but one", { createIndex: 2n ** 64n - 2n }),
      contender("first", { createIndex: base }),
    ]);
    expect(snapshot.contenders.map(({ session }) => session)).toEqual([
      "first",
      "second",
      "third",
      "last but one",
      "last",
    ]);
  });

  const SESSIONS = ["a", "b", "c", "d", "e", "f"];
  const listing = fc
    .record({
      listed: fc.subarray(SESSIONS),
      present: fc.subarray(SESSIONS),
      limit: fc.integer({ min: 1, max: 5 }),
      indexes: fc.array(fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }), {
        minLength: SESSIONS.length,
        maxLength: SESSIONS.length,
      }),
      written: fc.boolean(),
    })
    .chain(({ listed, present, limit, indexes, written }) => {
      const contenders = present.map((session, position) =>
        contender(session, { createIndex: indexes[position] ?? 1n }),
      );
      const entries = written ? [lock(limit, listed), ...contenders] : contenders;
      return fc.record({
        listed: fc.constant<readonly string[]>(written ? listed : []),
        present: fc.constant(present),
        entries: fc.shuffledSubarray(entries, { minLength: entries.length }),
      });
    });

  test("has for holders exactly those in the lock whose session is there, in any order of entries", () => {
    fc.assert(
      fc.property(listing, ({ listed, present, entries }) => {
        const { holders } = readSnapshot(keys, entries);
        expect(holders).toEqual(new Set(listed.filter((session) => present.includes(session))));
      }),
    );
  });

  test("has each session that is there once among the contenders, the earlier ones first", () => {
    fc.assert(
      fc.property(listing, ({ present, entries }) => {
        const { contenders } = readSnapshot(keys, entries);
        expect(contenders.map(({ session }) => session).sort()).toEqual([...present].sort());
        const indexes = contenders.map(({ createIndex }) => createIndex);
        expect(indexes.every((index, i) => i === 0 || (indexes[i - 1] ?? 0n) <= index)).toBe(true);
      }),
    );
  });

  test("leaves the listing as it was", () => {
    const entries = Object.freeze([
      contender("b", { createIndex: 2n }),
      contender("a", { createIndex: 1n }),
    ]);
    readSnapshot(keys, entries);
    expect(entries.map(({ key }) => key)).toEqual(["jobs/b", "jobs/a"]);
  });
});

describe("a lock entry", () => {
  test("without flags, as Go's first release wrote it, is read", () => {
    expect(readSnapshot(keys, [lock(3, [], { flags: 0n })]).limit).toBe(3);
  });

  test.each([
    ["those of Consul's single lock", 0x2ddccbc058a50c18n],
    ["1", 1n],
    ["the semaphore's as a double", BigInt(Number(SEMAPHORE_FLAG_VALUE))],
    ["one less than the semaphore's", SEMAPHORE_FLAG_VALUE - 1n],
    ["one more than the semaphore's", SEMAPHORE_FLAG_VALUE + 1n],
    ["the greatest of all", 2n ** 64n - 1n],
  ])("with other flags is a conflict: %s", (_, flags) => {
    expect(() => readSnapshot(keys, [lock(3, [], { flags })])).toThrow(SemaphoreConflictError);
    expect(() => readLockEntry({ flags, value: null })).toThrow(
      "Existing key does not match semaphore use",
    );
  });

  test("may have any flags where it is not the lock entry", () => {
    expect(readSnapshot(keys, [contender("a", { flags: 1n })]).contenders).toHaveLength(1);
  });

  test("without a value counts as none, but is the one to swap", () => {
    const snapshot = readSnapshot(keys, [lock(3, [], { value: null })]);
    expect(snapshot.limit).toBeUndefined();
    expect(snapshot.lockIndex).toBe(7n);
    expect(readLockEntry({ flags: SEMAPHORE_FLAG_VALUE, value: null })).toBeNull();
  });

  test("that is not there says nothing", () => {
    expect(readLockEntry(null)).toBeNull();
  });

  test("with a value that no semaphore writes fails to decode", () => {
    const broken = lock(3, [], { value: Buffer.from("garbage") });
    expect(() => readSnapshot(keys, [broken])).toThrow(SemaphoreDecodingError);
    expect(() => readSnapshot(keys, [broken])).toThrow(/^lock decoding failed: /);
  });
});

describe("the limit of a prefix", () => {
  test("must be the same for all", () => {
    const snapshot = readSnapshot(keys, [lock(1, [])]);
    expect(() => {
      requireSameLimit(snapshot, 2);
    }).toThrow(new SemaphoreLimitConflictError(1, 2));
    expect(() => {
      requireSameLimit(snapshot, 2);
    }).toThrow("semaphore limit conflict (lock: 1, local: 2)");
  });

  test("is told by both sides of a conflict", () => {
    expect(new SemaphoreLimitConflictError(1, 2)).toMatchObject({
      code: "SEMAPHORE_LIMIT_CONFLICT",
      lockLimit: 1,
      localLimit: 2,
    });
  });

  test("conflicts with a lock that says nothing about it, as in Go", () => {
    const snapshot = readSnapshot(keys, [lock(3, [], { value: Buffer.from("null") })]);
    expect(() => {
      requireSameLimit(snapshot, 3);
    }).toThrow("semaphore limit conflict (lock: 0, local: 3)");
  });

  test.each([
    ["is the same", [lock(3, [])]],
    ["is not written yet", []],
    ["was written without a value", [lock(3, [], { value: null })]],
  ])("is no conflict where it %s", (_, entries) => {
    expect(() => {
      requireSameLimit(readSnapshot(keys, entries), 3);
    }).not.toThrow();
  });
});
