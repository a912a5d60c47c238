import { hostname } from "node:os";

import { describe, expect, test } from "vitest";

import { SemaphoreOptionsError } from "../../src/errors.js";
import {
  DEFAULT_MONITOR_RETRY_TIME,
  DEFAULT_SEMAPHORE_SESSION_NAME,
  DEFAULT_SEMAPHORE_SESSION_TTL,
  DEFAULT_SEMAPHORE_WAIT_TIME,
  requireFunction,
  resolveOptions,
  resolveWait,
} from "../../src/options.js";

/** What a caller without types gets for these options: the error, or nothing. */
function refusal(options: unknown): SemaphoreOptionsError | undefined {
  try {
    Reflect.apply(resolveOptions, undefined, [options]);
  } catch (error) {
    if (error instanceof SemaphoreOptionsError) return error;
    throw error;
  }
  return undefined;
}

const VALID = { prefix: "jobs/resize", limit: 3 };

describe("the options of a semaphore", () => {
  test("need only a prefix and a limit; the rest is as in Go", () => {
    expect(resolveOptions(VALID)).toEqual({
      prefix: "jobs/resize",
      limit: 3,
      adoptLimit: false,
      value: `${hostname()}:${process.pid}`,
      sessionName: "Consul API Semaphore",
      sessionTTL: "15s",
      // Go's default is ["serfHealth"]: a slot would be lost because others take its node for dead.
      sessionChecks: [],
      monitorRetries: 0,
      monitorRetryTime: 2_000,
      semaphoreWaitTime: 15_000,
      scope: {},
    });
  });

  test("have their defaults under Go's names", () => {
    expect(DEFAULT_SEMAPHORE_SESSION_NAME).toBe("Consul API Semaphore");
    expect(DEFAULT_SEMAPHORE_SESSION_TTL).toBe("15s");
    expect(DEFAULT_SEMAPHORE_WAIT_TIME).toBe("15s");
    expect(DEFAULT_MONITOR_RETRY_TIME).toBe("2s");
  });

  test("stay what they were given as, but for times, which are milliseconds", () => {
    const given = {
      ...VALID,
      adoptLimit: true,
      value: Uint8Array.of(1, 2, 3),
      session: "2d1b6b3e-0d53-4f55-8c4b-3b0a4cf0d1f2",
      sessionName: "mine",
      sessionTTL: 30_000,
      sessionChecks: ["serfHealth", "service:web"],
      sessionNode: "node-7",
      monitorRetries: 5,
      monitorRetryTime: "1m30s",
      semaphoreWaitTime: 0,
    };
    const scope = { namespace: "team", partition: "west" };
    expect(resolveOptions({ ...given, ...scope })).toEqual({
      ...given,
      ...{ scope, monitorRetryTime: 90_000 },
    });
  });

  test("take undefined for not given", () => {
    const given = { ...VALID, sessionTTL: undefined, value: undefined, session: undefined };
    expect(resolveOptions(given).sessionTTL).toBe("15s");
  });

  test.each([
    "a",
    "jobs/",
    "./jobs",
    "a//b",
    "a/../b",
    "a/.tails",
    "...",
    ".hidden",
    "..a",
    "a b",
    "日本",
    "%",
  ])("accept the prefix %j", (prefix) => {
    expect(resolveOptions({ ...VALID, prefix }).prefix).toBe(prefix);
  });

  test.each([1, 2, 1_000_000, Number.MAX_SAFE_INTEGER])("accept the limit %d", (limit) => {
    expect(resolveOptions({ ...VALID, limit }).limit).toBe(limit);
  });

  test.each(["10s", "1h30m", ".5m", 15_000, 100, "100ms", "86400s"])(
    "accept the TTL %j",
    (sessionTTL) => {
      expect(resolveOptions({ ...VALID, sessionTTL }).sessionTTL).toBe(sessionTTL);
    },
  );

  test("keep the health checks and the value that they were given", () => {
    const sessionChecks = ["serfHealth"];
    const value = Buffer.from("one");
    const resolved = resolveOptions({ ...VALID, sessionChecks, value });
    sessionChecks.push("service:web");
    value.write("two");
    expect(resolved.sessionChecks).toEqual(["serfHealth"]);
    expect(Buffer.from(resolved.value).toString()).toBe("one");
  });

  test.each([[[]], [["serfHealth"]]])("accept the health checks %j", (sessionChecks) => {
    expect(resolveOptions({ ...VALID, sessionChecks }).sessionChecks).toEqual(sessionChecks);
  });
});

