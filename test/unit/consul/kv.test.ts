import { inspect } from "node:util";

import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { ConsulClient } from "../../../src/client.js";
import type { OwnEndpoints } from "../../../src/consul/endpoints.js";
import { consulErrorOf } from "../rejection.js";
import { reply, replyToRead, ScriptedServer } from "../scripted-server.js";

const ID = "2d1b6b3e-0d53-4f55-8c4b-3b0a4cf0d1f2";
const FLAGS = 16210313421097356768n;

let server: ScriptedServer;
let client: ConsulClient;

beforeEach(async () => {
  server = await ScriptedServer.listen();
  client = new ConsulClient({ address: server.address });
});

afterEach(async () => {
  await client.close();
  await server.close();
});

/** An entry as Consul's JSON has it; the numbers as text, since they do not fit in a double. */
function entryJson(given: Record<string, string> = {}): string {
  const fields = {
    LockIndex: "0",
    Key: '"jobs/a"',
    Flags: "0",
    Value: "null",
    CreateIndex: "1",
    ModifyIndex: "1",
    ...given,
  };
  return `{${Object.entries(fields)
    .map(([name, value]) => `"${name}":${value}`)
    .join(",")}}`;
}

describe("reading", () => {
  test("gives an entry with all its numbers exact", async () => {
    const entry = entryJson({
      Flags: `${FLAGS}`,
      Value: `"${Buffer.from("hé\0").toString("base64")}"`,
      Session: `"${ID}"`,
      LockIndex: "18446744073709551615",
      CreateIndex: "9007199254740993",
      ModifyIndex: "9007199254740994",
    });
    server.next(replyToRead(`[${entry}]`, "9007199254740995"));
    const { value, meta } = await client.kv.get("jobs/a");
    expect(value).toEqual({
      key: "jobs/a",
      value: new Uint8Array(Buffer.from("hé\0")),
      flags: FLAGS,
      session: ID,
      lockIndex: 2n ** 64n - 1n,
      createIndex: 2n ** 53n + 1n,
      modifyIndex: 2n ** 53n + 2n,
    });
    expect(meta.index).toBe(2n ** 53n + 3n);
  });

  test.each([FLAGS - 1n, FLAGS + 1n, 2n ** 64n - 1n, 2n ** 53n + 1n, 2n ** 53n - 1n, 1n, 0n])(
    "tells flags of %s from all others",
    async (flags) => {
      server.next(replyToRead(`[${entryJson({ Flags: `${flags}` })}]`));
      const { value } = await client.kv.get("jobs/a");
      expect(value?.flags).toBe(flags);
    },
  );

  test("knows no value and no session", async () => {
    server.next(replyToRead(`[${entryJson()}]`));
    const { value } = await client.kv.get("jobs/a");
    expect(value).toMatchObject({ value: null, session: null });
  });

  test("gives null where there is no entry, with the index to wait on", async () => {
    server.next(reply("", { status: 404, headers: { "x-consul-index": "12" } }));
    const { value, meta } = await client.kv.get("jobs/a");
    expect(value).toBeNull();
    expect(meta.index).toBe(12n);
  });

  test("lists nothing where there is nothing, with the index to wait on", async () => {
    server.next(reply("", { status: 404, headers: { "x-consul-index": "12" } }));
    const { value, meta } = await client.kv.list("jobs/");
    expect(value).toEqual([]);
    expect(meta.index).toBe(12n);
  });

  test("lists the entries in Consul's order", async () => {
    const entries = ["jobs/b", "jobs/a"].map((key) => entryJson({ Key: `"${key}"` }));
    server.next(replyToRead(`[${entries.join(",")}]`));
    const { value } = await client.kv.list("jobs/");
    expect(value.map(({ key }) => key)).toEqual(["jobs/b", "jobs/a"]);
    expect(server.last.path).toBe("/v1/kv/jobs/");
    expect(server.last.query.get("recurse")).toBe("");
  });

  test("lists the whole store for an empty prefix", async () => {
    server.next(replyToRead(`[${entryJson()}]`));
    await client.kv.list("");
    expect(server.last.path).toBe("/v1/kv/");
  });

  test("tells what Consul says about the answer", async () => {
    const headers = {
      "x-consul-index": "7",
      "x-consul-knownleader": "true",
      "x-consul-lastcontact": "42",
    };
    server.next(reply(`[${entryJson()}]`, { headers }));
    expect((await client.kv.get("a")).meta).toEqual({
      index: 7n,
      knownLeader: true,
      lastContact: 42,
    });
    server.next(reply(`[${entryJson()}]`, { headers: { "x-consul-index": "7" } }));
    expect((await client.kv.get("a")).meta).toEqual({
      index: 7n,
      knownLeader: false,
      lastContact: 0,
    });
  });

  test("takes no answer of a server without a leader for one of the leader's", async () => {
    const headers = { "x-consul-index": "7", "x-consul-knownleader": "false" };
    server.always(reply(`[${entryJson()}]`, { headers }));
    expect((await client.kv.get("a")).meta.knownLeader).toBe(false);
    expect(await consulErrorOf(client.kv.get("a", { consistent: true }))).toMatchObject({
      code: "CONSUL_BAD_ANSWER",
      retryable: true,
    });
    const { message } = await consulErrorOf(client.kv.list("a", { consistent: true }));
    expect(message).toContain("expected the answer of a leader");
  });

  test.each([
    ["Key", { Key: "5" }],
    ["Value", { Value: '"no base64!"' }],
    ["Flags", { Flags: "-1" }],
    ["Flags", { Flags: "1.5" }],
    ["Flags", { Flags: "18446744073709551616" }],
    ["Flags", { Flags: '"0"' }],
    ["Session", { Session: "5" }],
    ["ModifyIndex", { ModifyIndex: "null" }],
    ["CreateIndex", { CreateIndex: "1e400" }],
    ["LockIndex", { LockIndex: "true" }],
  ])("does not take an entry with a wrong %s: %j", async (field, given) => {
    server.next(replyToRead(`[${entryJson(given)}]`));
    const error = await consulErrorOf(client.kv.get("jobs/a"));
    expect(error).toMatchObject({ code: "CONSUL_BAD_ANSWER", status: 200 });
    expect(String(error.cause)).toContain(field);
  });
});

