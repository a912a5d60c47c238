// What becomes of single requests when the network fails.
import type { ConsulClient } from "consul-semaphore";
import { TestConsul } from "consul-semaphore/testing";
import { beforeEach, describe, expect, test } from "vitest";

import { observe, pass, startConsul } from "./test-time.js";

let consul: TestConsul;
let client: ConsulClient;

beforeEach(() => {
  consul = startConsul();
  client = consul.client();
});

const keys = (): readonly string[] => consul.entries.map(({ key }) => key);

describe("a network that was cut", () => {
  test("lets nothing through, and lets nobody know", async () => {
    consul.cut();
    const writing = client.kv.put({ key: "a", value: "1" }, { timeout: 5_000 });
    const outcome = expect(writing).rejects.toMatchObject({ code: "CONSUL_TIMEOUT" });
    const state = observe(writing);
    await pass(4_999);
    expect(state.settled).toBe(false);
    await pass(1);
    await outcome;
    expect(keys()).toEqual([]);
  });

  test("delivers in order, once healed, what was sent meanwhile", async () => {
    consul.cut();
    const writes = ["1", "2", "3"].map((value) => client.kv.put({ key: "a", value }));
    await pass(9_000);
    expect(keys()).toEqual([]);
    consul.heal();
    await Promise.all(writes);
    expect(Buffer.from(consul.entries[0]?.value ?? []).toString()).toBe("3");
  });

  test("delivers no request that was given up meanwhile", async () => {
    consul.cut();
    const stop = new AbortController();
    const writing = client.kv.put({ key: "a", value: "1" }, { signal: stop.signal });
    const outcome = expect(writing).rejects.toThrow("enough");
    await pass(1_000);
    stop.abort(new Error("enough"));
    await outcome;
    consul.heal();
    await pass(60_000);
    expect(keys()).toEqual([]);
  });

  test("delivers, once healed, what Consul had to answer to a blocking query", async () => {
    await client.kv.put({ key: "a", value: "1" });
    const { meta } = await client.kv.get("a");
    const waiting = client.kv.get("a", { index: meta.index, wait: "1m" });
    const state = observe(waiting);
    await pass(1_000);
    consul.cut(client);
    await consul.client().kv.put({ key: "a", value: "2" });
    await pass(10_000);
    expect(state.settled).toBe(false);
    consul.heal(client);
    await pass(0);
    expect(state.settled).toBe(true);
    expect((await waiting).meta.index).toBeGreaterThan(meta.index);
  });

  test("has a blocking query go on that was under way, and still is", async () => {
    const waiting = client.kv.get("a", { index: 1_000n, wait: "1m" });
    await pass(1_000);
    consul.cut();
    consul.heal();
    const state = observe(waiting);
    await pass(50_000);
    expect(state.settled).toBe(false);
    await pass(20_000);
    expect(state.settled).toBe(true);
  });

  test.each(["heal", "refuse"] as const)(
    "has Consul learn by %s that a blocking query was given up",
    async (next) => {
      const stop = new AbortController();
      const query = { index: 1_000n, wait: "10m", signal: stop.signal } as const;
      const outcome = expect(client.kv.get("a", query)).rejects.toThrow("enough");
      await pass(1_000);
      consul.cut();
      stop.abort(new Error("enough"));
      await outcome;
      consul[next]();
      // Otherwise Consul's timer for it would be left behind.
    },
  );
});

describe("a network that refuses", () => {
  test("fails new requests as a port where nobody listens", async () => {
    consul.refuse();
    await expect(client.kv.get("a")).rejects.toMatchObject({
      code: "CONSUL_UNREACHABLE",
      retryable: true,
      neverAnswered: true,
      cause: { code: "ECONNREFUSED", syscall: "connect" },
    });
    consul.heal();
    expect((await client.kv.get("a")).value).toBeNull();
  });

  test("breaks the connections there are", async () => {
    await client.kv.get("a");
    const waiting = client.kv.get("a", { index: 1_000n, wait: "1m" });
    const outcome = expect(waiting).rejects.toMatchObject({
      code: "CONSUL_UNREACHABLE",
      retryable: true,
    });
    consul.refuse();
    await outcome;
  });

  test("breaks also those that were silent before", async () => {
    consul.cut();
    const writing = client.kv.put({ key: "a", value: "1" });
    const outcome = expect(writing).rejects.toMatchObject({ code: "CONSUL_UNREACHABLE" });
    consul.refuse();
    await outcome;
    consul.heal();
    expect(keys()).toEqual([]);
  });
});

describe("a fault", () => {
  test("of one client is not another's", async () => {
    const other = consul.client();
    consul.refuse(client);
    await expect(client.kv.get("a")).rejects.toThrow("ECONNREFUSED");
    expect((await other.kv.get("a")).value).toBeNull();
  });

  test("can be healed for one", async () => {
    const other = consul.client();
    consul.refuse();
    consul.heal(client);
    expect((await client.kv.get("a")).value).toBeNull();
    await expect(other.kv.get("a")).rejects.toThrow("ECONNREFUSED");
  });

  test("of all is also that of a client to come", async () => {
    consul.refuse();
    await expect(consul.client().kv.get("a")).rejects.toThrow("ECONNREFUSED");
  });

  test("needs a client of this Consul", () => {
    const stranger = new TestConsul().client();
    expect(() => {
      consul.cut(stranger);
    }).toThrow(RangeError);
    expect(() => {
      consul.refuse(stranger);
    }).toThrow(RangeError);
    expect(() => {
      consul.heal(stranger);
    }).toThrow(RangeError);
  });
});
