import { inspect } from "node:util";

import { describe, expect, test } from "vitest";

import { ConsulConfigError } from "../../src/consul/config/config-error.js";
import { ConsulError } from "../../src/consul/http/consul-error.js";
import {
  isOutcomeUnknown,
  isTransient,
  SemaphoreClosedError,
  SemaphoreConflictError,
  SemaphoreDecodingError,
  SemaphoreHeldError,
  SemaphoreInUseError,
  SemaphoreLimitConflictError,
  SemaphoreLostError,
  SemaphoreNotHeldError,
  SemaphoreOptionsError,
  SemaphoreReleasedError,
  SemaphoreRequestError,
  SemaphoreTimeoutError,
  withPrefix,
  type SemaphoreError,
} from "../../src/errors.js";

const PREFIX = "jobs/resize";

const refused = new ConsulError("no answer", {
  ...{ code: "CONSUL_UNREACHABLE", method: "GET", path: "/v1/kv/a" },
  cause: Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }),
});

/** Each error without a prefix, its message, what is added with one, and its own fields. */
const ERRORS: readonly (readonly [SemaphoreError, string, string, object])[] = [
  [
    new SemaphoreHeldError(),
    "Semaphore already held",
    ": one acquire is one slot; use run(), or another Semaphore",
    { name: "SemaphoreHeldError", code: "SEMAPHORE_HELD" },
  ],
  [
    new SemaphoreHeldError("destroy"),
    "Semaphore already held",
    ": release its slot first",
    { name: "SemaphoreHeldError", code: "SEMAPHORE_HELD" },
  ],
  [
    new SemaphoreNotHeldError(),
    "Semaphore not held",
    ": acquire first; slot.release() may be called twice",
    { name: "SemaphoreNotHeldError", code: "SEMAPHORE_NOT_HELD" },
  ],
  [
    new SemaphoreClosedError(),
    "Semaphore closed",
    ": its client has been closed",
    { name: "SemaphoreClosedError", code: "SEMAPHORE_CLOSED" },
  ],
  [
    new SemaphoreInUseError(),
    "Semaphore in use",
    ": its holders have to release first; inspect() names them",
    { name: "SemaphoreInUseError", code: "SEMAPHORE_IN_USE" },
  ],
  [
    new SemaphoreConflictError(),
    "Existing key does not match semaphore use",
    ": use another prefix, or delete its .lock entry",
    { name: "SemaphoreConflictError", code: "SEMAPHORE_CONFLICT" },
  ],
  [
    new SemaphoreLimitConflictError(1, 2),
    "semaphore limit conflict (lock: 1, local: 2)",
    ": use the same limit everywhere, adoptLimit, or resize()",
    { code: "SEMAPHORE_LIMIT_CONFLICT", lockLimit: 1, localLimit: 2 },
  ],
  [
    new SemaphoreDecodingError("no JSON", new SyntaxError("below")),
    "lock decoding failed: no JSON",
    ": use another prefix, or delete its .lock entry if that is nobody else's",
    { name: "SemaphoreDecodingError", code: "SEMAPHORE_LOCK_DECODING_FAILED" },
  ],
  [
    new SemaphoreRequestError("SEMAPHORE_SESSION_FAILED", refused),
    "failed to create session: no answer",
    "",
    { code: "SEMAPHORE_SESSION_FAILED", retryable: true },
  ],
  [
    new SemaphoreRequestError("SEMAPHORE_UPDATE_FAILED", "not done within 500 ms"),
    "failed to update lock: not done within 500 ms",
    "",
    { code: "SEMAPHORE_UPDATE_FAILED", retryable: false },
  ],
  [
    new SemaphoreLostError("holder-removed", refused),
    "Semaphore slot lost: it is no longer among the holders: no answer",
    "",
    { code: "SEMAPHORE_LOST", reason: "holder-removed" },
  ],
  [
    new SemaphoreReleasedError(),
    "Semaphore slot released",
    ": await what works in it before that",
    { name: "SemaphoreReleasedError", code: "SEMAPHORE_RELEASED" },
  ],
];

describe.each(ERRORS)("%s", (bare, message, advice, fields) => {
  test("begins with Go's text, and goes on with the prefix and what to do", () => {
    expect(bare).toMatchObject({ ...fields, message, prefix: undefined });
    const named = withPrefix(bare, PREFIX);
    expect(named).toBeInstanceOf(bare.constructor);
    expect(named).toMatchObject({ ...fields, prefix: PREFIX });
    expect(named.message).toBe(`${message}: "jobs/resize"${advice}`);
    expect(named.cause).toBe(bare.cause);
    expect(withPrefix(named, PREFIX).message).toBe(named.message);
  });
});