describe("a list", () => {
  const uint64 = fc.oneof(
    fc.constantFrom(0n, FLAGS, FLAGS + 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 64n - 1n),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  );

  test("has all numbers exact, whatever the others are", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(uint64, uint64), { minLength: 1 }), async (numbers) => {
        const json = numbers.map(([Flags, ModifyIndex]) =>
          entryJson({ Flags: String(Flags), ModifyIndex: String(ModifyIndex) }),
        );
        server.next(replyToRead(`[${json.join(",")}]`));
        const { value } = await client.kv.list("jobs/");
        expect(value.map(({ flags, modifyIndex }) => [flags, modifyIndex])).toEqual(numbers);
      }),
      { numRuns: 50 },
    );
  });

  test("has the value of one key alone, where no other is wanted", async () => {
    const kv: OwnEndpoints["kv"] = client.kv;
    const values = { a: '"YQ=="', b: '"Yg=="', c: '"no base64!"' };
    const [a, b, c] = Object.entries(values).map(([key, Value]) =>
      entryJson({ Key: JSON.stringify(key), Value }),
    );
    const shown = [new Uint8Array([97]), null];
    server.next(replyToRead(`[${a},${b}]`));
    const { value: list } = await kv.list("", { valueAt: "a" });
    expect(list.map(({ value }) => value)).toEqual(shown);
    server.next(reply(`{"Results":[{"KV":${a}},{"KV":${b}}]}`));
    const outcome = await kv.txn([{ verb: "get-tree", key: "jobs/" }], { valueAt: "a" });
    expect(outcome).toMatchObject({ entries: shown.map((value) => ({ value })) });
    for (const wrong of [c, entryJson({ Key: '"c"', Value: "5" })]) {
      server.next(replyToRead(`[${a},${wrong}]`));
      expect(await consulErrorOf(kv.list("", { valueAt: "c" }))).toMatchObject({
        code: "CONSUL_BAD_ANSWER",
      });
    }
    // That it is a string is checked of every value.
    server.next(replyToRead(`[${a},${entryJson({ Value: "5" })}]`));
    const { cause } = await consulErrorOf(kv.list("", { valueAt: "a" }));
    expect(String(cause)).toContain("Value");
  });

  test("lends nobody the flags of another entry", async () => {
    const without = entryJson().replace('"Flags":0,', "");
    server.next(replyToRead(`[${entryJson({ Flags: String(FLAGS) })},${without}]`));
    const { cause } = await consulErrorOf(client.kv.list("jobs/"));
    expect(String(cause)).toContain("Flags");
  });

  test("says which field of an entry is wrong", async () => {
    server.next(replyToRead(`[${entryJson()},${entryJson({ Key: "5" })}]`));
    const { cause } = await consulErrorOf(client.kv.list("jobs/"));
    expect(String(cause)).toBe("TypeError: the field Key of an entry is wrong");
  });

  test.each(["[]", "{}", "null", '"text"'])("does not take %s for one", async (body) => {
    server.next(replyToRead(body));
    const error = await consulErrorOf(client.kv.list("jobs/"));
    expect(error).toMatchObject({ code: "CONSUL_BAD_ANSWER" });
    expect(error.message).toContain("expected a list of key/value entries");
  });
});

