// What a test can make the fake Consul do, and no client could.
import { expect, onTestFinished, test } from "vitest";
import { errors, request } from "undici";

import { ConsulClient } from "../../src/index.js";
import { CarriedDispatcher } from "../../src/testing/fake-consul/carried-dispatcher.js";
import type { HttpRequest, Receiver } from "../../src/testing/fake-consul/carrier.js";
import type { Clock } from "../../src/testing/fake-consul/clock.js";
import { FakeConsul } from "../../src/testing/fake-consul/fake-consul.js";

/** Time that passes when the test says so. */
class ManualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ readonly at: number; readonly call: () => void }>();

  now(): number {
    return this.#now;
  }

  after(ms: number, call: () => void): () => void {
    const timer = { at: this.#now + ms, call };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  get timers(): number {
    return this.#timers.size;
  }

  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      const [next] = due;
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#now = next.at;
      next.call();
    }
    this.#now = end;
  }
}

function setUp(random = Math.random) {
  const clock = new ManualClock();
  const fake = new FakeConsul({ clock, random });
  const dispatcher = new CarriedDispatcher(fake.carrier);
  const client = new ConsulClient({ address: "http://fake-consul", dispatcher });
  onTestFinished(async () => {
    await client.close();
    fake.dispose();
    expect(clock.timers).toBe(0);
  });
  return { clock, fake, kv: client.kv, session: client.session };
}

test("a session ends at twice its TTL, to the millisecond", async () => {
  const { clock, fake, session } = setUp();
  const id = await session.create({ ttl: "10s" });
  clock.advance(15_000);
  await session.renew(id);
  clock.advance(19_999);
  expect(fake.sessions.map((known) => known.id)).toEqual([id]);
  clock.advance(1);
  expect(fake.sessions).toEqual([]);
});

test("lock-delay is over to the millisecond", async () => {
  const { clock, kv, session } = setUp();
  const [one, two] = [await session.create(), await session.create()];
  await kv.acquire({ key: "k", value: "", session: one });
  await session.destroy(one);
  clock.advance(14_999);
  expect(await kv.acquire({ key: "k", value: "", session: two })).toBe(false);
  clock.advance(1);
  expect(await kv.acquire({ key: "k", value: "", session: two })).toBe(true);
});

test("a blocking query waits its time and half of a sixteenth more", async () => {
  const { clock, kv } = setUp(() => 0.5);
  await kv.put({ key: "k", value: "1" });
  let answered = false;
  const waiting = kv.get("k", { index: 2n ** 62n, wait: "16s" }).then((result) => {
    answered = true;
    return result;
  });
  await kv.get("k");
  clock.advance(16_499);
  await kv.get("k");
  expect(answered).toBe(false);
  clock.advance(1);
  expect((await waiting).value?.key).toBe("k");
});

test("shows its entries and sessions, and tells of changes", async () => {
  const { fake, kv, session } = setUp();
  const changes: bigint[] = [];
  fake.onChange = (index) => changes.push(index);
  const id = await session.create({ name: "n", ttl: "10s", lockDelay: 1_500, behavior: "delete" });
  await kv.acquire({ key: "b", value: new Uint8Array([0, 255]), flags: 2n ** 63n, session: id });
  await kv.put({ key: "a", value: "" });
  await kv.put({ key: "a", value: "" });
  expect(fake.entries).toMatchObject([
    { key: "a", value: null, flags: 0n, session: null, lockIndex: 0n },
    { key: "b", value: new Uint8Array([0, 255]), flags: 2n ** 63n, session: id, lockIndex: 1n },
  ]);
  expect(fake.sessions).toMatchObject([
    { id, name: "n", ttl: "10s", lockDelay: 1_500, behavior: "delete", checks: ["serfHealth"] },
  ]);
  expect(changes).toEqual([
    fake.sessions[0]?.createIndex,
    fake.entries[1]?.createIndex,
    fake.entries[0]?.createIndex,
  ]);
  expect(fake.index).toBeGreaterThan(changes[2] ?? 0n);

  fake.destroySession(id);
  fake.deleteKey("a");
  fake.deleteKey("none");
  expect(fake.entries).toEqual([]);
  expect(changes).toHaveLength(5);
});

test("without a leader everything is refused, and sessions live on", async () => {
  const { clock, fake, kv, session } = setUp();
  const id = await session.create({ ttl: "10s" });
  await kv.put({ key: "k", value: "1" });
  const waiting = kv.get("k", { index: 2n ** 62n, wait: "10m" });
  const refusal = { status: 500, text: "No cluster leader" };
  clock.advance(19_000);

  fake.loseLeader();
  await expect(waiting).rejects.toMatchObject(refusal);
  for (const attempt of [
    () => kv.get("k"),
    () => kv.get("k", { index: 1n }),
    () => kv.put({ key: "k", value: "2" }),
    () => kv.delete("k"),
    () => session.create(),
    () => session.renew(id),
    () => session.destroy(id),
    () => session.info(id),
  ]) {
    await expect(attempt()).rejects.toMatchObject(refusal);
  }
  clock.advance(100_000);
  expect(fake.sessions).toHaveLength(1);

  fake.electLeader();
  expect((await kv.get("k")).value?.value).toEqual(new Uint8Array([0x31]));
  clock.advance(19_999);
  expect(fake.sessions).toHaveLength(1);
  clock.advance(1);
  expect(fake.sessions).toHaveLength(0);
});

