import { describe, expect, test } from "vitest";

import { ConsulError, type ConsulErrorCode } from "../../../../src/consul/http/consul-error.js";

const about = { method: "GET", path: "/v1/kv/a" };

describe("a ConsulError", () => {
  test("is an Error that says all it was told", () => {
    const cause = new Error("below");
    const error = new ConsulError("it failed", {
      ...about,
      code: "CONSUL_STATUS",
      status: 500,
      text: "No cluster leader",
      cause,
    });
    expect(error).toBeInstanceOf(Error);
    expect(error.name).toBe("ConsulError");
    expect(error.message).toBe("it failed");
    expect(error).toMatchObject({ ...about, code: "CONSUL_STATUS", status: 500, cause });
    expect(error.text).toBe("No cluster leader");
    expect(String(error)).toBe("ConsulError: it failed");
  });

  test("has no cause where there is none", () => {
    const error = new ConsulError("it failed", { ...about, code: "CONSUL_CLOSED" });
    expect(Object.hasOwn(error, "cause")).toBe(false);
    expect(error.status).toBeUndefined();
    expect(error.text).toBeUndefined();
  });

  test.each<[ConsulErrorCode, number | undefined, boolean, boolean]>([
    ["CONSUL_UNREACHABLE", undefined, true, true],
    ["CONSUL_TIMEOUT", undefined, true, true],
    ["CONSUL_STATUS", 500, true, true],
    ["CONSUL_STATUS", 502, true, true],
    ["CONSUL_STATUS", 503, true, true],
    ["CONSUL_STATUS", 429, true, false],
    ["CONSUL_STATUS", 400, false, false],
    ["CONSUL_STATUS", 403, false, false],
    ["CONSUL_STATUS", 404, false, false],
    ["CONSUL_STATUS", 409, false, false],
    ["CONSUL_STATUS", 301, false, false],
    ["CONSUL_BAD_ANSWER", 200, false, true],
    ["CONSUL_BAD_ANSWER", 404, false, true],
    ["CONSUL_BAD_REQUEST", undefined, false, false],
  ])(
    "of %s with status %s may be retried: %s, and leaves in doubt what became of it: %s",
    (code, status, retryable, inDoubt) => {
      const error = new ConsulError("it failed", { ...about, code, status });
      expect(error.retryable).toBe(retryable);
      expect(error.inDoubt).toBe(inDoubt);
    },
  );

  test("of a closed client may not be retried", () => {
    const error = new ConsulError("it failed", { ...about, code: "CONSUL_CLOSED" });
    expect(error.retryable).toBe(false);
  });

  test.each([
    "Invalid Session TTL '1000000000', must be between [10s=24h0m0s]",
    'invalid session "2d1b6b3e-0d53-4f55-8c4b-3b0a4cf0d1f2"',
    "rpc error making call: invalid check",
  ])("of a 500 that says that something is invalid took no place and never will: %s", (text) => {
    const error = new ConsulError("it failed", {
      ...about,
      code: "CONSUL_STATUS",
      status: 500,
      text,
    });
    expect(error.retryable).toBe(false);
    expect(error.inDoubt).toBe(false);
  });

  test("of a session's check that does not exist is final", () => {
    const text = "rpc error making call: Missing check 'nosuch' registration";
    const error = new ConsulError("it failed", {
      ...{ ...about, code: "CONSUL_STATUS", status: 500, text },
    });
    expect(error).toMatchObject({ retryable: false, inDoubt: false });
  });

  test.each([
    [429, "rate limit exceeded, try again later or against a different server"],
    [503, "rpc error making call: rate limit exceeded for operation that can only be performed"],
    [500, "rpc error making call: Missing node registration"],
  ])("of a %d with which Consul says that nothing was done yet is no doubt: %s", (status, text) => {
    const error = new ConsulError("it failed", { ...about, code: "CONSUL_STATUS", status, text });
    expect(error).toMatchObject({ retryable: true, inDoubt: false });
  });

  test("of an address where nothing has ever answered may be retried, and wrote nothing", () => {
    const error = new ConsulError("it failed", {
      ...{ ...about, code: "CONSUL_UNREACHABLE", neverAnswered: true },
    });
    expect(error).toMatchObject({ retryable: true, neverAnswered: true, inDoubt: false });
  });

  test("of a request that was not sent wrote nothing, and shows no more than any other", () => {
    const details = { ...about, code: "CONSUL_UNREACHABLE" } as const;
    const error = new ConsulError("it failed", { ...details, unsent: true });
    expect(error).toMatchObject({ retryable: true, neverAnswered: false, inDoubt: false });
    expect(error.toJSON()).toEqual(new ConsulError("it failed", details).toJSON());
  });

  test.each([
    [500, "No cluster leader"],
    [500, "session was invalidated"],
    [500, "Check 'web' is in critical state"],
    [500, "rpc error making call: Check 'invalid-orders' is in critical state"],
    // A proxy's words are about the proxy.
    [502, "invalid response from upstream"],
    [503, "Invalid backend"],
  ])("of a %d with other words may be retried: %s", (status, text) => {
    const error = new ConsulError("it failed", { ...about, code: "CONSUL_STATUS", status, text });
    expect(error.retryable).toBe(true);
    expect(error.inDoubt).toBe(true);
  });

  test.each([true, false])("is told whether it may be retried where that is known: %s", (known) => {
    const error = new ConsulError("it failed", {
      ...about,
      code: known ? "CONSUL_STATUS" : "CONSUL_UNREACHABLE",
      status: known ? 400 : undefined,
      retryable: known,
    });
    expect(error.retryable).toBe(known);
    expect(error.inDoubt).toBe(known);
  });
});
