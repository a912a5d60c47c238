// The thin client against a real Consul: what it sends is understood, what it gets is read right.
import { expect, test } from "vitest";

import { ConsulError, type KVEntry } from "../../src/index.js";
import { connect, freshPrefix, makeSession } from "./fixture.js";
import { Proxy } from "./proxy.js";

function text(entry: KVEntry | null): string | null {
  return entry?.value ? Buffer.from(entry.value).toString() : null;
}

test("stores and reads an entry, its bytes and all 64 bits of its flags", async () => {
  const { kv } = connect();
  const key = `${freshPrefix()}/key`;
  const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  for (const flags of [0n, 1n, 2n ** 53n + 1n, 0xe0f69a2baa414de0n, 2n ** 64n - 1n]) {
    expect(await kv.put({ key, value: bytes, flags })).toBe(true);
    const { value: entry, meta } = await kv.get(key);
    expect(entry).toMatchObject({ key, value: bytes, flags, session: null, lockIndex: 0n });
    expect(entry?.modifyIndex).toBeGreaterThan(0n);
    expect(meta.index).toBe(entry?.modifyIndex);
    expect(meta).toMatchObject({ knownLeader: true, lastContact: 0 });
  }
});

test("a value without a byte is null, and a key without an entry too", async () => {
  const { kv } = connect();
  const prefix = freshPrefix();
  await kv.put({ key: `${prefix}/empty`, value: "" });
  expect((await kv.get(`${prefix}/empty`)).value?.value).toBeNull();
  expect((await kv.get(`${prefix}/none`)).value).toBeNull();
  expect((await kv.list(`${prefix}/none/`)).value).toEqual([]);
});

test.each([
  "a b",
  "100%",
  "?x=1&y#z",
  "a+b",
  "né",
  "日本",
  "🔑",
  `"'\\`,
  "<&>",
  "a/b/",
  "%2F",
  "~!$*()",
])("keys are encoded right: %s", async (name) => {
  const { kv } = connect();
  const key = `${freshPrefix()}/${name}`;
  await kv.put({ key, value: name });
  expect(text((await kv.get(key)).value)).toBe(name);
  expect((await kv.list(key)).value.map((entry) => entry.key)).toEqual([key]);
  await kv.delete(key);
  expect((await kv.get(key)).value).toBeNull();
});

test("a key that Consul's HTTP API cannot reach is refused before a request", async () => {
  const { kv } = connect();
  for (const key of ["/a", "", "a//b", "./a", "a/../b", "\ud800"]) {
    await expect(kv.put({ key, value: "x" })).rejects.toMatchObject({ code: "CONSUL_BAD_REQUEST" });
  }
});

test("cas and deleteCas act only on the entry they were told of", async () => {
  const { kv } = connect();
  const key = `${freshPrefix()}/key`;
  expect(await kv.cas({ key, value: "1", modifyIndex: 0n })).toBe(true);
  expect(await kv.cas({ key, value: "2", modifyIndex: 0n })).toBe(false);
  const { value: entry } = await kv.get(key);
  const modifyIndex = entry?.modifyIndex ?? 0n;
  expect(await kv.cas({ key, value: "3", modifyIndex })).toBe(true);
  expect(await kv.cas({ key, value: "4", modifyIndex })).toBe(false);
  expect(await kv.deleteCas({ key, modifyIndex })).toBe(false);
  const { value: newer } = await kv.get(key);
  expect(text(newer)).toBe("3");
  expect(await kv.deleteCas({ key, modifyIndex: newer?.modifyIndex ?? 0n })).toBe(true);
  expect((await kv.get(key)).value).toBeNull();
});

test("the operations of a transaction take place together, at one index", async () => {
  const { kv } = connect();
  const prefix = freshPrefix();
  const [one, two, three] = [`${prefix}/1`, `${prefix}/2`, `${prefix}/3`];
  const session = await makeSession();
  await kv.put({ key: three, value: "3" });
  await kv.acquire({ key: two, value: "2", session });

  const outcome = await kv.txn([
    { verb: "check-not-exists", key: one },
    { verb: "check-session", key: two, session },
    { verb: "cas", key: one, value: "né", flags: 0xe0f69a2baa414de0n, modifyIndex: 0n },
    { verb: "set", key: two, value: Uint8Array.of(0, 255) },
    { verb: "delete", key: three },
  ]);

  expect(outcome.applied).toBe(true);
  const { value: first } = await kv.get(one);
  const { value: second } = await kv.get(two);
  expect(first).toMatchObject({ flags: 0xe0f69a2baa414de0n, modifyIndex: second?.modifyIndex });
  expect(text(first)).toBe("né");
  expect(second).toMatchObject({ value: Uint8Array.of(0, 255), session });
  expect((await kv.get(three)).value).toBeNull();
  const written = outcome.applied ? outcome.entries : [];
  expect(written.map(({ key }) => key)).toEqual([two, one, two]);
  expect(written.slice(1).map(({ modifyIndex }) => modifyIndex)).toEqual([
    first?.modifyIndex,
    first?.modifyIndex,
  ]);
});

