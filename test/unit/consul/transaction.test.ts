import { inspect } from "node:util";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { ConsulClient } from "../../../src/client.js";
import type { KVOperation } from "../../../src/consul/transaction.js";
import { consulErrorOf } from "../rejection.js";
import { reply, ScriptedServer } from "../scripted-server.js";

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

const APPLIED = reply('{"Results":[],"Errors":null}');

const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** What the server receives for these operations. */
async function written(...operations: readonly KVOperation[]): Promise<string> {
  server.next(APPLIED);
  await client.kv.txn(operations);
  return server.last.body.toString();
}

describe("a transaction", () => {
  test("is one request with all its operations in their order", async () => {
    const body = await written(
      { verb: "check-session", key: `jobs/${ID}`, session: ID },
      { verb: "cas", key: "jobs/.lock", value: "{}", flags: FLAGS, modifyIndex: 2n ** 53n + 1n },
      { verb: "delete", key: "jobs/a" },
    );
    expect(server.requests).toHaveLength(1);
    expect(server.last).toMatchObject({ method: "PUT", url: "/v1/txn" });
    expect(body).toBe(
      `[{"KV":{"Verb":"check-session","Key":"jobs/${ID}","Session":"${ID}"}},` +
        `{"KV":{"Verb":"cas","Key":"jobs/.lock","Value":"${base64("{}")}",` +
        `"Flags":16210313421097356768,"Index":9007199254740993}},` +
        `{"KV":{"Verb":"delete","Key":"jobs/a"}}]`,
    );
  });

  test.each<[KVOperation, string]>([
    [{ verb: "set", key: "a", value: "x" }, `"Verb":"set","Key":"a","Value":"eA=="`],
    [{ verb: "set", key: "a" }, `"Verb":"set","Key":"a"`],
    [{ verb: "set", key: "a", flags: undefined }, `"Verb":"set","Key":"a"`],
    [{ verb: "set", key: "a", flags: 0n }, `"Verb":"set","Key":"a","Flags":0`],
    [
      { verb: "set", key: "a", flags: 2n ** 64n - 1n },
      `"Verb":"set","Key":"a","Flags":18446744073709551615`,
    ],
    [{ verb: "cas", key: "a", modifyIndex: 0n }, `"Verb":"cas","Key":"a","Index":0`],
    [
      { verb: "lock", key: "a", value: "x", session: ID },
      `"Verb":"lock","Key":"a","Value":"eA==","Session":"${ID}"`,
    ],
    [{ verb: "unlock", key: "a", session: ID }, `"Verb":"unlock","Key":"a","Session":"${ID}"`],
    [{ verb: "delete", key: "a" }, `"Verb":"delete","Key":"a"`],
    [{ verb: "delete-tree", key: "a/" }, `"Verb":"delete-tree","Key":"a/"`],
    [{ verb: "get", key: "a" }, `"Verb":"get","Key":"a"`],
    [{ verb: "get-tree", key: "a/" }, `"Verb":"get-tree","Key":"a/"`],
    [{ verb: "check-not-exists", key: "a" }, `"Verb":"check-not-exists","Key":"a"`],
    [
      { verb: "check-index", key: "a", modifyIndex: 2n ** 64n - 1n },
      `"Verb":"check-index","Key":"a","Index":18446744073709551615`,
    ],
    [
      { verb: "check-session", key: "a", session: ID },
      `"Verb":"check-session","Key":"a","Session":"${ID}"`,
    ],
  ])("writes what belongs to the operation, and nothing else: %o", async (operation, fields) => {
    expect(await written(operation)).toBe(`[{"KV":{${fields}}}]`);
  });

  test.each([
    ["text", "hé", "aMOp"],
    ["bytes", Uint8Array.of(0, 255, 128), "AP+A"],
    ["a part of a buffer", Buffer.from("xxabcxx").subarray(2, 5), "YWJj"],
    ["an empty text", "", ""],
    ["null", null, ""],
    ["undefined", undefined, ""],
  ])("sends %s as base64", async (_, value, encoded) => {
    const body = await written({ verb: "set", key: "a", value });
    expect(body).toBe(`[{"KV":{"Verb":"set","Key":"a","Value":"${encoded}"}}]`);
  });

  test.each(['a"b\\c', "line\nbreak", "日本/é", "a?b=c&d", "a%20b", "\0"])(
    "sends the key as it is: %j",
    async (key) => {
      const body: unknown = JSON.parse(await written({ verb: "delete", key }));
      expect(body).toEqual([{ KV: { Verb: "delete", Key: key } }]);
      expect(server.last.url).toBe("/v1/txn");
    },
  );

  test("has the namespace and partition of the request, or else the client's", async () => {
    server.always(APPLIED);
    const scoped = new ConsulClient({
      address: server.address,
      namespace: "team a",
      partition: 'w"est',
    });
    try {
      const operation: KVOperation = { verb: "delete", key: "a" };
      await scoped.kv.txn([operation, operation]);
      const own = `{"KV":{"Verb":"delete","Key":"a","Namespace":"team a","Partition":"w\\"est"}}`;
      expect(server.last.body.toString()).toBe(`[${own},${own}]`);
      await scoped.kv.txn([operation], { namespace: "b", partition: "c", datacenter: "dc2" });
      expect(server.last.body.toString()).toBe(
        `[{"KV":{"Verb":"delete","Key":"a","Namespace":"b","Partition":"c"}}]`,
      );
      expect(Object.fromEntries(server.last.query)).toEqual({
        dc: "dc2",
        ns: "b",
        partition: "c",
      });
    } finally {
      await scoped.close();
    }
  });

  const READS: readonly KVOperation[] = [
    { verb: "get", key: "a" },
    { verb: "get-tree", key: "a/" },
    { verb: "check-not-exists", key: "b" },
    { verb: "check-index", key: "a", modifyIndex: 1n },
    { verb: "check-session", key: "a", session: ID },
  ];
  const WRITES: readonly KVOperation[] = [
    { verb: "set", key: "a" },
    { verb: "cas", key: "a", modifyIndex: 1n },
    { verb: "lock", key: "a", session: ID },
    { verb: "unlock", key: "a", session: ID },
    { verb: "delete", key: "a" },
  ];

  test("asks for a consistent read where all of its operations read, and it is told to", async () => {
    server.always(APPLIED);
    await client.kv.txn(READS, { consistent: true });
    expect(server.last).toMatchObject({ method: "PUT", url: "/v1/txn?consistent" });
    await client.kv.txn(READS, { consistent: true, datacenter: "dc2" });
    expect(server.last.url).toBe("/v1/txn?dc=dc2&consistent");
    for (const options of [{}, { consistent: false }, { consistent: undefined }]) {
      await client.kv.txn(READS, options);
      expect(server.last.url).toBe("/v1/txn");
    }
  });

  test.each(WRITES)("does not where one writes: %o", async (write) => {
    server.next(APPLIED);
    await client.kv.txn([...READS, write, ...READS], { consistent: true });
    expect(server.last.url).toBe("/v1/txn");
  });

  test.each([
    [200, '{"Results":[],"Errors":null}'],
    [409, '{"Results":null,"Errors":[{"OpIndex":0,"What":"stale"}]}'],
  ])("takes no consistent answer from a server without a leader: %d", async (status, body) => {
    const answer = reply(body, { status, headers: { "x-consul-knownleader": "false" } });
    server.always(answer);
    const consistent = client.kv.txn(READS, { consistent: true });
    expect(await consulErrorOf(consistent)).toMatchObject({
      code: "CONSUL_BAD_ANSWER",
      path: "/v1/txn?consistent",
      retryable: true,
    });
    expect(await client.kv.txn(READS)).toMatchObject({ applied: status === 200 });
  });
});