describe("a read's parameters", () => {
  test.each([
    ["no options", {}, {}],
    ["consistent", { consistent: true }, { consistent: "" }],
    ["not consistent", { consistent: false }, {}],
    ["an index of 0", { index: 0n }, {}],
    ["an index", { index: 5n }, { index: "5", wait: "300000ms" }],
    ["a large index", { index: 2n ** 53n + 1n }, { index: "9007199254740993", wait: "300000ms" }],
    ["an index and a wait", { index: 5n, wait: "1m30s" }, { index: "5", wait: "90000ms" }],
    ["a wait in milliseconds", { index: 5n, wait: 1_500.7 }, { index: "5", wait: "1500ms" }],
    ["a tiny wait", { index: 5n, wait: "1ns" }, { index: "5", wait: "1ms" }],
    ["a tiny wait in milliseconds", { index: 5n, wait: 0.001 }, { index: "5", wait: "1ms" }],
    ["a wait of an hour", { index: 5n, wait: "1h" }, { index: "5", wait: "600000ms" }],
    ["a wait without an index", { wait: "1m" }, {}],
  ])("for %s", async (_, options, parameters) => {
    server.always(replyToRead(`[${entryJson()}]`));
    await client.kv.get("a", options);
    expect(Object.fromEntries(server.last.query)).toEqual(parameters);
    await client.kv.list("a", options);
    expect(Object.fromEntries(server.last.query)).toEqual({ recurse: "", ...parameters });
  });
});

describe("writing", () => {
  beforeEach(() => {
    server.always(reply("true"));
  });

  test.each(["true\n", " true "])("takes %j for yes, as Consul writes it", async (body) => {
    server.next(reply(body));
    expect(await client.kv.put({ key: "a" })).toBe(true);
  });

  test("tells yes from no", async () => {
    const entry = { key: "a", modifyIndex: 7n, session: ID };
    server.always(reply("false\n"));
    expect(await client.kv.put(entry)).toBe(false);
    expect(await client.kv.cas(entry)).toBe(false);
    expect(await client.kv.acquire(entry)).toBe(false);
    expect(await client.kv.release(entry)).toBe(false);
    expect(await client.kv.deleteCas(entry)).toBe(false);
  });

  test.each([
    ["text", "hé", Buffer.from("hé")],
    ["bytes", Uint8Array.of(0, 255, 128), Buffer.of(0, 255, 128)],
    ["an empty text", "", Buffer.of()],
    ["no bytes", new Uint8Array(), Buffer.of()],
    ["null", null, Buffer.of()],
    ["nothing", undefined, Buffer.of()],
  ])("sends %s as it is", async (_, value, body) => {
    await client.kv.put({ key: "a", value });
    expect(server.last.method).toBe("PUT");
    expect(server.last.body).toEqual(body);
    expect(server.last.headers["content-length"]).toBe(String(body.length));
  });

  test("sends a part of a buffer, and not what lies around it", async () => {
    await client.kv.put({ key: "a", value: Buffer.from("xxabcxx").subarray(2, 5) });
    expect(server.last.body.toString()).toBe("abc");
  });

  test.each([
    ["put", { flags: FLAGS }, { flags: "16210313421097356768" }],
    ["put", { flags: 2n ** 64n - 1n }, { flags: "18446744073709551615" }],
    ["put", { flags: 0n }, {}],
    ["put", {}, {}],
  ])("by %s has the flags to the last bit: %o", async (_, given, parameters) => {
    await client.kv.put({ key: "a", ...given });
    expect(Object.fromEntries(server.last.query)).toEqual(parameters);
  });

  test("by cas, acquire and release says what it depends on", async () => {
    const entry = { key: "jobs/a", flags: FLAGS, session: ID, modifyIndex: 2n ** 53n + 1n };
    const flags = `${FLAGS}`;
    await client.kv.cas(entry);
    expect(Object.fromEntries(server.last.query)).toEqual({ cas: "9007199254740993", flags });
    await client.kv.cas({ ...entry, modifyIndex: 0n });
    expect(Object.fromEntries(server.last.query)).toEqual({ cas: "0", flags });
    await client.kv.acquire(entry);
    expect(Object.fromEntries(server.last.query)).toEqual({ acquire: ID, flags });
    await client.kv.release(entry);
    expect(Object.fromEntries(server.last.query)).toEqual({ release: ID, flags });
    expect(server.requests.map(({ method, path }) => `${method} ${path}`)).toEqual(
      Array.from({ length: 4 }, () => "PUT /v1/kv/jobs/a"),
    );
  });

  test("deletes one entry, and never what lies below it", async () => {
    await client.kv.delete("jobs/a");
    expect(server.last).toMatchObject({ method: "DELETE", url: "/v1/kv/jobs/a" });
    await client.kv.deleteCas({ key: "jobs/a", modifyIndex: 2n ** 53n + 1n });
    expect(server.last).toMatchObject({
      method: "DELETE",
      url: "/v1/kv/jobs/a?cas=9007199254740993",
    });
  });

  test.each([-1n, 2n ** 64n])("refuses flags of %s, and sends nothing", async (flags) => {
    const error = await consulErrorOf(client.kv.put({ key: "a", flags }));
    expect(error).toMatchObject({ code: "CONSUL_BAD_REQUEST", method: "PUT", path: "/v1/kv/a" });
    expect(error.message).toContain(`invalid flags ${flags} (bigint)`);
    expect(server.requests).toHaveLength(0);
  });

  test("refuses flags that are a number, which may have lost bits already", async () => {
    const put: unknown = Reflect.apply(client.kv.put.bind(client.kv), undefined, [
      { key: "a", flags: 5 },
    ]);
    const error = await consulErrorOf(Promise.resolve(put));
    expect(error.code).toBe("CONSUL_BAD_REQUEST");
    expect(error.message).toContain("invalid flags 5 (number)");
    expect(server.requests).toHaveLength(0);
  });
});