test("stale reads show the past, and consistent ones do not", async () => {
  const { clock, fake, kv } = setUp();
  await kv.put({ key: "k", value: "1" });
  const { meta } = await kv.get("k");
  fake.staleBy(1_000);
  await kv.put({ key: "k", value: "2" });
  clock.advance(500);
  await kv.put({ key: "k", value: "3" });
  clock.advance(499);
  const value = async (consistent: boolean): Promise<string> =>
    Buffer.from((await kv.get("k", { consistent })).value?.value ?? []).toString();
  expect([await value(false), await value(true)]).toEqual(["1", "3"]);
  const waiting = kv.get("k", { index: meta.index, wait: "5m" });
  clock.advance(1);
  expect(Buffer.from((await waiting).value?.value ?? []).toString()).toBe("2");
  expect([await value(false), await value(true)]).toEqual(["2", "3"]);
  const next = kv.get("k", { index: (await waiting).meta.index, wait: "5m" });
  fake.staleBy(0);
  expect(Buffer.from((await next).value?.value ?? []).toString()).toBe("3");
});

test("so does a transaction that only reads", async () => {
  const { clock, fake, kv } = setUp();
  await kv.put({ key: "k", value: "1" });
  fake.staleBy(1_000);
  await kv.put({ key: "k", value: "2" });
  const value = async (consistent: boolean): Promise<string> => {
    const outcome = await kv.txn([{ verb: "get", key: "k" }], { consistent });
    if (!outcome.applied) throw new Error("the entry is not there");
    return Buffer.from(outcome.entries[0]?.value ?? []).toString();
  };
  expect([await value(false), await value(true)]).toEqual(["1", "2"]);
  clock.advance(1_000);
  expect(await value(false)).toBe("2");
});

test("the index of a list may go backwards once its tombstones are old", async () => {
  const { clock, kv } = setUp();
  await kv.put({ key: "p/a", value: "1" });
  await kv.put({ key: "p/b", value: "1" });
  const { meta } = await kv.list("p/");
  await kv.delete("p/b");
  const deleted = (await kv.list("p/")).meta.index;
  expect(deleted).toBeGreaterThan(meta.index);
  clock.advance(15 * 60_000 - 1);
  expect((await kv.list("p/")).meta.index).toBe(deleted);
  clock.advance(30_001);
  expect((await kv.list("p/")).meta.index).toBeLessThan(meta.index);
});

test("restored servers go on from smaller indexes, and answer who waits on the old ones", async () => {
  const { clock, fake, kv } = setUp();
  for (const value of ["1", "2", "3"]) await kv.put({ key: "dir/k", value });
  const { meta } = await kv.list("dir/");
  const waiting = kv.list("dir/", { index: meta.index, wait: "1m" });
  await new Promise(setImmediate);
  fake.turnBackIndexes(5n);
  const { value, meta: turnedBack } = await waiting;
  expect(value[0]).toMatchObject({ modifyIndex: meta.index - 5n });
  expect(turnedBack.index).toBe(meta.index - 5n);

  // Who does not begin again from nothing waits for what lies in the past.
  const inVain = kv.list("dir/", { index: meta.index, wait: "1m" });
  await new Promise(setImmediate);
  await kv.put({ key: "dir/k", value: "4" });
  clock.advance(2 * 60_000);
  expect((await inVain).meta.index).toBe(turnedBack.index + 1n);
  expect(clock.now()).toBeGreaterThan(60_000);
});

test("a dispatcher tells the carrier that its client has given up, once", async () => {
  const seen: HttpRequest[] = [];
  let givenUp = 0;
  const dispatcher = new CarriedDispatcher((carried) => {
    seen.push(carried);
    return () => (givenUp += 1);
  });
  const controller = new AbortController();
  const waiting = request("http://x/v1/kv/a?b", {
    dispatcher,
    method: "PUT",
    body: "é",
    signal: controller.signal,
  });
  const outcome = waiting.catch((error: unknown) => error);
  expect(seen).toEqual([{ method: "PUT", path: "/v1/kv/a?b", body: "\u00c3\u00a9" }]);
  const reason = new Error("no longer wanted");
  controller.abort(reason);
  expect(await outcome).toBe(reason);
  expect(givenUp).toBe(1);
});

test("a dispatcher carries nothing whose signal has aborted", async () => {
  const dispatcher = new CarriedDispatcher(() => {
    throw new Error("carried");
  });
  const signal = AbortSignal.abort(new Error("before"));
  await expect(request("http://x/", { dispatcher, signal })).rejects.toThrow("before");
});

test("a dispatcher passes on the carrier's answers and errors, the first of them", async () => {
  const receivers: Receiver[] = [];
  const dispatcher = new CarriedDispatcher((_request, receiver) => {
    receivers.push(receiver);
    return () => undefined;
  });
  const first = request("http://x/", { dispatcher });
  receivers[0]?.response({ status: 418, headers: { "X-Name": "v" }, body: "é" });
  receivers[0]?.error(new Error("too late"));
  const { statusCode, headers, body } = await first;
  expect([statusCode, headers["x-name"], await body.text()]).toEqual([418, "v", "é"]);

  const second = request("http://x/", { dispatcher });
  receivers[1]?.error(new Error("reset"));
  receivers[1]?.response({ status: 200, headers: {}, body: "" });
  await expect(second).rejects.toThrow("reset");
});

test.each([
  ["close", (dispatcher: CarriedDispatcher) => dispatcher.close(), errors.ClientClosedError],
  ["destroy", (dispatcher: CarriedDispatcher) => dispatcher.destroy(), errors.ClientDestroyedError],
])("%s rejects what is under way, and what comes after", async (_name, end, error) => {
  let givenUp = 0;
  const dispatcher = new CarriedDispatcher(() => () => (givenUp += 1));
  const waiting = request("http://x/", { dispatcher }).catch((reason: unknown) => reason);
  await end(dispatcher);
  expect(await waiting).toBeInstanceOf(error);
  expect(givenUp).toBe(1);
  await expect(request("http://x/", { dispatcher })).rejects.toBeInstanceOf(error);
});
