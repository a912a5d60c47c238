import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { nextIndex, readRequest } from "../../../src/consul/query.js";

describe("the next index", () => {
  test.each([
    ["the first one received", 0n, 7n, 7n],
    ["a later one", 7n, 9n, 9n],
    ["the same, after a wait without a change", 7n, 7n, 7n],
    ["none, after one that went backwards", 9n, 7n, 0n],
    ["none, after one that went back to 0", 9n, 0n, 0n],
    ["1, where an empty store said 0", 0n, 0n, 1n],
    ["1 again", 1n, 1n, 1n],
    ["1, where a server that has said 1 says 0", 1n, 0n, 1n],
    ["the greatest there is", 0n, 2n ** 64n - 1n, 2n ** 64n - 1n],
    ["none, after one that is less by what a double cannot hold", 2n ** 53n + 1n, 2n ** 53n, 0n],
    ["one that is more by what a double cannot hold", 2n ** 53n, 2n ** 53n + 1n, 2n ** 53n + 1n],
  ])("is %s", (_, previous, received, next) => {
    expect(nextIndex(previous, received)).toBe(next);
  });

  test("never makes a blocking query of 0, except to start again", () => {
    const index = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    fc.assert(
      fc.property(index, index, (previous, received) => {
        const next = nextIndex(previous, received);
        // 0 counts as 1.
        const counted = received === 0n ? 1n : received;
        expect(next).toBe(counted < previous ? 0n : counted);
      }),
    );
  });
});

describe("the request for a read", () => {
  test.each([{}, { index: 0n }, { index: undefined }, { index: -1n }, { wait: "5s" }])(
    "without an index to wait on is no blocking query: %o",
    (options) => {
      const request = readRequest("/v1/kv/a", options);
      expect(request).toMatchObject({ method: "GET", path: "/v1/kv/a", options });
      expect(request.query?.["index"]).toBeUndefined();
      expect(request.query?.["wait"]).toBeUndefined();
      expect(request.options.timeout).toBeUndefined();
      expect(request.lane).toBeUndefined();
    },
  );

  test("leaves the timeout for the longest jitter of the server, and for the answer", () => {
    const wait = fc.integer({ min: 1, max: 600_000 });
    fc.assert(
      fc.property(wait, (ms) => {
        const { query, options, lane } = readRequest("/v1/kv/a", { index: 1n, wait: ms });
        expect(query?.["wait"]).toBe(`${ms}ms`);
        expect(lane).toBe(ms > 10 ? "watch" : "call");
        expect(options.timeout).toBeGreaterThanOrEqual(ms + ms / 16 + 10_000);
      }),
    );
  });

  test.each([
    ["10m", "600000ms"],
    ["11m", "600000ms"],
    [1_500.9, "1500ms"],
    [0.9, "1ms"],
    [1e-6, "1ms"],
  ])("states a wait of %s as one that Consul takes: %s", (wait, stated) => {
    expect(readRequest("/v1/kv/a", { index: 1n, wait }).query?.["wait"]).toBe(stated);
  });

  test("never states a wait as 0, nor with a fraction or exponent", () => {
    fc.assert(
      fc.property(fc.double({ min: Number.MIN_VALUE, max: 9e12, noNaN: true }), (wait) => {
        const { query } = readRequest("/v1/kv/a", { index: 1n, wait });
        expect(query?.["wait"]).toMatch(/^[1-9]\d*ms$/);
      }),
    );
  });

  test("has its own parameters before those of all reads", () => {
    const options = { index: 7n, wait: "5s", consistent: true };
    const { query = {} } = readRequest("/v1/kv/a", options, { recurse: true });
    expect(Object.entries(query)).toEqual([
      ["recurse", true],
      ["consistent", true],
      ["index", "7"],
      ["wait", "5000ms"],
    ]);
  });

  test("keeps a timeout that was given, and everything else", () => {
    const { signal } = new AbortController();
    const options = { index: 1n, timeout: 5, signal, datacenter: "dc2" };
    expect(readRequest("/v1/kv/a", options).options).toMatchObject({
      timeout: 5,
      signal,
      datacenter: "dc2",
    });
  });
});
