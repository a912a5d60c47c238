import { expect, test } from "vitest";

import { conform, freshPrefix, indexOf } from "./consul-under-test.js";

const NO_SESSION = "adf4238a-882b-9ddc-4a9d-5b6758e4159e";

conform((consul) => {
  const create = (body: string) => consul.send("PUT", "/v1/session/create", body);
  const idOf = (body: string): string => /[0-9a-f]{8}(?:-[0-9a-f]+){4}/.exec(body)?.[0] ?? body;
  const info = (id: string) => consul.send("GET", `/v1/session/info/${id}`);
  /** What the answers say of the session that a body makes, but for its ID, node and indexes. */
  const made = async (body: string): Promise<string> => {
    const { body: json } = await info(idOf((await create(body)).body));
    return json
      .replace(/"ID":"[^"]+",/, "")
      .replace(/"Node":"[^"]+",/, "")
      .replace(/,"CreateIndex":\d+,"ModifyIndex":\d+/, "");
  };

  test("the JSON of a session", async () => {
    const id = idOf((await create('{"Name":"a<b","TTL":"10s","Behavior":"delete"}')).body);
    const answer = await info(id);
    const node = /"Node":"([^"]+)"/.exec(answer.body)?.[1] ?? "";
    const index = indexOf(answer);
    const json =
      `[{"ID":"${id}","Name":"a\\u003cb","Node":"${node}","LockDelay":15000000000,` +
      `"Behavior":"delete","TTL":"10s","NodeChecks":["serfHealth"],"ServiceChecks":null,` +
      `"CreateIndex":${index},"ModifyIndex":${index}}]`;
    expect(answer.body).toBe(json);
    expect((await consul.send("PUT", `/v1/session/renew/${id}`)).body).toBe(json);
    expect((await consul.send("GET", "/v1/session/list")).body).toContain(json.slice(1, -1));
    await consul.send("PUT", `/v1/session/destroy/${id}`);
    expect((await info(id)).body).toBe("[]");
  });

  test("a list is in the order of the IDs", async () => {
    for (let count = 0; count < 5; count += 1) await consul.session();
    const { body } = await consul.send("GET", "/v1/session/list");
    const ids = [...body.matchAll(/"ID":"([^"]+)"/g)].map(([, id]) => id);
    expect(ids.length).toBeGreaterThanOrEqual(5);
    expect(ids).toEqual(ids.toSorted());
  });

  test.each([
    ["", '["serfHealth"]', "null", ""],
    ["{}", '["serfHealth"]', "null", ""],
    ["null", '["serfHealth"]', "null", ""],
    ['{"Unknown":1}', '["serfHealth"]', "null", ""],
    ['{"Checks":[],"NodeChecks":[]}', "[]", "null", ""],
    ['{"Checks":[]}', "[]", "null", ""],
    ['{"Checks":null}', "[]", "null", ""],
    ['{"NodeChecks":[]}', "[]", "null", ""],
    ['{"NodeChecks":null}', "null", "null", ""],
    ['{"Checks":["serfHealth"]}', '["serfHealth"]', "null", ""],
    ['{"nodechecks":["serfHealth","serfHealth"]}', '["serfHealth","serfHealth"]', "null", ""],
    [
      '{"Checks":["serfHealth","serfHealth"]}',
      '["serfHealth"]',
      "null",
      ',"Checks":["serfHealth","serfHealth"]',
    ],
    ['{"ServiceChecks":[]}', '["serfHealth"]', "[]", ""],
  ])("the checks of %s", async (body, nodeChecks, serviceChecks, checks) => {
    expect(await made(body)).toBe(
      '[{"Name":"","LockDelay":15000000000,"Behavior":"release","TTL":"",' +
        `"NodeChecks":${nodeChecks},"ServiceChecks":${serviceChecks}${checks}}]`,
    );
  });

  test.each([
    ['"15s"', "15000000000"],
    ["15", "15000000000"],
    ["999", "999000000000"],
    ["1000", "1000"],
    ["15000000000", "15000000000"],
    ["1.5", "1000000000"],
    ["-1", "-1000000000"],
    ["0", "0"],
    ["null", "15000000000"],
    ["true", "0"],
    ['"0s"', "0"],
    ['"0"', "0"],
    ['"1.5ms"', "1500000"],
    ['"1.0000005ms"', "1000000"],
    ['"1us"', "1000"],
    ['"500ns"', "500000000000"],
    ['"-1s"', "-1000000000000000000"],
    ['"1h0.5m"', "3630000000000"],
  ])("a lock-delay of %s is %s ns", async (written, nanoseconds) => {
    expect(await made(`{"LockDelay":${written}}`)).toContain(`"LockDelay":${nanoseconds},`);
  });

  test.each(["", "0", "0s", "-0s", "10s", "10.s", "+12s", "13000000us", "1m1.5s", "24h"])(
    "a TTL of '%s' is kept as it was written",
    async (ttl) => {
      expect(await made(`{"TTL":"${ttl}"}`)).toContain(`"TTL":"${ttl}"`);
    },
  );

  test.each([
    ["999ms", "Invalid Session TTL '999000000', must be between [1s=24h0m0s]"],
    [".5s", "Invalid Session TTL '500000000', must be between [1s=24h0m0s]"],
    ["24h1ns", "Invalid Session TTL '86400000000001', must be between [1s=24h0m0s]"],
    ["-1s", "Invalid Session TTL '-1000000000', must be between [1s=24h0m0s]"],
    ["x", `Session TTL 'x' invalid: time: invalid duration "x"`],
    [".s", `Session TTL '.s' invalid: time: invalid duration ".s"`],
    ["10", `Session TTL '10' invalid: time: missing unit in duration "10"`],
    ["1d", `Session TTL '1d' invalid: time: unknown unit "d" in duration "1d"`],
    ["99999999h", `Session TTL '99999999h' invalid: time: invalid duration "99999999h"`],
  ])("a TTL of %s is 500", async (ttl, body) => {
    expect(await create(`{"TTL":"${ttl}"}`)).toMatchObject({ status: 500, body });
  });

  test.each([
    ['{"Behavior":"x"}', 500, "Invalid Behavior setting 'x'"],
    ['{"Node":"none"}', 500, "Missing node registration"],
    ['{"NodeChecks":["none"]}', 500, "Missing check 'none' registration"],
    ['{"Checks":["none"]}', 500, "Missing check 'none' registration"],
    ['{"ServiceChecks":[{"ID":"none"}]}', 500, "Missing check 'none' registration"],
    ['{"LockDelay":"x"}', 400, 'Request decode failed: time: invalid duration "x"'],
    [
      '{"Name":{}}',
      400,
      "Request decode failed: json: cannot unmarshal object into Go struct field .Name of type string",
    ],
    [
      '{"LockDelay":1e400}',
      400,
      "Request decode failed: json: cannot unmarshal number 1e400 into Go struct field .LockDelay of type float64",
    ],
  ])("a session of %s is %i: %s", async (spec, status, body) => {
    expect(await create(spec)).toMatchObject({ status, body });
  });

  test.each(["{", "x", "[]", '"a"'])("a body of %s is 400", async (body) => {
    const answer = await create(body);
    expect(answer.status).toBe(400);
    expect(answer.body).toMatch(/^Request decode failed: /);
  });

  test.each([
    ["PUT", `renew/${NO_SESSION}`, 404, `Session id '${NO_SESSION}' not found`],
    ["PUT", `destroy/${NO_SESSION}`, 200, "true"],
    ["GET", `info/${NO_SESSION}`, 200, "[]"],
    ["PUT", "renew/", 400, "Missing session"],
    ["PUT", "destroy/", 400, "Missing session"],
    ["GET", "info/", 400, "Missing session"],
    ["PUT", "renew/x", 500, "failed session lookup: index error: UUID must be 36 characters"],
    ["PUT", "destroy/x", 500, "failed session lookup: index error: UUID must be 36 characters"],
    ["GET", "info/x", 500, "failed session lookup: index error: UUID must be 36 characters"],
  ])("%s %s is %i: %s", async (method, path, status, body) => {
    expect(await consul.send(method, `/v1/session/${path}`)).toMatchObject({ status, body });
  });

  test("a look at no ID has the headers of a read that knows nothing", async () => {
    const answer = await info("x");
    expect(indexOf(answer)).toBe(1n);
    expect(answer.header("x-consul-knownleader")).toBe("false");
  });

  test("the index of a look is that of the last session made or ended", async () => {
    const id = await consul.session();
    const created = indexOf(await info(id));
    const other = await consul.session();
    expect(indexOf(await info(id))).toBeGreaterThan(created);
    const before = indexOf(await info(NO_SESSION));
    await consul.send("PUT", `/v1/session/renew/${id}`);
    expect(indexOf(await info(id))).toBe(before);
    await consul.client.session.destroy(other);
    expect(indexOf(await info(id))).toBeGreaterThan(before);
  });

  test.each(["release", "delete"])("the end of a session: %s", async (behavior) => {
    const prefix = freshPrefix();
    const id = await consul.session({ Behavior: behavior });
    for (const key of ["a", "b"]) {
      await consul.client.kv.acquire({ key: `${prefix}/${key}`, value: key, session: id });
    }
    await consul.client.kv.put({ key: `${prefix}/c`, value: "c" });
    const { meta } = await consul.client.kv.list(`${prefix}/`);

    await consul.client.session.destroy(id);

    const { value: left, meta: after } = await consul.client.kv.list(`${prefix}/`);
    expect(after.index).toBeGreaterThan(meta.index);
    expect(left.map(({ key, session }) => [key.slice(-1), session])).toEqual(
      behavior === "release"
        ? [
            ["a", null],
            ["b", null],
            ["c", null],
          ]
        : [["c", null]],
    );
    if (behavior === "release") {
      expect(left.map(({ modifyIndex }) => modifyIndex)).toEqual([
        after.index,
        after.index,
        expect.any(BigInt),
      ]);
      expect(left[0]?.lockIndex).toBe(1n);
    }
  });

  test("a session ends after twice its TTL, and a renewal starts its time anew", async () => {
    const key = freshPrefix();
    const createdAt = performance.now();
    const id = await consul.session({ TTL: "2s", Behavior: "delete" });
    await consul.client.kv.acquire({ key, value: "", session: id });
    const { value: entry } = await consul.client.kv.get(key);
    const index = entry?.modifyIndex ?? 0n;

    await consul.client.kv.get(key, { index, wait: "500ms" });
    const renewedAt = performance.now();
    expect(await consul.client.session.renew(id)).not.toBeNull();

    const { value } = await consul.client.kv.get(key, { index, wait: "5m" });
    expect(value).toBeNull();
    expect(performance.now() - renewedAt).toBeGreaterThanOrEqual(4_000);
    expect(performance.now() - createdAt).toBeGreaterThanOrEqual(4_500);
    expect(await consul.client.session.renew(id)).toBeNull();
  });

  test("an ID is the same in capitals", async () => {
    const key = freshPrefix();
    const id = await consul.session();
    const capitals = id.toUpperCase();
    expect((await info(capitals)).body).toContain(id);
    expect(await consul.client.kv.acquire({ key, value: "", session: capitals })).toBe(true);
    expect((await consul.client.kv.get(key)).value?.session).toBe(capitals);
    await consul.client.session.destroy(capitals);
    expect((await consul.client.kv.get(key)).value?.session).toBeNull();
  });
});