describe("a key", () => {
  const ODD_KEYS = [
    "jobs/a b",
    "jobs/a%20b",
    "100%",
    "%2e%2e/a",
    "%2F",
    "a?b=c",
    "a#b",
    "a+b",
    "a&b=c;d",
    "日本/é/ñ",
    "😀/👩‍👩‍👧",
    "quotes\"and'such",
    "back\\slash",
    "tab\tline\nreturn\rnul\0",
    "a:b@c!$*(),[]{}|^`~<>",
    ".hidden/..two/three...",
    ".lock",
    "a/.lock",
    "trailing/",
    "\ufeffbom",
    "\u2028\u2029",
    "v1/kv/x",
  ];

  test.each(ODD_KEYS)("arrives as it is: %j", async (key) => {
    server.always(reply("true"));
    await client.kv.put({ key, value: "x" });
    expect(server.last.path).toBe(`/v1/kv/${key}`);
    expect([...server.last.query]).toEqual([]);
    await client.kv.deleteCas({ key, modifyIndex: 7n });
    expect(server.last.path).toBe(`/v1/kv/${key}`);
    expect(Object.fromEntries(server.last.query)).toEqual({ cas: "7" });
    server.always(replyToRead(`[${entryJson()}]`));
    await client.kv.get(key);
    expect(server.last.path).toBe(`/v1/kv/${key}`);
    await client.kv.list(key);
    expect(server.last.path).toBe(`/v1/kv/${key}`);
    expect(Object.fromEntries(server.last.query)).toEqual({ recurse: "" });
  });

  // On a machine that is busy, the hundred runs take longer than the 5 s that a test has.
  const LONG = { timeout: 60_000 };

  test("arrives as it is, whatever it holds that Consul can be asked for", LONG, async () => {
    const segment = fc
      .string({ unit: "binary", minLength: 1, maxLength: 10 })
      .map((text) => text.replaceAll("/", "%"))
      .filter((text) => text !== "." && text !== "..");
    const key = fc
      .tuple(fc.array(segment, { minLength: 1, maxLength: 4 }), fc.constantFrom("", "/"))
      .map(([segments, end]) => segments.join("/") + end);
    server.always(reply("true"));
    await fc.assert(
      fc.asyncProperty(key, async (text) => {
        await client.kv.put({ key: text });
        expect(server.last.path).toBe(`/v1/kv/${text}`);
        expect([...server.last.query]).toEqual([]);
      }),
    );
  });

  const REFUSED: readonly (readonly [string, string])[] = [
    ["/a", "it must not begin with a '/'"],
    ["/", "it must not begin with a '/'"],
    ["a//b", 'the segment ""'],
    ["a//", 'the segment ""'],
    ["./a", 'the segment "."'],
    ["a/.", 'the segment "."'],
    ["a/./b", 'the segment "."'],
    ["..", 'the segment ".."'],
    ["a/../b", 'the segment ".."'],
    ["a/..", 'the segment ".."'],
    ["a\ud800b", "unpaired surrogate"],
    ["\udc00", "unpaired surrogate"],
  ];

  test.each([...REFUSED, ["", "it must not be empty"] as const])(
    "that Consul cannot be asked for is refused before anything is sent: %j",
    async (key, problem) => {
      const entry = { key, modifyIndex: 7n, session: ID };
      const calls: readonly (readonly [string, Promise<unknown>])[] = [
        ["GET", client.kv.get(key)],
        ["PUT", client.kv.put(entry)],
        ["PUT", client.kv.cas(entry)],
        ["PUT", client.kv.acquire(entry)],
        ["PUT", client.kv.release(entry)],
        ["DELETE", client.kv.delete(key)],
        ["DELETE", client.kv.deleteCas(entry)],
      ];
      for (const [method, call] of calls) {
        const error = await consulErrorOf(call);
        expect(error).toMatchObject({ code: "CONSUL_BAD_REQUEST", method });
        expect(error.message).toContain(`invalid key ${inspect(key)}: `);
        expect(error.message).toContain(problem);
      }
      expect(server.requests).toHaveLength(0);
    },
  );

  test.each(REFUSED)("is refused for a prefix as well: %j", async (prefix, problem) => {
    const error = await consulErrorOf(client.kv.list(prefix));
    expect(error.code).toBe("CONSUL_BAD_REQUEST");
    expect(error.message).toContain(problem);
    expect(server.requests).toHaveLength(0);
  });

  test("that is no string is refused", async () => {
    const get: unknown = Reflect.apply(client.kv.get.bind(client.kv), undefined, [undefined]);
    const error = await consulErrorOf(Promise.resolve(get));
    expect(error.code).toBe("CONSUL_BAD_REQUEST");
    expect(error.message).toContain("expected a string, got undefined");
  });
});