describe("the outcome", () => {
  test("tells what was written, with exact indexes and flags", async () => {
    server.next(
      reply(
        `{"Results":[` +
          `{"KV":{"LockIndex":1,"Key":"jobs/a","Flags":0,"Value":null,"Session":"${ID}","CreateIndex":5,"ModifyIndex":5}},` +
          `{"KV":{"LockIndex":0,"Key":"jobs/.lock","Flags":${FLAGS},"Value":null,` +
          `"CreateIndex":9007199254740993,"ModifyIndex":18446744073709551615}}],"Errors":null}`,
      ),
    );
    expect(await client.kv.txn([{ verb: "delete", key: "a" }])).toEqual({
      applied: true,
      entries: [
        {
          key: "jobs/a",
          value: null,
          flags: 0n,
          session: ID,
          lockIndex: 1n,
          createIndex: 5n,
          modifyIndex: 5n,
        },
        {
          key: "jobs/.lock",
          value: null,
          flags: FLAGS,
          session: null,
          lockIndex: 0n,
          createIndex: 2n ** 53n + 1n,
          modifyIndex: 2n ** 64n - 1n,
        },
      ],
    });
  });

  test("has the values of what was read", async () => {
    const entry = (key: string, value: string): string =>
      `{"KV":{"LockIndex":0,"Key":"${key}","Flags":${FLAGS},"Value":${value},` +
      `"CreateIndex":5,"ModifyIndex":6}}`;
    const results = [
      entry("jobs/a", "null"),
      entry("jobs/a", `"${base64("hé")}"`),
      entry("jobs/b", "null"),
    ];
    server.next(reply(`{"Results":[${results.join(",")}],"Errors":null}`));
    const outcome = await client.kv.txn([
      { verb: "set", key: "jobs/a", value: "hé" },
      { verb: "get-tree", key: "jobs/" },
    ]);
    expect(outcome).toMatchObject({
      applied: true,
      entries: [
        { key: "jobs/a", value: null, flags: FLAGS },
        { key: "jobs/a", value: new Uint8Array(Buffer.from("hé")), flags: FLAGS },
        { key: "jobs/b", value: null, flags: FLAGS },
      ],
    });
  });

  test.each(['{"Results":null,"Errors":null}', '{"Results":[]}'])(
    "may be nothing but that it took place: %s",
    async (body) => {
      server.next(reply(body));
      expect(await client.kv.txn([{ verb: "delete", key: "a" }])).toEqual({
        applied: true,
        entries: [],
      });
    },
  );

  test("tells in Consul's words why nothing took place", async () => {
    const errors = [
      { OpIndex: 0, What: 'current modify index "5" does not match "4"' },
      { OpIndex: 2, What: "key is not locked" },
    ];
    server.next(reply(JSON.stringify({ Results: null, Errors: errors }), { status: 409 }));
    expect(await client.kv.txn([{ verb: "delete", key: "a" }])).toEqual({
      applied: false,
      errors: [
        { operation: 0, what: 'current modify index "5" does not match "4"' },
        { operation: 2, what: "key is not locked" },
      ],
    });
  });

  test("is no matter of permission where only a key is called so", async () => {
    const what = 'failed to set key "permission denied/.lock", index is stale';
    server.next(reply(JSON.stringify({ Errors: [{ OpIndex: 0, What: what }] }), { status: 409 }));
    expect(await client.kv.txn([{ verb: "delete", key: "permission denied/.lock" }])).toEqual({
      applied: false,
      errors: [{ operation: 0, what }],
    });
  });

  test.each<[KVOperation, string]>([
    [{ verb: "set", key: "a" }, "key:write"],
    [{ verb: "cas", key: "a", modifyIndex: 1n }, "key:write"],
    [{ verb: "lock", key: "a", session: "s" }, "key:write"],
    [{ verb: "delete", key: "a" }, "key:write"],
    [{ verb: "delete-tree", key: "a" }, "key:write"],
    [{ verb: "get", key: "a" }, "key:read"],
    [{ verb: "get-tree", key: "a" }, "key:read"],
    [{ verb: "check-index", key: "a", modifyIndex: 1n }, "key:read"],
    [{ verb: "check-not-exists", key: "a" }, "key:write"],
    [{ verb: "check-session", key: "a", session: "s" }, "key:read"],
  ])("says which permission an operation needs: %o", async (operation, permission) => {
    const errors = [{ OpIndex: 0, What: "Permission denied" }];
    server.next(reply(JSON.stringify({ Errors: errors }), { status: 409 }));
    const error = await consulErrorOf(client.kv.txn([operation]));
    expect(error.message).toContain(`${permission} on "a"`);
  });

  test.each(["Permission denied", "rpc error: Permission denied: token lacks 'key:write'"])(
    "is a failure where it is forbidden, though Consul calls it a conflict: %s",
    async (what) => {
      const errors = [
        { OpIndex: 0, What: "stale" },
        { OpIndex: 1, What: what },
      ];
      server.next(reply(JSON.stringify({ Errors: errors }), { status: 409 }));
      const error = await consulErrorOf(client.kv.txn([{ verb: "delete", key: "a" }]));
      expect(error).toMatchObject({
        code: "CONSUL_STATUS",
        method: "PUT",
        path: "/v1/txn",
        status: 409,
        text: what,
        retryable: false,
        inDoubt: false,
      });
      expect(error.message).toContain(what);
    },
  );

  test.each([
    ["true", 200],
    ["null", 200],
    ["[]", 200],
    ["{}", 200],
    ['{"Results":[{}]}', 200],
    ['{"Results":[{"KV":null}]}', 200],
    ['{"Results":[{"KV":{"Key":"a"}}]}', 200],
    ["<html>", 200],
    ['{"Results":null,"Errors":null}', 409],
    ['{"Results":null,"Errors":[]}', 409],
    ['{"Errors":[{"What":"stale"}]}', 409],
    ['{"Errors":[{"OpIndex":0}]}', 409],
    ["<html>", 409],
    ["", 409],
  ])("is not taken from what is none: %s with %d", async (body, status) => {
    server.next(reply(body, { status }));
    const error = await consulErrorOf(client.kv.txn([{ verb: "delete", key: "a" }]));
    expect(error).toMatchObject({
      code: "CONSUL_BAD_ANSWER",
      method: "PUT",
      path: "/v1/txn",
      status,
      retryable: false,
      inDoubt: true,
    });
    expect(error.message).toContain(status === 200 ? "the results of" : "the errors of");
  });

  test.each([
    [500, true],
    [503, true],
    [429, true],
    [400, false],
    [403, false],
    [413, false],
  ])("is a failure with any other status: %d", async (status, retryable) => {
    server.next(reply("no", { status }));
    expect(await consulErrorOf(client.kv.txn([{ verb: "delete", key: "a" }]))).toMatchObject({
      code: "CONSUL_STATUS",
      status,
      retryable,
    });
  });
});

