import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { SemaphoreConflictError, SemaphoreDecodingError } from "../../../src/errors.js";
import {
  decodeLock,
  encodeLock,
  readLockEntry,
  SEMAPHORE_FLAG_VALUE,
} from "../../../src/protocol/lock-entry.js";

const bytes = (text: string): Uint8Array => Buffer.from(text, "utf8");

function decoded(text: string): { limit: number; holders: readonly string[] } {
  const { limit, holders } = decodeLock(bytes(text));
  return { limit, holders: [...holders].sort() };
}

/** A value, and the limit and holders that Go 1.19's `json.Unmarshal` makes of it. */
const READ_BY_GO: readonly (readonly [string, number, readonly string[]])[] = [
  ['{"Limit":3,"Holders":{"a":true}}', 3, ["a"]],
  ['{"Limit":3,"Holders":{"b":true,"a":true}}', 3, ["a", "b"]],
  ['{"Limit":3,"Holders":{}}', 3, []],
  ['{"Limit":3,"Holders":null}', 3, []],
  ['{"Limit":3}', 3, []],
  ['{"Holders":{"a":true},"Limit":3}', 3, ["a"]],
  ["{}", 0, []],
  ["null", 0, []],
  [' { "Limit" : 3 } ', 3, []],
  ["\t\r\n{}\n", 0, []],
  ['{"limit":3,"holders":{"a":true}}', 3, ["a"]],
  ['{"LIMIT":3,"HOLDERS":{"a":true}}', 3, ["a"]],
  ['{"lImIt":3}', 3, []],
  ['{"Lim\\u0069t":3}', 3, []],
  ['{"Limit ":3}', 0, []],
  ['{"Limit":null,"Holders":{}}', 0, []],
  ['{"Limit":3,"limit":null}', 3, []],
  ['{"Limit":1,"Limit":2}', 2, []],
  ['{"Limit":1,"limit":2}', 2, []],
  ['{"limit":2,"Limit":1}', 1, []],
  ['{"Limit":3,"Holders":{"a":false,"b":null}}', 3, ["a", "b"]],
  ['{"Holders":{"a":true},"holders":null}', 0, []],
  ['{"Holders":{"":true}}', 0, [""]],
  ['{"Holders":{"\\u0061":true}}', 0, ["a"]],
  ['{"Limit":3,"Extra":[1,{"x":"y"}],"Holders":{"a":true}}', 3, ["a"]],
  ['{"Limit":3,"extra":1e999}', 3, []],
  ['{"__proto__":{"Limit":3}}', 0, []],
  ['{"Limit":0}', 0, []],
  ['{"Limit":-1}', -1, []],
  ['{"Limit":9007199254740991}', 9007199254740991, []],
];

/** What Go 1.19's `json.Unmarshal` refuses. */
const REFUSED_BY_GO: readonly string[] = [
  '{"Limit":3.5}',
  '{"Limit":"3"}',
  '{"Limit":true}',
  '{"Limit":[]}',
  '{"Limit":{}}',
  '{"Limit":9223372036854775808}',
  '{"Limit":1e400}',
  '{"Limit":NaN}',
  '{"Limit":03}',
  '{"Limit":+3}',
  '{"Holders":[]}',
  '{"Holders":["a"]}',
  '{"Holders":"a"}',
  '{"Holders":1}',
  '{"Holders":true}',
  '{"Holders":{"a":1}}',
  '{"Holders":{"a":"true"}}',
  '{"Holders":{"a":{}}}',
  "[]",
  '[{"Limit":3}]',
  '"Limit"',
  "3",
  "true",
  "",
  " ",
  "{",
  '{"Limit":3',
  '{"Limit":3}x',
  '{"Limit":3}{"Limit":3}',
  '{"Limit":3} // c',
  '{"Limit":3,}',
  '{"Limit":3,"Holders":{"a":true,}}',
  "{'Limit':3}",
  "{Limit:3}",
  '{"Limit":3,"x":"a\nb"}',
  "NaN",
  "garbage",
  "<html></html>",
  '\ufeff{"Limit":3}',
];

