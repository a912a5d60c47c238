import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { KVEntry } from "../../../src/consul/kv.js";
import { SemaphoreConflictError, SemaphoreDecodingError } from "../../../src/errors.js";
import { liveHolders, readSnapshot, readTail } from "../../../src/protocol/snapshot.js";
import { contender, entry, keys, lock } from "./stored-entries.js";

const sessionsOf = (entries: readonly KVEntry[]): readonly string[] =>
  readSnapshot(keys, entries).contenders.map(({ session }) => session);

describe("a snapshot of a prefix", () => {
  test("of no entries has no limit, no holders and no contenders", () => {
    expect(readSnapshot(keys, [])).toEqual({
      lock: { limit: undefined, holders: new Set(), modifyIndex: 0n },
      dead: new Map(),
      contenders: [],
    });
  });

  test("without a lock entry has contenders only", () => {
    const entries = [contender("a"), contender("b", { createIndex: 2n })];
    expect(readSnapshot(keys, entries).lock).toEqual({
      limit: undefined,
      holders: new Set(),
      modifyIndex: 0n,
    });
    expect(sessionsOf(entries)).toEqual(["a", "b"]);
  });

  test("has the limit, all holders and the index of the lock entry", () => {
    const entries = [lock(3, ["a", "dead", "b"]), contender("a"), contender("b")];
    expect(readSnapshot(keys, entries).lock).toEqual({
      limit: 3,
      holders: new Set(["a", "dead", "b"]),
      modifyIndex: 7n,
    });
  });

  test("takes for a contender only a session's own entry, directly below the prefix", () => {
    const entries = [
      entry("jobs/"),
      entry("jobs/a", { session: "b" }),
      entry("jobs/deeper/c", { session: "c" }),
      entry("jobs/d"),
      contender("e"),
      entry("jobs2/f", { session: "f" }),
      entry("jobs2/.lock", { session: "g", value: Buffer.from("no lock of ours") }),
    ];
    expect(sessionsOf(entries)).toEqual(["e"]);
    expect(readSnapshot(keys, entries).lock.limit).toBeUndefined();
  });

  test("does not take a neighbour's lock entry, nor one further down, for its own", () => {
    const { lock } = readSnapshot(keys, [
      entry("jobs/deeper/.lock", { value: Buffer.from('{"Limit":9}') }),
      entry("jobs.lock", { value: Buffer.from('{"Limit":9}') }),
    ]);
    expect(lock).toMatchObject({ limit: undefined, modifyIndex: 0n });
  });

  test("shows what each contender is called, when it came, and what a query on its entry needs", () => {
    const given = { createIndex: 42n, modifyIndex: 50n, lockIndex: 2n };
    const { contenders } = readSnapshot(keys, [
      contender("a", { ...given, value: Buffer.from("h:1") }),
    ]);
    expect(contenders).toEqual([{ session: "a", ...given }]);
  });

  test("takes an entry for a contender whatever its flags", () => {
    expect(sessionsOf([contender("a", { flags: 1n })])).toEqual(["a"]);
  });

  test("has the contenders in the order of their arrival, not that of their names or last writes", () => {
    const entries = [
      contender("a", { createIndex: 30n, modifyIndex: 31n }),
      contender("b", { createIndex: 9n, modifyIndex: 33n }),
      contender("c", { createIndex: 20n, modifyIndex: 32n }),
    ];
    expect(sessionsOf(entries)).toEqual(["b", "c", "a"]);
  });

  test("tells indexes apart that are the same as doubles", () => {
    const base = 2n ** 53n;
    const entries = [
      contender("third", { createIndex: base + 2n }),
      contender("last", { createIndex: 2n ** 64n - 1n }),
      contender("second", { createIndex: base + 1n }),
      contender("last but one", { createIndex: 2n ** 64n - 2n }),
      contender("first", { createIndex: base }),
    ];
    expect(sessionsOf(entries)).toEqual(["first", "second", "third", "last but one", "last"]);
  });

  test("leaves the listing as it was", () => {
    const entries = Object.freeze([
      contender("b", { createIndex: 2n }),
      contender("a", { createIndex: 1n }),
    ]);
    readSnapshot(keys, entries);
    expect(entries.map(({ key }) => key)).toEqual(["jobs/b", "jobs/a"]);
  });

  test.each([
    ["the flags of Consul's single lock", { flags: 0x2ddccbc058a50c18n }, SemaphoreConflictError],
    ["a value that is no lock", { value: Buffer.from("garbage") }, SemaphoreDecodingError],
  ])("cannot be read where the lock entry has %s", (_, given, error) => {
    expect(() => readSnapshot(keys, [contender("a"), lock(3, [], given)])).toThrow(error);
  });
});