describe("a transaction that the types forbid", () => {
  const OPERATIONS: readonly (readonly [object, string])[] = [
    [{ verb: "set", key: "" }, "invalid key ''"],
    [{ verb: "set", key: "/a" }, "invalid key '/a'"],
    [{ verb: "delete", key: "a//b" }, "invalid key 'a//b'"],
    [{ verb: "get", key: "" }, "invalid key ''"],
    [{ verb: "get-tree", key: "" }, "invalid key ''"],
    [{ verb: "delete", key: "a\ud800" }, "unpaired surrogate"],
    [{ verb: "delete" }, "expected a string, got undefined"],
    [{ verb: "set", key: "a", value: 5 }, "invalid value (number)"],
    [{ verb: "set", key: "a", flags: 5 }, "invalid flags 5 (number)"],
    [{ verb: "set", key: "a", flags: -1n }, "invalid flags -1 (bigint)"],
    [{ verb: "set", key: "a", flags: 2n ** 64n }, "invalid flags 18446744073709551616 (bigint)"],
    // Without its index, it would be a write that overwrites whatever is there.
    [{ verb: "cas", key: "a", value: "x" }, "invalid modifyIndex undefined (undefined)"],
    [{ verb: "cas", key: "a", modifyIndex: 7 }, "invalid modifyIndex 7 (number)"],
    [{ verb: "check-index", key: "a" }, "invalid modifyIndex undefined (undefined)"],
    [{ verb: "lock", key: "a", value: "x" }, "invalid session undefined"],
    [{ verb: "unlock", key: "a", session: "" }, "invalid session ''"],
    [{ verb: "check-session", key: "a", session: 5 }, "invalid session 5"],
  ];

  test.each(OPERATIONS.map(([operation, problem]) => [inspect(operation), operation, problem]))(
    "is refused before anything is sent: %s",
    async (_, operation, problem) => {
      const operations = [{ verb: "delete", key: "fine" }, operation];
      const call: unknown = Reflect.apply(client.kv.txn.bind(client.kv), undefined, [operations]);
      const error = await consulErrorOf(Promise.resolve(call));
      expect(error).toMatchObject({ code: "CONSUL_BAD_REQUEST", method: "PUT", inDoubt: false });
      expect(error.message).toContain(problem);
      expect(server.requests).toEqual([]);
    },
  );
});
