import { expect, test } from "vitest";

import { conform, freshPrefix } from "./consul-under-test.js";

const READ_META = '"Index":0,"LastContact":0,"KnownLeader":true,"ConsistencyLevel":""';

interface Operation {
  readonly Verb: string;
  readonly Key: string;
  readonly Value?: string | null;
  readonly Index?: number;
  readonly Session?: string;
}

conform((consul) => {
  const txnOf = (body: string) => consul.send("PUT", "/v1/txn", body);
  const txn = (...operations: readonly Operation[]) =>
    txnOf(JSON.stringify(operations.map((KV) => ({ KV }))));
  const indexAt = async (key: string): Promise<number> =>
    Number((await consul.client.kv.get(key)).value?.modifyIndex ?? 0n);
  const errors = (...whats: readonly (readonly [index: number, what: string])[]): string =>
    `{"Results":null,"Errors":[${whats
      .map(([index, what]) => `{"OpIndex":${index},"What":${JSON.stringify(what)}}`)
      .join(",")}]`;

  test("writes answer their entries without the values, all with one index", async () => {
    const prefix = freshPrefix();
    const session = await consul.session();
    await consul.client.kv.put({ key: `${prefix}/b`, value: "1", flags: 7n });
    const before = await indexAt(`${prefix}/b`);
    const answer = await txnOf(
      `[{"KV":{"Verb":"set","Key":"${prefix}/a","Value":"MQ==","Flags":18446744073709551615}},` +
        `{"KV":{"Verb":"cas","Key":"${prefix}/b","Value":"Mg==","Index":${before}}},` +
        `{"KV":{"Verb":"lock","Key":"${prefix}/c","Value":"Mw==","Session":"${session}"}},` +
        `{"KV":{"Verb":"unlock","Key":"${prefix}/c","Session":"${session}"}},` +
        `{"KV":{"Verb":"get","Key":"${prefix}/b"}}]`,
    );
    const at = await indexAt(`${prefix}/a`);
    expect(answer.status).toBe(200);
    expect(answer.header("x-consul-index")).toBeUndefined();
    expect(answer.header("x-consul-knownleader")).toBeUndefined();
    const c = (more: string, lockIndex: number): string =>
      `{"KV":{"LockIndex":${lockIndex},"Key":"${prefix}/c","Flags":0,"Value":null,${more}` +
      `"CreateIndex":${at},"ModifyIndex":${at}}}`;
    const b = (value: string): string =>
      `{"KV":{"LockIndex":0,"Key":"${prefix}/b","Flags":0,"Value":${value},` +
      `"CreateIndex":${before},"ModifyIndex":${at}}}`;
    expect(answer.body).toBe(
      `{"Results":[{"KV":{"LockIndex":0,"Key":"${prefix}/a","Flags":18446744073709551615,` +
        `"Value":null,"CreateIndex":${at},"ModifyIndex":${at}}},${b("null")},` +
        `${c(`"Session":"${session}",`, 1)},${c("", 1)},${b('"Mg=="')}],"Errors":null}`,
    );
  });

  test("deletes answer nothing", async () => {
    const prefix = freshPrefix();
    for (const name of ["a", "b", "c/1", "c/2"]) {
      await consul.client.kv.put({ key: `${prefix}/${name}`, value: name });
    }
    const answer = await txn(
      { Verb: "delete", Key: `${prefix}/a` },
      { Verb: "delete", Key: `${prefix}/a` },
      { Verb: "delete-cas", Key: `${prefix}/b`, Index: await indexAt(`${prefix}/b`) },
      { Verb: "delete-cas", Key: `${prefix}/b`, Index: 5 },
      { Verb: "delete-tree", Key: `${prefix}/c` },
    );
    expect(answer).toMatchObject({ status: 200, body: '{"Results":[],"Errors":null}' });
    expect((await consul.client.kv.list(prefix)).value).toEqual([]);
  });

  test("reads answer like a read, with the values of gets alone", async () => {
    const prefix = freshPrefix();
    const session = await consul.session();
    await consul.client.kv.acquire({ key: `${prefix}/a`, value: "1", session });
    const at = await indexAt(`${prefix}/a`);
    const answer = await txn(
      { Verb: "get", Key: `${prefix}/a` },
      { Verb: "get-tree", Key: prefix },
      { Verb: "check-index", Key: `${prefix}/a`, Index: at },
      { Verb: "check-session", Key: `${prefix}/a`, Session: session },
      { Verb: "check-not-exists", Key: `${prefix}/b` },
      { Verb: "get-tree", Key: `${prefix}/b` },
    );
    const a = (value: string): string =>
      `{"KV":{"LockIndex":1,"Key":"${prefix}/a","Flags":0,"Value":${value},` +
      `"Session":"${session}","CreateIndex":${at},"ModifyIndex":${at}}}`;
    expect(answer.status).toBe(200);
    expect(answer.header("x-consul-index")).toBeUndefined();
    expect(answer.header("x-consul-knownleader")).toBe("true");
    const results = [a('"MQ=="'), a('"MQ=="'), a("null"), a("null")].join(",");
    expect(answer.body).toBe(`{"Results":[${results}],"Errors":null,${READ_META}}`);
  });

  test("each operation sees what those before it have done", async () => {
    const key = freshPrefix();
    await consul.client.kv.put({ key, value: "1" });
    const index = await indexAt(key);
    const answer = await txn(
      { Verb: "cas", Key: key, Value: "Mg==", Index: index },
      { Verb: "set", Key: key, Value: "Mw==" },
      { Verb: "check-not-exists", Key: `${key}/new` },
      { Verb: "set", Key: `${key}/new`, Value: "" },
      { Verb: "get", Key: `${key}/new` },
      { Verb: "delete", Key: `${key}/new` },
      { Verb: "check-not-exists", Key: `${key}/new` },
    );
    expect(answer.status).toBe(200);
    expect(answer.body.match(/"Key"/g)).toHaveLength(4);
    const { value: entry } = await consul.client.kv.get(key);
    expect(Buffer.from(entry?.value ?? []).toString()).toBe("3");
    expect(answer.body).toContain(`"CreateIndex":${index},"ModifyIndex":${entry?.modifyIndex}`);
    expect((await consul.client.kv.get(`${key}/new`)).value).toBeNull();
  });

  test("a tree that is read is what the writes before it have made of it, with its values", async () => {
    const prefix = `${freshPrefix()}/`;
    await consul.client.kv.put({ key: `${prefix}b`, value: "1" });
    await consul.client.kv.put({ key: `${prefix}d`, value: "2" });
    const outcome = await consul.client.kv.txn([
      { verb: "get-tree", key: prefix },
      { verb: "set", key: `${prefix}c`, value: "3" },
      { verb: "delete", key: `${prefix}d` },
      { verb: "set", key: `${prefix}b`, value: "4" },
      { verb: "set", key: `${prefix}a` },
      { verb: "get-tree", key: prefix },
      { verb: "get", key: `${prefix}c` },
      { verb: "set", key: `${prefix}e`, value: "5" },
    ]);
    if (!outcome.applied) throw new Error("the transaction failed", { cause: outcome.errors });
    const text = (value: Uint8Array | null): string | null =>
      value === null ? null : Buffer.from(value).toString();
    expect(
      outcome.entries.map(({ key, value }) => [key.slice(prefix.length), text(value)]),
    ).toEqual([
      ...[
        ["b", "1"],
        ["d", "2"],
      ],
      ...[
        ["c", null],
        ["b", null],
        ["a", null],
      ],
      ...[
        ["a", null],
        ["b", "4"],
        ["c", "3"],
      ],
      ["c", "3"],
      ["e", null],
    ]);
    const at = outcome.entries.at(-1)?.modifyIndex;
    expect(outcome.entries.slice(5).every(({ modifyIndex }) => modifyIndex === at)).toBe(true);
  });

  test("a tree of nothing is read without an entry or an error, after a write as well", async () => {
    const prefix = `${freshPrefix()}/`;
    await consul.client.kv.put({ key: `${prefix}a`, value: "1" });
    const none = { verb: "get-tree", key: `${prefix}none/` } as const;
    expect(await consul.client.kv.txn([none])).toEqual({ applied: true, entries: [] });
    const outcome = await consul.client.kv.txn([
      { verb: "delete", key: `${prefix}a` },
      none,
      { verb: "get-tree", key: prefix },
    ]);
    expect(outcome).toEqual({ applied: true, entries: [] });
  });

  test("a set that changes nothing answers the index of the entry", async () => {
    const key = freshPrefix();
    await consul.client.kv.put({ key, value: "1" });
    const index = await indexAt(key);
    expect((await txn({ Verb: "set", Key: key, Value: "MQ==" })).body).toContain(
      `"CreateIndex":${index},"ModifyIndex":${index}`,
    );
    expect(await indexAt(key)).toBe(index);
  });

  test("nothing stays of a transaction in which one operation fails, and all failures are told", async () => {
    const prefix = freshPrefix();
    const [one, two] = [await consul.session(), await consul.session()];
    const held = `${prefix}/held`;
    await consul.client.kv.acquire({ key: held, value: "1", session: one });
    const index = await indexAt(held);
    const { value: before, meta } = await consul.client.kv.list(`${prefix}/`);
    const none = "adf4238a-882b-9ddc-4a9d-5b6758e4159e";

    const answer = await txn(
      { Verb: "set", Key: `${prefix}/new`, Value: "MQ==" },
      { Verb: "cas", Key: held, Index: 0 },
      { Verb: "cas", Key: held, Index: index + 1_000_000 },
      { Verb: "delete-cas", Key: held, Index: 1 },
      { Verb: "lock", Key: held, Session: two },
      { Verb: "lock", Key: held },
      { Verb: "lock", Key: held, Session: none },
      { Verb: "lock", Key: held, Session: "x" },
      { Verb: "unlock", Key: held, Session: two },
      { Verb: "unlock", Key: `${prefix}/none`, Session: one },
      { Verb: "unlock", Key: held },
      { Verb: "get", Key: `${prefix}/none` },
      { Verb: "get", Key: `${prefix}/new` },
      { Verb: "check-session", Key: held, Session: two },
      { Verb: "check-session", Key: `${prefix}/none` },
      { Verb: "check-index", Key: held, Index: 1 },
      { Verb: "check-index", Key: `${prefix}/none`, Index: 1 },
      { Verb: "check-not-exists", Key: held },
      { Verb: "other", Key: held },
      { Verb: "delete", Key: held },
    );

    const unlocked = (key: string): string =>
      `failed to unlock key "${key}", lock isn't held, or is held by another session`;
    expect(answer.status).toBe(409);
    expect(answer.header("content-type")).toBe("application/json");
    expect(answer.body).toBe(
      `${errors(
        [1, `failed to set key "${held}", index is stale`],
        [2, `failed to set key "${held}", index is stale`],
        [3, `failed to delete key "${held}", index is stale`],
        [4, `failed to lock key "${held}", lock is already held`],
        [5, "missing session"],
        [6, `invalid session "${none}"`],
        [7, "failed session lookup: index error: UUID must be 36 characters"],
        [8, unlocked(held)],
        [9, unlocked(`${prefix}/none`)],
        [10, "missing session"],
        [11, `key "${prefix}/none" doesn't exist`],
        [13, `failed session check for key "${held}", current session "${one}" != "${two}"`],
        [14, `failed to check session, key "${prefix}/none" doesn't exist`],
        [15, `failed index check for key "${held}", current modify index ${index} != 1`],
        [16, `failed to check index, key "${prefix}/none" doesn't exist`],
        [17, `key "${held}" exists`],
        [18, 'unknown KV verb "other"'],
      )}}`,
    );
    const after = await consul.client.kv.list(`${prefix}/`);
    expect(after.value).toEqual(before);
    expect(after.meta.index).toBe(meta.index);
  });

  test.each([{}, { consistent: true }])(
    "a transaction that only reads answers an error for each check that fails: %o",
    async (options) => {
      const prefix = freshPrefix();
      const [one, two] = [await consul.session(), await consul.session()];
      for (const name of ["a", "b", "c"]) {
        await consul.client.kv.acquire({ key: `${prefix}/${name}`, value: name, session: one });
      }
      const check = (name: string, session: string) =>
        ({ verb: "check-session", key: `${prefix}/${name}`, session }) as const;
      const taken = (name: string): string =>
        `failed session check for key "${prefix}/${name}", current session "${one}" != "${two}"`;
      const checks = [
        check("a", one),
        check("b", two),
        check("gone", one),
        check("c", one),
        check("c", two),
      ];
      expect(await consul.client.kv.txn(checks, options)).toEqual({
        applied: false,
        errors: [
          { operation: 1, what: taken("b") },
          { operation: 2, what: `failed to check session, key "${prefix}/gone" doesn't exist` },
          { operation: 4, what: taken("c") },
        ],
      });
      const sound = [check("a", one), check("b", one), check("c", one)];
      expect(await consul.client.kv.txn(sound, options)).toMatchObject({
        applied: true,
        entries: ["a", "b", "c"].map((name) => ({ key: `${prefix}/${name}`, session: one })),
      });
    },
  );

  test("a consistent transaction that only reads answers as any other that does", async () => {
    const key = freshPrefix();
    await consul.client.kv.put({ key, value: "1" });
    const at = await indexAt(key);
    const body = JSON.stringify([{ KV: { Verb: "get", Key: key } }]);
    const answer = await consul.send("PUT", "/v1/txn?consistent", body);
    expect(answer.status).toBe(200);
    expect(answer.header("x-consul-knownleader")).toBe("true");
    expect(answer.body).toBe(
      `{"Results":[{"KV":{"LockIndex":0,"Key":"${key}","Flags":0,"Value":"MQ==",` +
        `"CreateIndex":${at},"ModifyIndex":${at}}}],"Errors":null,${READ_META}}`,
    );
    const write = JSON.stringify([{ KV: { Verb: "delete", Key: key } }]);
    expect(await consul.send("PUT", "/v1/txn?consistent", write)).toMatchObject({
      status: 200,
      body: '{"Results":[],"Errors":null}',
    });
  });

  test("reads that fail answer like a read", async () => {
    const key = `${freshPrefix()}"\\\u00e9`;
    const answer = await txn({ Verb: "get", Key: key }, { Verb: "other", Key: key });
    expect(answer.status).toBe(409);
    expect(answer.body).toBe(
      `${errors(
        [0, `key "${key.replace('"\\', '\\"\\\\')}" doesn't exist`],
        [1, 'unknown KV verb "other"'],
      )},${READ_META}}`,
    );
  });

  test("what the leader refuses is told alone: no key, and lock-delay", async () => {
    const key = freshPrefix();
    const holder = await consul.session({ LockDelay: "60s" });
    await consul.client.kv.acquire({ key, value: "", session: holder });
    await consul.client.session.destroy(holder);
    const answer = await txn(
      { Verb: "set", Key: "" },
      { Verb: "get-tree", Key: "" },
      { Verb: "cas", Key: key, Index: 1 },
      { Verb: "lock", Key: key, Session: await consul.session() },
    );
    expect(answer).toMatchObject({ status: 409 });
    expect(answer.body).toBe(
      `${errors(
        [0, "Must provide key"],
        [1, "Must provide key"],
        [3, `failed to lock key "${key}" due to lock delay`],
      )}}`,
    );
  });

  test.each(["[]", "[{}]", "null", '[{"KV":null}]'])("%s does nothing", async (body) => {
    const answer = await txnOf(body);
    expect(answer).toMatchObject({
      status: 200,
      body: `{"Results":[],"Errors":null,${READ_META}}`,
    });
  });

  test("members are known in any case, and those that are not known are refused", async () => {
    const key = freshPrefix();
    expect(await txnOf(`[{"kv":{"VERB":"set","key":"${key}","value":null}}]`)).toMatchObject({
      status: 200,
    });
    expect(await txnOf(`[{"KV":{"Verb":"set","Key":"${key}","Valu":""}}]`)).toMatchObject({
      status: 400,
      body: 'Failed to parse body: json: unknown field "Valu"',
    });
  });

  const wrong = (number: string): string =>
    `json: cannot unmarshal ${number} into Go struct field KVTxnOp.KV.Flags of type uint64`;
  test.each([
    ["", "EOF"],
    ['[{"KV":{"Value":"!!"}}]', "illegal base64 data at input byte 0"],
    ['[{"KV":{"Flags":-1}}]', wrong("number -1")],
    ['[{"KV":{"Flags":1.0}}]', wrong("number 1.0")],
    ['[{"KV":{"Flags":1e3}}]', wrong("number 1e3")],
    ['[{"KV":{"Flags":18446744073709551616}}]', wrong("number 18446744073709551616")],
    ['[{"KV":{"Flags":"1"}}]', wrong("string")],
  ])("a body of %s is 400: %s", async (body, problem) => {
    expect(await txnOf(body)).toMatchObject({
      status: 400,
      body: `Failed to parse body: ${problem}`,
    });
  });

  test.each(["{}", "[", "x", "[{]", "[1]"])("a body of %s is 400", async (body) => {
    const answer = await txnOf(body);
    expect(answer.status).toBe(400);
    expect(answer.body).toMatch(/^Failed to parse body: /);
  });

  test("64 operations may be in one, and 512 KiB", async () => {
    const prefix = freshPrefix();
    const operations = (count: number): Operation[] =>
      Array.from({ length: count }, (_, number) => ({ Verb: "set", Key: `${prefix}/${number}` }));
    expect((await txn(...operations(64))).status).toBe(200);
    expect(await txn(...operations(65))).toMatchObject({
      status: 413,
      body: "Transaction contains too many operations (65 > 64)",
    });
    const size = 512 * 1024 + 1;
    expect(await txnOf("[".padEnd(size))).toMatchObject({
      status: 413,
      body:
        `Request body(${size} bytes) too large, max size: ${size - 1} bytes. ` +
        "See https://www.consul.io/docs/agent/options.html#txn_max_req_len.",
    });
  });
});
