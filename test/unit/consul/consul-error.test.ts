import { describe, expect, test } from "vitest";

import { ConsulError, type ConsulErrorCode } from "../../../src/consul/consul-error.js";

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

  test.each<[ConsulErrorCode, number | undefined, boolean]>([
    ["CONSUL_UNREACHABLE", undefined, true],
    ["CONSUL_TIMEOUT", undefined, true],
    ["CONSUL_STATUS", 500, true],
    ["CONSUL_STATUS", 502, true],
    ["CONSUL_STATUS", 503, true],
    ["CONSUL_STATUS", 429, true],
    ["CONSUL_STATUS", 400, false],
    ["CONSUL_STATUS", 403, false],
    ["CONSUL_STATUS", 404, false],
    ["CONSUL_STATUS", 301, false],
    ["CONSUL_BAD_ANSWER", 200, false],
    ["CONSUL_BAD_REQUEST", undefined, false],
    ["CONSUL_CLOSED", undefined, false],
  ])("of %s with status %s may be retried: %s", (code, status, retryable) => {
    const error = new ConsulError("it failed", { ...about, code, status });
    expect(error.retryable).toBe(retryable);
  });
});
