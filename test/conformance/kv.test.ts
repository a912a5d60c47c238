import { expect, test, vi } from "vitest";

import { conform, freshPrefix, indexOf } from "./consul-under-test.js";

conform((consul) => {
  const put = async (path: string, body = ""): Promise<string> =>
    (await consul.send("PUT", `/v1/kv/${path}`, body)).body;
  const get = async (path: string): Promise<string> =>
    (await consul.send("GET", `/v1/kv/${path}`)).body;
  const modifyIndexOf = async (key: string): Promise<bigint> =>
    (await consul.client.kv.get(key)).value?.modifyIndex ?? 0n;

  test("an entry's JSON, with the flags' every digit", async () => {
    const key = `${freshPrefix()}/é<&>"\\`;
    const path = encodeURI(key).replaceAll("&", "%26");
    for (const flags of [0n, 1n, 2n ** 53n + 1n, 2n ** 64n - 1n]) {
      expect(await put(`${path}?flags=${flags}`, "x")).toBe("true");
      const answer = await consul.send("GET", `/v1/kv/${path}`);
      const [, createIndex] = /"CreateIndex":(\d+)/.exec(answer.body) ?? [];
      expect(answer.body).toBe(
        `[{"LockIndex":0,"Key":"${key.replace('<&>"\\', '\\u003c\\u0026\\u003e\\"\\\\')}",` +
          `"Flags":${flags},"Value":"eA==",` +
          `"CreateIndex":${createIndex ?? ""},"ModifyIndex":${indexOf(answer)}}]`,
      );
    }
  });

  test("bytes of all values come back, and no bytes as null", async () => {
    const { kv } = consul.client;
    const key = freshPrefix();
    const value = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    await kv.put({ key, value });
    expect((await kv.get(key)).value?.value).toEqual(value);
    await kv.put({ key, value: "" });
    expect(await get(key)).toContain('"Value":null');
  });

  test("a read's headers", async () => {
    const key = freshPrefix();
    await put(key);
    for (const path of [key, `${key}?consistent`, `${key}?recurse`, `${key}?keys`, `${key}-none`]) {
      const answer = await consul.send("GET", `/v1/kv/${path}`);
      expect(answer.header("x-consul-knownleader")).toBe("true");
      expect(answer.header("x-consul-lastcontact")).toBe("0");
      expect(indexOf(answer)).toBeGreaterThan(1n);
    }
    const written = await consul.send("PUT", `/v1/kv/${key}`);
    expect(written.header("x-consul-index")).toBeUndefined();
    expect(written.header("content-type")).toBe("application/json");
  });

  test.each(["", "?recurse", "?keys"])("nothing is 404 without a body: %s", async (query) => {
    const answer = await consul.send("GET", `/v1/kv/${freshPrefix()}${query}`);
    expect(answer).toMatchObject({ status: 404, body: "" });
    expect(indexOf(answer)).toBeGreaterThan(0n);
  });

  test("a list is of all keys with the prefix, in the order of their bytes", async () => {
    const prefix = freshPrefix();
    const names = ["b", "a", "a/b", "a.", "\u{1f511}", "\uff61", "Z", "é"];
    for (const name of names) await consul.client.kv.put({ key: `${prefix}/${name}`, value: name });
    const { value: entries } = await consul.client.kv.list(`${prefix}/`);
    const sorted = ["Z", "a", "a.", "a/b", "b", "é", "\uff61", "\u{1f511}"];
    expect(entries.map(({ key }) => key)).toEqual(sorted.map((name) => `${prefix}/${name}`));
    expect(await get(`${prefix}/a?keys`)).toBe(`["${prefix}/a","${prefix}/a.","${prefix}/a/b"]`);
    expect(await get(`${prefix}/?keys&separator=/`)).toContain(`"${prefix}/a/","${prefix}/b"`);
  });

  test("a write changes the modify index, unless it changes nothing", async () => {
    const key = freshPrefix();
    await put(key, "1");
    const first = await modifyIndexOf(key);
    await put(key, "1");
    expect(await modifyIndexOf(key)).toBe(first);
    expect(await put(`${key}?cas=${first}`, "1")).toBe("true");
    expect(await modifyIndexOf(key)).toBe(first);
    await put(`${key}?flags=1`, "1");
    expect(await modifyIndexOf(key)).toBeGreaterThan(first);
    expect((await consul.client.kv.get(key)).value?.createIndex).toBe(first);
  });

  test("cas wants the right index, and 0 for no entry", async () => {
    const key = freshPrefix();
    expect(await put(`${key}?cas=1`, "1")).toBe("false");
    expect(await put(`${key}?cas=0`, "1")).toBe("true");
    expect(await put(`${key}?cas=0`, "2")).toBe("false");
    const index = await modifyIndexOf(key);
    expect(await put(`${key}?cas=${index - 1n}`, "2")).toBe("false");
    expect(await put(`${key}?cas=${index}`, "2")).toBe("true");
    expect(await put(`${key}?cas=${index}`, "3")).toBe("false");
  });

  test("delete, delete with cas and delete below a prefix", async () => {
    const prefix = freshPrefix();
    const remove = async (path: string): Promise<string> =>
      (await consul.send("DELETE", `/v1/kv/${prefix}${path}`)).body;
    expect(await remove("/none")).toBe("true");
    expect(await remove("/none?cas=0")).toBe("true");
    expect(await remove("/none?cas=7")).toBe("true");
    expect(await remove("/none?recurse")).toBe("true");

    await put(`${prefix}/a`);
    const index = await modifyIndexOf(`${prefix}/a`);
    expect(await remove("/a?cas=0")).toBe("false");
    expect(await remove(`/a?cas=${index - 1n}`)).toBe("false");
    expect(await remove(`/a?cas=${index}`)).toBe("true");
    for (const key of ["/a", "/a/b", "/b"]) await put(prefix + key);
    expect(await remove("/a?recurse")).toBe("true");
    expect(await get(`${prefix}?keys`)).toBe(`["${prefix}/b"]`);
    expect(await remove("/b")).toBe("true");
    expect(await get(`${prefix}?keys`)).toBe("");
  });

  test("a lock is one session's, and its index counts how often it was taken", async () => {
    const key = freshPrefix();
    const [one, two] = [await consul.session(), await consul.session()];
    const entry = async (): Promise<string> =>
      /"LockIndex":\d+|"Session":"[^"]+"/g[Symbol.match](await get(key))?.join() ?? "";

    expect(await put(`${key}?acquire=${one}`, "1")).toBe("true");
    expect(await entry()).toBe(`"LockIndex":1,"Session":"${one}"`);
    const taken = await modifyIndexOf(key);
    expect(await put(`${key}?acquire=${one}`, "1")).toBe("true");
    expect(await modifyIndexOf(key)).toBe(taken);
    expect(await put(`${key}?acquire=${one}`, "2")).toBe("true");
    expect(await entry()).toBe(`"LockIndex":1,"Session":"${one}"`);
    expect(await modifyIndexOf(key)).toBeGreaterThan(taken);

    expect(await put(`${key}?acquire=${two}`, "3")).toBe("false");
    expect(await put(`${key}?release=${two}`, "3")).toBe("false");
    expect(await put(`${key}?release=${one}`, "4")).toBe("true");
    expect(await entry()).toBe('"LockIndex":1');
    expect(await put(`${key}?release=${one}`, "4")).toBe("false");
    expect(await put(`${key}?acquire=${two}`, "5")).toBe("true");
    expect(await entry()).toBe(`"LockIndex":2,"Session":"${two}"`);
  });

  test("a plain write leaves the lock where it is, and sets its index to 0", async () => {
    const key = freshPrefix();
    const session = await consul.session();
    await put(`${key}?acquire=${session}`, "1");
    await put(key, "1");
    expect(await get(key)).toContain('"LockIndex":0');
    expect(await get(key)).toContain(`"Session":"${session}"`);
    expect(await put(`${key}?acquire=${session}`, "1")).toBe("true");
    expect(await get(key)).toContain('"LockIndex":0');
    expect(await put(`${key}?cas=${await modifyIndexOf(key)}`, "2")).toBe("true");
    expect(await get(key)).toContain(`"Session":"${session}"`);
  });

  test("a session that is no more can take no lock", async () => {
    const key = freshPrefix();
    const id = "adf4238a-882b-9ddc-4a9d-5b6758e4159e";
    const answer = await consul.send("PUT", `/v1/kv/${key}?acquire=${id}`);
    expect(answer).toMatchObject({ status: 500, body: `invalid session "${id}"` });
    expect(await put(`${key}?release=${id}`)).toBe("false");
  });

  test.each([
    ["acquire=", "missing session"],
    ["release=", "missing session"],
    ["acquire=x", "failed session lookup: index error: UUID must be 36 characters"],
    [
      "acquire=adf4238a-882b-9ddc-4a9d-5b6758e4159z",
      "failed session lookup: index error: Invalid UUID: encoding/hex: invalid byte: U+007A 'z'",
    ],
    [
      "acquire=adf4-38a-882b-9ddc-4a9d-5b6758e4159e",
      'failed session lookup: index error: UUID should have maximum of 4 "-"; got 5',
    ],
    ["flags=x", 'strconv.ParseUint: parsing "x": invalid syntax'],
    ["flags=", 'strconv.ParseUint: parsing "": invalid syntax'],
    ["cas=-1", 'strconv.ParseUint: parsing "-1": invalid syntax'],
    [
      "flags=18446744073709551616",
      'strconv.ParseUint: parsing "18446744073709551616": value out of range',
    ],
  ])("a write with %s is 500", async (query, body) => {
    const answer = await consul.send("PUT", `/v1/kv/${freshPrefix()}?${query}`);
    expect(answer).toMatchObject({ status: 500, body });
    expect(answer.header("content-type")).toBe("text/plain; charset=utf-8");
  });

  test.each([
    ["PUT", "a?cas=1&acquire=b%20c", "Conflicting flags: acquire=b+c&cas=1"],
    ["DELETE", "a?recurse&cas=1", "Conflicting flags: cas=1&recurse="],
    ["PUT", "", "Missing key name"],
    ["GET", "", "Missing key name"],
    ["DELETE", "", "Missing key name"],
    ["GET", "a?index=x", "Invalid index"],
    ["GET", "a?index=-1", "Invalid index"],
    ["GET", "a?wait=10", "Invalid wait time"],
    ["GET", "a?stale&consistent", "Cannot specify ?stale with ?consistent, conflicting semantics."],
  ])("%s %s is 400: %s", async (method, path, body) => {
    expect(await consul.send(method, `/v1/kv/${path}`)).toMatchObject({ status: 400, body });
  });

  test("a value of more than 512 KiB is 413", async () => {
    const path = `/v1/kv/${freshPrefix()}`;
    const largest = 512 * 1024;
    expect(await consul.send("PUT", path, "x".repeat(largest))).toMatchObject({ status: 200 });
    expect(await consul.send("PUT", path, "x".repeat(largest + 1))).toMatchObject({
      status: 413,
      body:
        `Request body(${largest + 1} bytes) too large, max size: ${largest} bytes. ` +
        "See https://www.consul.io/docs/agent/options.html#kv_max_value_size.",
    });
  });

  test("the end of a session with lock-delay keeps its locks from everybody for a while", async () => {
    const prefix = freshPrefix();
    const [holder, other] = [await consul.session({ LockDelay: "60s" }), await consul.session()];
    await put(`${prefix}/held?acquire=${holder}`);
    await put(`${prefix}/not-held`);
    await consul.client.session.destroy(holder);
    expect(await get(`${prefix}/held`)).not.toContain("Session");
    expect(await put(`${prefix}/held?acquire=${other}`)).toBe("false");
    // Not even the session is looked at.
    expect(await put(`${prefix}/held?acquire=none`)).toBe("false");
    expect(await put(`${prefix}/held`, "x")).toBe("true");
    expect(await put(`${prefix}/not-held?acquire=${other}`)).toBe("true");
  });

  test("a deleted entry's key is under lock-delay, too", async () => {
    const key = freshPrefix();
    const holder = await consul.session({ LockDelay: "60s", Behavior: "delete" });
    await put(`${key}?acquire=${holder}`);
    await consul.client.session.destroy(holder);
    expect(await get(key)).toBe("");
    expect(await put(`${key}?acquire=${await consul.session()}`)).toBe("false");
  });

  test("lock-delay ends, and 0 is none", async () => {
    const key = freshPrefix();
    const other = await consul.session();
    for (const delay of [1_000, 0]) {
      const holder = await consul.session({ LockDelay: `${delay}ms` });
      await put(`${key}?acquire=${holder}`);
      const destroyedAt = performance.now();
      await consul.client.session.destroy(holder);
      if (delay === 0) expect(await put(`${key}?acquire=${other}`)).toBe("true");
      await vi.waitFor(
        async () => {
          expect(await put(`${key}?acquire=${other}`)).toBe("true");
        },
        { timeout: 30_000, interval: 20 },
      );
      expect(performance.now() - destroyedAt).toBeGreaterThanOrEqual(delay);
      await put(`${key}?release=${other}`);
    }
  });
});
