import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { nextIndex, planQuery } from "../../../src/consul/query.js";

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

describe("the plan of a read", () => {
  test.each([{}, { index: 0n }, { index: undefined }, { index: -1n }, { wait: "5s" }])(
    "without an index to wait on is no blocking query: %o",
    (options) => {
      const plan = planQuery("/v1/kv/a", options);
      expect(plan.query["index"]).toBeUndefined();
      expect(plan.query["wait"]).toBeUndefined();
      expect(plan.options.timeout).toBeUndefined();
    },
  );

  test("leaves the timeout for the longest jitter of the server, and for the answer", () => {
    const wait = fc.integer({ min: 1, max: 600_000 });
    fc.assert(
      fc.property(wait, (ms) => {
        const { query, options } = planQuery("/v1/kv/a", { index: 1n, wait: ms });
        expect(query["wait"]).toBe(`${ms}ms`);
        expect(options.timeout).toBeGreaterThanOrEqual(ms + ms / 16 + 10_000);
      }),
    );
  });

  test("states no longer wait than Consul allows", () => {
    expect(planQuery("/v1/kv/a", { index: 1n, wait: "10m" }).query["wait"]).toBe("600000ms");
    expect(planQuery("/v1/kv/a", { index: 1n, wait: "11m" }).query["wait"]).toBe("600000ms");
  });

  test("keeps a timeout that was given, and everything else", () => {
    const { signal } = new AbortController();
    const options = { index: 1n, timeout: 5, signal, datacenter: "dc2" };
    expect(planQuery("/v1/kv/a", options).options).toMatchObject({
      timeout: 5,
      signal,
      datacenter: "dc2",
    });
  });
});