describe("a bad option", () => {
  /** The bad options, how the message begins, and how it shows the value. */
  const BAD: readonly (readonly [string, Record<string, unknown>, string, string])[] = [
    ["an empty prefix", { prefix: "" }, "missing prefix", '""'],
    ["no prefix", { prefix: undefined }, "missing prefix", "undefined"],
    ["a prefix of null", { prefix: null }, "missing prefix", "null"],
    ["a prefix that is a number", { prefix: 5 }, "missing prefix", "5 (number)"],
    ["a prefix that begins with /", { prefix: "/jobs" }, "invalid prefix", "/jobs"],
    ["the prefix /", { prefix: "/" }, "invalid prefix", "'/'"],
    ["the prefix .", { prefix: "." }, "invalid prefix", "'.'"],
    ["the prefix ./", { prefix: "./" }, "invalid prefix", "'./'"],
    ["the prefix ..", { prefix: ".." }, "invalid prefix", "'..'"],
    ["the prefix ../a", { prefix: "../a" }, "invalid prefix", "'../a'"],
    ["the prefix a/..", { prefix: "a/.." }, "invalid prefix", "'a/..'"],
    ["the prefix a/../..", { prefix: "a/../.." }, "invalid prefix", "'a/../..'"],
    ["the prefix a/.tail", { prefix: "a/.tail" }, "invalid prefix", "'a/.tail'"],
    ["the prefix a/.tail//b", { prefix: "a/.tail//b" }, "invalid prefix", "'a/.tail//b'"],
    ["no limit", { limit: undefined }, "semaphore limit must be positive", "undefined"],
    ["the limit 0", { limit: 0 }, "semaphore limit must be positive", "0 (number)"],
    ["the limit -0", { limit: -0 }, "semaphore limit must be positive", "-0 (number)"],
    ["the limit -1", { limit: -1 }, "semaphore limit must be positive", "-1 (number)"],
    ["the limit 1.5", { limit: 1.5 }, "semaphore limit must be positive", "1.5 (number)"],
    ["the limit NaN", { limit: NaN }, "semaphore limit must be positive", "NaN (number)"],
    [
      "the limit Infinity",
      { limit: Infinity },
      "semaphore limit must be positive",
      "Infinity (number)",
    ],
    ["the limit 2 as a string", { limit: "2" }, "semaphore limit must be positive", "'2' (string)"],
    ["the limit null", { limit: null }, "semaphore limit must be positive", "null"],
    ["the limit 2n", { limit: 2n }, "semaphore limit must be positive", "2n (bigint)"],
    [
      "the limit 2 ** 53",
      { limit: 2 ** 53 },
      "invalid limit: 9007199254740992 is too large; the greatest is 2^53 - 1",
      "",
    ],
    ["a TTL that is no duration", { sessionTTL: "soon" }, "invalid SessionTTL: ", '"soon"'],
    ["a TTL without a unit", { sessionTTL: "15" }, "invalid SessionTTL: ", '"15"'],
    ["a TTL of 0", { sessionTTL: 0 }, "invalid SessionTTL: ", "sessionTTL: 0 ms is below"],
    ["a TTL of 0s", { sessionTTL: "0s" }, "invalid SessionTTL: ", 'sessionTTL: "0s" is below'],
    [
      "a negative TTL",
      { sessionTTL: "-15s" },
      "invalid SessionTTL: ",
      'sessionTTL: "-15s" is below',
    ],
    ["a TTL of -1 ms", { sessionTTL: -1 }, "invalid SessionTTL: ", "sessionTTL: -1 ms is below"],
    [
      "a TTL of seconds",
      { sessionTTL: 15 },
      "invalid SessionTTL: sessionTTL: 15 ms is below Consul's 10s; numbers are milliseconds",
      "",
    ],
    [
      "a TTL that no agent takes",
      { sessionTTL: "99ms" },
      'invalid SessionTTL: sessionTTL: "99ms" is below Consul\'s 10s',
      "",
    ],
    ["a TTL of NaN", { sessionTTL: NaN }, "invalid SessionTTL: sessionTTL: got NaN (number)", ""],
    ["a TTL of null", { sessionTTL: null }, "invalid SessionTTL: ", "null"],
    ["a TTL of 300 years", { sessionTTL: "3000000h" }, "invalid SessionTTL: ", '"3000000h"'],
    ["an empty session", { session: "" }, "invalid session: ", "''"],
    ["a session with a slash", { session: "a/b" }, "invalid session: ", "'a/b'"],
    ["a session that is no string", { session: 5 }, "invalid session: ", "5 (number)"],
    ["a session name of null", { sessionName: null }, "invalid sessionName: ", "null"],
    ["health checks in a string", { sessionChecks: "a" }, "invalid sessionChecks: ", "'a'"],
    ["a negative number of retries", { monitorRetries: -1 }, "invalid monitorRetries: ", "-1"],
    ["half a retry", { monitorRetries: 0.5 }, "invalid monitorRetries: ", "0.5"],
    [
      "a negative retry time",
      { monitorRetryTime: "-2s" },
      "invalid monitorRetryTime: ",
      '"-2s" is negative',
    ],
    ["a retry time of true", { monitorRetryTime: true }, "invalid monitorRetryTime: ", "true"],
    [
      "a negative wait",
      { semaphoreWaitTime: -1 },
      "invalid semaphoreWaitTime: ",
      "-1 ms is negative; numbers are milliseconds",
    ],
    ["a wait in words", { semaphoreWaitTime: "a bit" }, "invalid semaphoreWaitTime: ", '"a bit"'],
    ["a value that is a number", { value: 5 }, "invalid value: ", "number"],
    [
      "a value that fits in no transaction",
      { value: "x".repeat(190_001) },
      "invalid value: ",
      "190001",
    ],
    ["a value of null", { value: null }, "invalid value: ", "expected a string or Uint8Array"],
    ["a namespace of 5", { namespace: 5 }, "invalid namespace: ", "5 (number)"],
    ["a partition of 5", { partition: 5 }, "invalid partition: ", "5 (number)"],
    ["a node of 5", { sessionNode: 5 }, "invalid sessionNode: ", "5 (number)"],
    ["a word for adoptLimit", { adoptLimit: "yes" }, "invalid adoptLimit: ", "'yes' (string)"],
    [
      "a prefix that ends with a space",
      { prefix: "jobs " },
      "invalid prefix 'jobs '",
      "white space",
    ],
    ["a prefix that begins with a tab", { prefix: "\tjobs" }, "invalid prefix '\\tjobs'", "white"],
  ];

  test.each(BAD)("is refused, named and shown: %s", (_, given, beginning, shown) => {
    const error = refusal({ ...VALID, ...given });
    expect(error).toBeInstanceOf(TypeError);
    expect(error).toMatchObject({
      name: "SemaphoreOptionsError",
      code: "SEMAPHORE_INVALID_OPTIONS",
    });
    expect(error?.message.slice(0, beginning.length)).toBe(beginning);
    expect(error?.message).toContain(shown);
  });

  test("is refused where it has a name that is not known, and the known ones are told", () => {
    const error = refusal({ ...VALID, sessionTtl: "10s" });
    expect(error?.message).toMatch(
      /^unknown option "sessionTtl" \(known: prefix, limit, adoptLimit, /,
    );
    expect(error?.message).toContain("sessionTTL");
  });

  test("does not hide another one", () => {
    const message = refusal({ prefix: "", limit: 0, sessionTTL: "x" })?.message;
    expect(message).toContain("missing prefix");
    expect(message).toContain("semaphore limit must be positive");
    expect(message).toContain("invalid SessionTTL");
  });

  test.each([[undefined], [null], [5], ["jobs"], [true], [[]]])(
    "is not looked for in what is no options at all: %j",
    (options) => {
      expect(refusal(options)).toBeInstanceOf(SemaphoreOptionsError);
    },
  );

  test.each([undefined, 5, "jobs"])("names what was given instead of options: %j", (options) => {
    expect(refusal(options)?.message).toContain(`missing semaphore options: got`);
    expect(refusal(options)?.message).toContain(String(options));
  });
});

describe("other bad input", () => {
  test.each([
    [{ sessionChecks: [1] }, "invalid sessionChecks: got [Array] (object)"],
    [{ session: ".lock" }, "invalid session: got '.lock' (string)"],
    [{ session: "" }, "invalid session: got '' (string)"],
    [{ sessionName: "" }, "invalid sessionName: got '' (string)"],
    [{ value: 5 }, "invalid value: got 5 (number)"],
    [{ prefix: "a\ud800" }, "invalid prefix"],
    [{ semaphoreTryOnce: true }, "call tryAcquire to try once"],
  ])("is named, with its value: %o", (options, message) => {
    expect(refusal({ ...VALID, ...options })?.message).toContain(message);
  });

  test.each(["a\u00a0b", "a\nb", "👨\u200d👩"])(
    "is a prefix whose paths Consul refuses: %j",
    (prefix) => {
      expect(refusal({ ...VALID, prefix })?.message).toContain("invalid prefix");
    },
  );

  test("keeps to itself what an object holds: it may be a secret", () => {
    const given = { address: "x", token: "s3cret" };
    const refusals = [
      refusal({ ...VALID, prefix: given }),
      refusal({ ...VALID, value: given }),
      refusal({ ...VALID, session: [given] }),
      refusal({ ...VALID, session: new URL("http://s3cret@x") }),
      refusal({ ...VALID, session: new Map([["token", "s3cret"]]) }),
    ];
    for (const error of refusals) expect(error?.message).not.toContain("s3cret");
    expect(refusals[0]?.message).toContain("got { address, token } (object)");
  });

  test.each([[null], [[]]])("is named where there are no options: %j", (options) => {
    expect(refusal(options)?.message).toContain("missing semaphore options: got");
  });

  test("is no function", () => {
    expect(() => {
      requireFunction(new AbortController().signal);
    }).toThrow("expected a function");
  });
});

describe("a wait", () => {
  const { signal } = new AbortController();
  const nothing = { signal: undefined, timeout: undefined, timeoutMs: undefined };

  test.each([
    [undefined, {}],
    [{}, {}],
    [signal, { signal }],
    [{ signal }, { signal }],
    [{ signal: undefined, timeout: undefined }, {}],
    [{ timeout: "1m30s" }, { timeout: "1m30s", timeoutMs: 90_000 }],
    [
      { timeout: 500, signal },
      { signal, timeout: 500, timeoutMs: 500 },
    ],
    [{ timeout: 0 }, { timeout: 0, timeoutMs: 0 }],
  ])("may be %o", (wait, resolved) => {
    expect(resolveWait(wait)).toStrictEqual({ ...nothing, ...resolved });
  });

  test("may be a signal that another library has made", () => {
    const listening = { addEventListener: () => undefined, removeEventListener: () => undefined };
    const other = { aborted: false, ...listening };
    expect(resolveWait(other).signal).toBe(other);
    expect(resolveWait({ signal: other }).signal).toBe(other);
  });

  test.each([
    [null, "invalid wait: got null (object), expected an AbortSignal, or { signal, timeout }"],
    [5_000, "invalid wait: got 5000 (number)"],
    ["30s", "invalid wait: got '30s' (string)"],
    [new AbortController(), "invalid wait: got AbortController"],
    [[], "invalid wait: got [] (object)"],
    [{ timeOut: 5 }, 'unknown option "timeOut" (known: signal, timeout)'],
    [{ signal: 5 }, "invalid signal: got 5 (number), expected an AbortSignal"],
    [
      { signal: { aborted: false, addEventListener: () => undefined } },
      "invalid signal: got { aborted, addEventListener } (object), expected an AbortSignal",
    ],
    [{ timeout: -1 }, "invalid timeout: -1 ms is negative; numbers are milliseconds"],
    [{ timeout: "-1s" }, 'invalid timeout: "-1s" is negative'],
    [{ timeout: "soon" }, 'invalid timeout: time: invalid duration "soon"'],
    [{ timeout: NaN }, "invalid timeout: got NaN (number)"],
    [{ timeout: null }, "invalid timeout: got null (object)"],
  ])("may not be %o", (wait, message) => {
    const resolving = (): unknown => resolveWait(wait);
    expect(resolving).toThrow(SemaphoreOptionsError);
    expect(resolving).toThrow(message);
  });
});