describe("the tail of a long queue", () => {
  const tail = entry("jobs/.tail/a", { session: "a", createIndex: 5n, modifyIndex: 5n });

  test("is who has entered with it, by one write", () => {
    expect(readTail(keys, [lock(3, []), tail], "b")).toEqual({
      ...{ session: "a", createIndex: 5n, modifyIndex: 5n, lockIndex: 1n },
    });
  });

  test("is nobody where there is none", () => {
    expect(readTail(keys, [lock(3, [])], "b")).toBeUndefined();
  });

  test("is nobody where the reader had entered before it, or with it", () => {
    const own = (createIndex: bigint) => contender("b", { createIndex, modifyIndex: 9n });
    expect(readTail(keys, [tail, own(6n)], "b")).toHaveProperty("session", "a");
    expect(readTail(keys, [tail, own(4n)], "b")).toBeUndefined();
    expect(readTail(keys, [tail, contender("a", { createIndex: 5n })], "a")).toBeUndefined();
  });

  test("is nobody by an entry that its session has not locked", () => {
    expect(readTail(keys, [{ ...tail, session: null }], "b")).toBeUndefined();
    expect(readTail(keys, [{ ...tail, session: "c" }], "b")).toBeUndefined();
  });

  test("is no contender by that", () => {
    expect(sessionsOf([tail, contender("b")])).toEqual(["b"]);
  });
});

describe("a holder in a snapshot", () => {
  const dead = (...entries: readonly KVEntry[]): ReadonlyMap<string, bigint> =>
    readSnapshot(keys, [lock(3, ["a"]), ...entries]).dead;

  test("is alive while its own entry is locked by its session", () => {
    expect(dead(contender("a"))).toEqual(new Map());
  });

  test("is dead without an entry", () => {
    expect(dead(contender("b"))).toEqual(new Map([["a", 0n]]));
  });

  test.each([
    ["is locked by nobody", null],
    ["is locked by another session", "b"],
  ])("is dead where its entry %s, with the index of that entry", (_, session) => {
    const entries = [contender("a", { session, modifyIndex: 12n })];
    expect(dead(...entries)).toEqual(new Map([["a", 12n]]));
    expect(sessionsOf(entries)).toEqual([]);
  });

  test("is dead though its session has locked an entry further down", () => {
    expect(dead(entry("jobs/x/a", { session: "a" }))).toEqual(new Map([["a", 0n]]));
  });

  test("has a slot only while it is alive", () => {
    const snapshot = readSnapshot(keys, [
      lock(3, ["a", "dead", "b"]),
      contender("b"),
      contender("a"),
    ]);
    expect(liveHolders(snapshot)).toEqual(new Set(["a", "b"]));
  });
});

describe("any snapshot", () => {
  const SESSIONS = ["a", "b", "c", "d", "e", "f"];
  const listing = fc
    .record({
      listed: fc.subarray(SESSIONS),
      present: fc.subarray(SESSIONS),
      limit: fc.integer({ min: 1, max: 5 }),
      indexes: fc.uniqueArray(fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }), {
        minLength: SESSIONS.length,
        maxLength: SESSIONS.length,
      }),
      isWritten: fc.boolean(),
    })
    .chain(({ listed, present, limit, indexes, isWritten }) => {
      const contenders = present.map((session, position) =>
        contender(session, { createIndex: indexes[position] ?? 1n }),
      );
      const entries = isWritten ? [lock(limit, listed), ...contenders] : contenders;
      return fc.record({
        listed: fc.constant<readonly string[]>(isWritten ? listed : []),
        present: fc.constant(present),
        entries: fc.shuffledSubarray(entries, { minLength: entries.length }),
      });
    });

  test("has for live holders those in the lock whose entry is there, in any order of entries", () => {
    fc.assert(
      fc.property(listing, ({ listed, present, entries }) => {
        const snapshot = readSnapshot(keys, entries);
        const alive = listed.filter((session) => present.includes(session));
        expect(liveHolders(snapshot)).toEqual(new Set(alive));
        expect(snapshot.lock.holders).toEqual(new Set(listed));
        expect([...snapshot.dead.keys(), ...alive].sort()).toEqual([...listed].sort());
      }),
    );
  });

  test("has each session that is there once among the contenders, the earlier ones first", () => {
    fc.assert(
      fc.property(listing, ({ present, entries }) => {
        const { contenders } = readSnapshot(keys, entries);
        expect(contenders.map(({ session }) => session).sort()).toEqual([...present].sort());
        const indexes = contenders.map(({ createIndex }) => createIndex);
        expect(indexes.every((index, i) => i === 0 || (indexes[i - 1] ?? 0n) < index)).toBe(true);
      }),
    );
  });
});