const TIMEOUT = new SemaphoreTimeoutError(PREFIX, "30s", { held: 3, limit: 3, ahead: 12 });

describe("a timeout", () => {
  test("says how long it was, how many hold and how many are ahead", () => {
    expect(TIMEOUT.message).toBe('no slot of "jobs/resize" within 30s: 3 of 3 held, 12 ahead');
    const fields = { prefix: PREFIX, timeout: "30s", held: 3, limit: 3, ahead: 12 };
    expect(TIMEOUT).toMatchObject({ code: "SEMAPHORE_TIMEOUT", ...fields });
    const again = withPrefix(TIMEOUT, PREFIX);
    expect(again).toMatchObject({ message: TIMEOUT.message, ...fields });
  });

  test.each([
    [30_000, "30s"],
    [1_500, "1.5s"],
    [250, "250ms"],
    ["0.5m", "0.5m"],
  ])("of %j is shown as %s, and as no more where that is unknown", (timeout, shown) => {
    const error = new SemaphoreTimeoutError(PREFIX, timeout);
    expect(error.message).toBe(`no slot of "jobs/resize" within ${shown}`);
    expect(withPrefix(error, PREFIX).message).toBe(error.message);
    expect("ahead" in error).toBe(false);
  });
});

/** All errors of the library that users meet. */
const ALL: readonly Error[] = [
  ...ERRORS.map(([error]) => withPrefix(error, PREFIX)),
  TIMEOUT,
  refused,
  new ConsulConfigError("invalid token"),
  new SemaphoreOptionsError("missing prefix"),
];

describe.each(ALL.map((error) => [error.name, error] as const))("a %s", (name, error) => {
  test("is an error as others are", () => {
    expect(error).toBeInstanceOf(Error);
    expect(String(error)).toBe(`${name}: ${error.message}`);
    expect(error.stack?.startsWith(`${name}: ${error.message}\n    at `)).toBe(true);
    expect(inspect(error).startsWith(`${name}: ${error.message}\n    at `)).toBe(true);
    expect(Object.keys(error)).not.toContain("stack");
    expect(Object.keys(error)).not.toContain("cause");
  });

  test("keeps its fields in a clone and in JSON", () => {
    const fields = Object.fromEntries(Object.entries(error));
    expect(fields).toMatchObject({ name, message: error.message });
    expect(Object.keys(fields)).toContain("code");
    expect(structuredClone(error)).toStrictEqual(fields);
    expect(JSON.parse(JSON.stringify(error))).toMatchObject(JSON.parse(JSON.stringify(fields)));
    expect(JSON.stringify(error)).not.toContain("errors.test.ts");
  });
});

test("mistakes in the program are TypeErrors", () => {
  expect(new SemaphoreOptionsError("missing prefix")).toBeInstanceOf(TypeError);
  expect(new ConsulConfigError("invalid token")).toBeInstanceOf(TypeError);
});

test("the JSON of an error has those behind it as well", () => {
  const error = new SemaphoreRequestError("SEMAPHORE_SESSION_FAILED", refused);
  expect(JSON.parse(JSON.stringify(error))).toMatchObject({
    name: "SemaphoreRequestError",
    cause: {
      ...{ name: "ConsulError", code: "CONSUL_UNREACHABLE", retryable: true },
      cause: { name: "Error", code: "ECONNREFUSED", message: "connect ECONNREFUSED" },
    },
  });
});

describe("an error of an address where nothing has ever answered", () => {
  const unanswered = new ConsulError("no answer", {
    ...{ code: "CONSUL_UNREACHABLE", method: "GET", path: "/v1/kv/a", neverAnswered: true },
  });
  const around = new SemaphoreRequestError("SEMAPHORE_SESSION_FAILED", unanswered);

  test("may be retried by the user, but is not retried here", () => {
    expect(unanswered.retryable).toBe(true);
    expect(around.retryable).toBe(true);
    for (const error of [unanswered, around]) {
      expect(isTransient(error)).toBe(false);
      expect(isOutcomeUnknown(error)).toBe(false);
    }
  });

  test("is one that passes where something has answered before", () => {
    expect(isTransient(refused)).toBe(true);
    expect(isTransient(new SemaphoreRequestError("SEMAPHORE_READ_FAILED", refused))).toBe(true);
  });
});