test("of a transaction that one operation forbids nothing takes place", async () => {
  const { kv } = connect();
  const prefix = freshPrefix();
  const [one, two] = [`${prefix}/1`, `${prefix}/2`];
  await kv.put({ key: one, value: "1" });
  const outcome = await kv.txn([
    { verb: "set", key: two, value: "2" },
    { verb: "cas", key: one, value: "x", modifyIndex: 1n },
    { verb: "check-not-exists", key: one },
  ]);
  const errors = outcome.applied ? [] : outcome.errors;
  expect(errors.map(({ operation, what }) => `${operation}: ${what}`)).toEqual([
    `1: failed to set key "${one}", index is stale`,
    `2: key "${one}" exists`,
  ]);
  expect((await kv.get(two)).value).toBeNull();
});

test("acquire and release take and give an entry's lock", async () => {
  const client = connect();
  const key = `${freshPrefix()}/key`;
  const [one, two] = [await makeSession(), await makeSession()];
  expect(await client.kv.acquire({ key, value: "1", flags: 7n, session: one })).toBe(true);
  expect(await client.kv.acquire({ key, value: "2", session: two })).toBe(false);
  expect((await client.kv.get(key)).value).toMatchObject({
    session: one,
    flags: 7n,
    lockIndex: 1n,
  });
  expect(await client.kv.release({ key, session: two })).toBe(false);
  expect(await client.kv.release({ key, value: "1", session: one })).toBe(true);
  expect((await client.kv.get(key)).value?.session).toBeNull();
});

test("a blocking query answers at the change, and at the end of its wait without one", async () => {
  const { kv } = connect();
  const prefix = freshPrefix();
  await kv.put({ key: `${prefix}/a`, value: "1" });
  const { meta } = await kv.list(`${prefix}/`, { consistent: true });

  const unchanged = await kv.list(`${prefix}/`, { index: meta.index, wait: "50ms" });
  expect(unchanged.value).toHaveLength(1);

  const changed = kv.list(`${prefix}/`, { index: meta.index, wait: "5m" });
  await kv.put({ key: `${prefix}/b`, value: "2" });
  expect((await changed).value).toHaveLength(2);
  expect((await changed).meta.index).toBeGreaterThan(meta.index);
});

test("sessions are created, renewed, looked up and destroyed", async () => {
  const { session } = connect();
  const id = await session.create({ name: "n", ttl: "30s", behavior: "delete", lockDelay: "5s" });
  const entry = {
    id,
    name: "n",
    ttl: "30s",
    behavior: "delete",
    lockDelay: 5_000,
    checks: ["serfHealth"],
  };
  expect((await session.info(id)).value).toMatchObject(entry);
  expect(await session.renew(id)).toMatchObject(entry);
  expect(await session.destroy(id)).toBe(true);
  expect(await session.renew(id)).toBeNull();
  expect((await session.info(id)).value).toBeNull();
  expect(await session.destroy(id)).toBe(true);
});

test("a list of sessions shows each, and all digits of its lock-delay", async () => {
  const { session } = connect();
  const lockDelay = 15_000.123456;
  const id = await session.create({ name: "marked", ttl: "30s", lockDelay });
  const { value } = await session.list({ consistent: true });
  expect(value.find((entry) => entry.id === id)).toMatchObject({ name: "marked", lockDelay });
  await session.destroy(id);
});

test("a session without checks depends on nothing but its TTL", async () => {
  const { session } = connect();
  const id = await session.create({ ttl: 60_000, checks: [] });
  expect((await session.info(id)).value).toMatchObject({ ttl: "60000ms", checks: [] });
  await session.destroy(id);
});

test("an error of Consul's comes with its status and text", async () => {
  const failure = await connect()
    .session.create({ checks: ["no-such-check"] })
    .catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ConsulError);
  expect(failure).toMatchObject({ code: "CONSUL_STATUS", status: 500, method: "PUT" });
  expect(failure).toMatchObject({ path: "/v1/session/create" });
  expect(String(failure)).toMatch(/Unexpected response code: 500 \(.*no-such-check/);
});

test("nobody at the address is an error that names it", async () => {
  const { kv } = connect({ address: "127.0.0.1:1" });
  const failure = await kv.get("a").catch((error: unknown) => error);
  // It may be wrong, or not up yet.
  expect(failure).toMatchObject({
    ...{ code: "CONSUL_UNREACHABLE", retryable: true, neverAnswered: true },
  });
  expect(String(failure)).toContain("http://127.0.0.1:1: connect ECONNREFUSED");
});

test("nobody at an address where somebody was before may be somebody again", async () => {
  const proxy = await Proxy.start();
  const { kv } = connect({ address: proxy.address });
  await kv.get("a");
  await proxy.shut();
  await expect(kv.get("a")).rejects.toMatchObject({ code: "CONSUL_UNREACHABLE", retryable: true });
  await proxy.reopen();
  expect((await kv.get("a")).value).toBeNull();
});

test("a closed client sends nothing more, and closing again is no harm", async () => {
  const client = connect();
  const waiting = client.kv.list(`${freshPrefix()}/`, { index: 2n ** 62n, wait: "5m" });
  const outcome = waiting.catch((error: unknown) => error);
  await client.kv.get("a");
  await client.close();
  expect(await outcome).toMatchObject({ code: "CONSUL_CLOSED" });
  await expect(client.kv.get("a")).rejects.toMatchObject({ code: "CONSUL_CLOSED" });
  await client.close();
});
