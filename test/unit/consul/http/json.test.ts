import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { bigFlagsIn, parseJson } from "../../../../src/consul/http/json.js";

const FLAGS = 16210313421097356768n;

describe("parsing Consul's JSON", () => {
  test("keeps each bit of the semaphore's flags, which a double does not", () => {
    expect(BigInt(Number(FLAGS))).not.toBe(FLAGS);
    expect(parseJson(`[{"Flags":${FLAGS}}]`)).toEqual([{ Flags: "16210313421097356768" }]);
  });

  test("tells the semaphore's flags from their neighbours", () => {
    const numbers = [FLAGS - 1n, FLAGS, FLAGS + 1n];
    expect(parseJson(`[${numbers.join(",")}]`)).toEqual(numbers.map(String));
  });

  test.each([
    ["2 ** 53 - 1", 2n ** 53n - 1n],
    ["2 ** 53", 2n ** 53n],
    ["2 ** 53 + 1", 2n ** 53n + 1n],
    ["2 ** 63", 2n ** 63n],
    ["2 ** 64 - 1", 2n ** 64n - 1n],
  ])("keeps %s", (_, number) => {
    expect(parseJson(`{"ModifyIndex":${number}}`)).toEqual({ ModifyIndex: String(number) });
  });

  test.each(["0", "1", "-1", "3", "999999999999999", "1.5", "1e3", "-0.25E-2"])(
    "leaves the number %s one",
    (text) => {
      expect(parseJson(`[${text},${FLAGS}]`)).toEqual([Number(text), String(FLAGS)]);
    },
  );

  test.each([
    "-16210313421097356768",
    "16210313421097356768.5",
    "16210313421097356768e1",
    "0.16210313421097356768",
    "1e16210313421097356768",
    "162103134210973567680000",
  ])("leaves %s to be the double that it is, for it is no unsigned 64-bit integer", (text) => {
    expect(parseJson(`[${text}]`)).toEqual([Number(text)]);
  });

  test.each([
    '"16210313421097356768"',
    '"a 16210313421097356768 b"',
    '"\\"16210313421097356768"',
    '"\\\\\\"16210313421097356768,"',
    '"a\\\\"',
    '":16210313421097356768,"',
    '"é\\u0022 16210313421097356768 😀"',
  ])("leaves the string %s as it is", (text) => {
    const json = `{"Value":${text},"Flags":${FLAGS},${text}:${text}}`;
    const string: unknown = JSON.parse(text);
    expect(parseJson(json)).toEqual({
      Value: string,
      Flags: String(FLAGS),
      [String(string)]: string,
    });
  });

  test.each([
    "",
    " ",
    "{",
    "[16210313421097356768",
    "16210313421097356768 16210313421097356768",
    "016210313421097356768",
    "+16210313421097356768",
    "16210313421097356768.",
    "16210313421097356768e",
    '"16210313421097356768',
    "[16210313421097356768,]",
    "<html>16210313421097356768</html>",
    "undefined",
  ])("refuses %j with a SyntaxError, as JSON.parse does", (text) => {
    expect(() => parseJson(text)).toThrow(SyntaxError);
  });

  test("does not stumble over a very long string", () => {
    const long = "\\n".repeat(1_000_000);
    const parsed = parseJson(`{"Key":"${long}","Flags":${FLAGS}}`);
    expect(parsed).toEqual({ Key: "\n".repeat(1_000_000), Flags: String(FLAGS) });
  });

  /** Whether a value holds a number that is written with 16 digits in a row. */
  const hasBigInteger = (json: string): boolean => /[1-9]\d{15}/.test(json);

  test("is JSON.parse where no integer is big", () => {
    const small = fc.json({ maxDepth: 5 }).filter((json) => !hasBigInteger(json));
    fc.assert(
      fc.property(small, fc.constantFrom("", " ", "\n\t"), (json, space) => {
        expect(parseJson(space + json + space)).toEqual(JSON.parse(json));
      }),
    );
  });

  const uint64 = fc.bigInt({ min: 10n ** 15n, max: 2n ** 64n - 1n });

  test("keeps big integers at any depth, among strings that look like them", () => {
    // A marker stands for each big integer, so that JSON.stringify can write the rest.
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: "small", withCrossShrink: true },
        fc.oneof(
          uint64.map((number) => ({ text: String(number), value: String(number) })),
          fc
            .oneof(fc.string(), uint64.map(String))
            .map((string) => ({ text: JSON.stringify(string), value: string })),
          fc.integer().map((number) => ({ text: String(number), value: number })),
          fc.constantFrom(
            { text: "null", value: null },
            { text: "true", value: true },
            { text: "false", value: false },
          ),
        ),
        tie("list"),
        tie("object"),
      ),
      list: fc.array(tie("value")).map(joinList),
      object: fc
        .dictionary(
          fc.string().filter((key) => key !== "__proto__"),
          tie("value"),
        )
        .map(joinObject),
    }));
    fc.assert(
      fc.property(value, (node) => {
        const { text, value: expected } = readNode(node);
        expect(parseJson(text)).toEqual(expected);
      }),
    );
  });
});