describe("decoding a lock", () => {
  test.each(READ_BY_GO)("reads %j as Go's decoder does", (text, limit, holders) => {
    expect(decoded(text)).toEqual({ limit, holders });
  });

  test.each(REFUSED_BY_GO)("refuses %j, as Go's decoder does, and shows it", (text) => {
    let failure: unknown;
    try {
      decodeLock(bytes(text));
    } catch (error) {
      failure = error;
    }
    expect(failure).toBeInstanceOf(SemaphoreDecodingError);
    expect(failure).toHaveProperty("code", "SEMAPHORE_LOCK_DECODING_FAILED");
    expect(failure).toHaveProperty("message", expect.stringMatching(/^lock decoding failed: /));
    expect(failure).toHaveProperty("message", expect.stringContaining(JSON.stringify(text)));
  });

  test.each(['{"Limit":3.0}', '{"Limit":3e0}', '{"Limit":0.3e1}'])(
    "reads the whole number in %j, which Go's decoder is too strict for",
    (text) => {
      expect(decoded(text).limit).toBe(3);
    },
  );

  test("names the field of the wrong type", () => {
    expect(() => decodeLock(bytes('{"limit":"3"}'))).toThrow('the field "limit" of');
    expect(() => decodeLock(bytes('{"Holders":7}'))).toThrow('the field "Holders" of');
  });

  test("shows only the beginning of a long value", () => {
    let message = "";
    try {
      decodeLock(bytes("x".repeat(10_000)));
    } catch (error) {
      message = String(error);
    }
    expect(message).toContain("xxx…");
    expect(message.length).toBeLessThan(400);
  });

  test("replaces what is no UTF-8 within a string, as Go's decoder does", () => {
    const value = Buffer.concat([
      bytes('{"Limit":3,"Holders":{"a'),
      Uint8Array.of(0xff),
      bytes('":true}}'),
    ]);
    expect(decodeLock(value)).toEqual({ limit: 3, holders: new Set(["a\ufffd"]) });
  });

  test.each([
    [Buffer.concat([Uint8Array.of(0xff), bytes("{}")])],
    [Buffer.concat([bytes("{}"), Uint8Array.of(0xff)])],
    [Uint8Array.of(0x00)],
    [Buffer.from('{"Limit":3}', "utf16le")],
  ])("refuses %j, which is no UTF-8 or no text", (value) => {
    expect(() => decodeLock(value)).toThrow(SemaphoreDecodingError);
  });

  test("reads a view that is part of a larger buffer", () => {
    const whole = bytes('xx{"Limit":3}xx');
    expect(decodeLock(whole.subarray(2, -2)).limit).toBe(3);
  });

  test("ends any bytes with a lock or with a SemaphoreDecodingError", () => {
    const anyBytes = fc.oneof(
      fc.uint8Array(),
      fc.json().map(bytes),
      fc
        .record({ Limit: fc.jsonValue(), Holders: fc.jsonValue() }, { requiredKeys: [] })
        .map((value) => bytes(JSON.stringify(value))),
    );
    fc.assert(
      fc.property(anyBytes, (value) => {
        try {
          expect(Number.isSafeInteger(decodeLock(value).limit)).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(SemaphoreDecodingError);
        }
      }),
    );
  });
});

const ID_1 = "00000000-0000-0000-0000-00000000000a";
const ID_2 = "2d1b6b3e-0d53-4f55-8c4b-3b0a4cf0d1f2";
const ID_3 = "F0000000-0000-0000-0000-000000000000";
const ID_4 = "f0000000-0000-0000-0000-000000000000";