describe("a call that the types forbid", () => {
  const CALLS: readonly (readonly [string, readonly unknown[], string])[] = [
    // Without its session, it would be a write that takes no lock, and reports success.
    ["acquire", [{ key: "a", value: "x" }], "invalid session undefined"],
    ["release", [{ key: "a", session: "" }], "invalid session ''"],
    ["cas", [{ key: "a", value: "x" }], "invalid modifyIndex undefined (undefined)"],
    ["cas", [{ key: "a", value: "x", modifyIndex: 7 }], "invalid modifyIndex 7 (number)"],
    ["deleteCas", [{ key: "a" }], "invalid modifyIndex undefined (undefined)"],
    ["put", [{ key: "a", value: 5 }], "invalid value (number)"],
    ["put", [{ key: 5n }], "invalid key 5n: expected a string, got bigint"],
    [
      "put",
      [{ key: { key: "a", token: "secret" } }],
      "invalid key { key, token }: expected a string",
    ],
    ["get", ["a", { datacenter: "\ud800" }], "invalid dc"],
    ["acquire", [{ key: "a", session: "\ud800" }], "invalid acquire"],
    ["get", ["a", { index: 1n, wait: "soon" }], 'time: invalid duration "soon"'],
    ["get", ["a", { index: 1n, wait: 0 }], "invalid wait 0: it must be positive"],
  ];

  test.each(CALLS)("is refused before anything is sent: %s %o", async (method, args, problem) => {
    const call: unknown = Reflect.get(client.kv, method);
    if (typeof call !== "function") throw new Error(`no method ${method}`);
    const error = await consulErrorOf(Promise.resolve(Reflect.apply(call, client.kv, args)));
    expect(error.code).toBe("CONSUL_BAD_REQUEST");
    expect(error.message).toContain(problem);
    expect(server.requests).toEqual([]);
  });
});