describe("flags beyond 2^53 in a text", () => {
  test.each([String(FLAGS), "9007199254740993", "18446744073709551615"])(
    "are told where all are %s, as Consul and its dev agents write them",
    (flags) => {
      expect(bigFlagsIn(`[{"Flags":${flags}},{"Flags":0,"Key":"a"}]`)).toBe(flags);
      expect(bigFlagsIn(`[{"Flags": ${flags},\n"Key":"a"},{"Flags": ${flags}\n}]`)).toBe(flags);
    },
  );

  test.each([
    ["other digits", "16210313421097356769"],
    ["more digits", "162103134210973567680"],
    ["fewer, which are big as well", "1621031342109735676"],
    ["an exponent", "1.6210313421097356768e19"],
    ["a fraction", "16210313421097356768.5"],
    ["a sign", "-16210313421097356768"],
  ])("are not told where some have %s", (_, other) => {
    const one = `{"Flags":${FLAGS}}`;
    expect(bigFlagsIn(`[${one},{"Flags":${other}}]`)).toBeUndefined();
    expect(bigFlagsIn(`[${one},{"Flags" : ${other} }]`)).toBeUndefined();
    expect(bigFlagsIn(`[{"Flags":${other}},${one}]`)).toBeUndefined();
  });

  test.each([`{"Flags":42}`, "{}", "", `{"Value":"\\"Flags\\":${FLAGS},"}`])(
    "are none in %s",
    (text) => {
      expect(bigFlagsIn(text)).toBeUndefined();
    },
  );

  test("are not looked for in strings", () => {
    const text = `{"Value":"\\"Flags\\":${FLAGS + 1n},","Flags":${FLAGS}}`;
    expect(JSON.parse(text)).toHaveProperty("Value", `"Flags":${FLAGS + 1n},`);
    expect(bigFlagsIn(text)).toBe(String(FLAGS));
  });
});

/** A piece of JSON and what it is to be read as. */
interface Node {
  readonly text: string;
  readonly value: unknown;
}

function readNode(node: unknown): Node {
  if (typeof node !== "object" || node === null || !("text" in node) || !("value" in node)) {
    throw new TypeError("no piece of JSON");
  }
  return { text: String(node.text), value: node.value };
}

function joinList(nodes: readonly unknown[]): Node {
  const read = nodes.map(readNode);
  return {
    text: `[${read.map(({ text }) => text).join(" , ")}]`,
    value: read.map(({ value }) => value),
  };
}

function joinObject(nodes: Readonly<Record<string, unknown>>): Node {
  const read = Object.entries(nodes).map(([key, node]) => [key, readNode(node)] as const);
  return {
    text: `{${read.map(([key, { text }]) => `${JSON.stringify(key)}: ${text}`).join(",")}}`,
    value: Object.fromEntries(read.map(([key, { value }]) => [key, value])),
  };
}