describe("encoding a lock", () => {
  test.each([
    [3, [], '{"Limit":3,"Holders":{}}'],
    [1, [ID_2], `{"Limit":1,"Holders":{"${ID_2}":true}}`],
    [
      9007199254740991,
      [ID_4, ID_2, ID_3, ID_1],
      `{"Limit":9007199254740991,"Holders":` +
        `{"${ID_1}":true,"${ID_2}":true,"${ID_3}":true,"${ID_4}":true}}`,
    ],
  ])("writes limit %d and holders %j byte for byte as Go does", (limit, holders, text) => {
    expect(encodeLock({ limit, holders: new Set(holders) })).toBe(text);
  });

  const anyLock = fc.record({
    limit: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    holders: fc
      .array(fc.oneof(fc.uuid(), fc.stringMatching(/^[0-9a-zA-Z-]{1,40}$/)), { maxLength: 30 })
      .map((sessions) => new Set(sessions)),
  });

  test("is undone by decoding", () => {
    fc.assert(
      fc.property(anyLock, (lock) => {
        expect(decodeLock(bytes(encodeLock(lock)))).toEqual(lock);
      }),
    );
  });

  test("writes the holders in the order of their bytes, in whatever order they came", () => {
    fc.assert(
      fc.property(fc.array(fc.uuid(), { maxLength: 20 }), (sessions) => {
        const text = encodeLock({ limit: 3, holders: new Set(sessions) });
        const written = [...text.matchAll(/"([0-9a-f-]{36})":true/g)].map(([, id]) => id ?? "");
        expect(written).toEqual([...new Set(sessions)].sort());
        expect(encodeLock({ limit: 3, holders: new Set(sessions.reverse()) })).toBe(text);
      }),
    );
  });
});

describe("the flags of a semaphore's entries", () => {
  test("are Go's SemaphoreFlagValue to the last bit", () => {
    expect(SEMAPHORE_FLAG_VALUE).toBe(16210313421097356768n);
  });
});

describe("a lock entry", () => {
  const entry = (text: string, flags = SEMAPHORE_FLAG_VALUE) => ({
    flags,
    value: bytes(text),
    modifyIndex: 7n,
  });

  test("says the limit, the holders and its index", () => {
    expect(readLockEntry(entry('{"Limit":3,"Holders":{"b":true,"a":true}}'))).toEqual({
      limit: 3,
      holders: new Set(["a", "b"]),
      modifyIndex: 7n,
    });
  });

  test("that is not there says nothing, and is swapped under index 0", () => {
    expect(readLockEntry(null)).toEqual({
      limit: undefined,
      holders: new Set(),
      modifyIndex: 0n,
    });
  });

  test("without a value says nothing, but has an index to swap it under", () => {
    const nothing = { limit: undefined, holders: new Set(), modifyIndex: 7n };
    expect(readLockEntry({ ...entry(""), value: null })).toEqual(nothing);
    expect(readLockEntry({ ...entry("", 0n), value: null })).toEqual(nothing);
  });

  test("with the flags of Go's first release, 0, is read", () => {
    expect(readLockEntry(entry('{"Limit":3}', 0n)).limit).toBe(3);
  });

  test.each(["{}", "null", '{"Limit":0,"Holders":{"a":true}}', '{"name":"somebody else\'s"}'])(
    "with flags 0 and no limit is a conflict: %s",
    (text) => {
      expect(() => readLockEntry(entry(text, 0n))).toThrow(SemaphoreConflictError);
      expect(readLockEntry(entry(text)).limit).toBe(0);
    },
  );

  test.each([
    ["those of Consul's single lock", 0x2ddccbc058a50c18n],
    ["1", 1n],
    ["the semaphore's as a double", BigInt(Number(SEMAPHORE_FLAG_VALUE))],
    ["one less than the semaphore's", SEMAPHORE_FLAG_VALUE - 1n],
    ["one more than the semaphore's", SEMAPHORE_FLAG_VALUE + 1n],
    ["the greatest of all", 2n ** 64n - 1n],
  ])("with other flags is a conflict: %s", (_, flags) => {
    expect(() => readLockEntry(entry('{"Limit":3}', flags))).toThrow(SemaphoreConflictError);
    expect(() => readLockEntry({ ...entry("", flags), value: null })).toThrow(
      "Existing key does not match semaphore use",
    );
  });

  test("with a value that no semaphore writes fails to decode", () => {
    expect(() => readLockEntry(entry("garbage"))).toThrow(SemaphoreDecodingError);
    expect(() => readLockEntry(entry("garbage"))).toThrow(/^lock decoding failed: /);
  });
});
