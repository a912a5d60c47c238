import { describe, expect, onTestFinished, test } from "vitest";

import { Caller } from "../../src/caller.js";
import { ConsulError } from "../../src/consul/http/consul-error.js";
import {
  SemaphoreError,
  SemaphoreHeldError,
  SemaphoreRequestError,
  withPrefix,
} from "../../src/errors.js";
import { rejectionOf } from "./rejection.js";

const PREFIX = "jobs/resize";
const HELD = new SemaphoreHeldError();

/** Sets what the program has to say about stacks, for this test. */
function setOnError(name: "prepareStackTrace" | "stackTraceLimit", value: unknown): void {
  const before = Object.getOwnPropertyDescriptor(Error, name);
  onTestFinished(() => {
    if (before === undefined) Reflect.deleteProperty(Error, name);
    else Object.defineProperty(Error, name, before);
  });
  Object.defineProperty(Error, name, { value, writable: true, configurable: true });
}

/** A public function that fails with this deep inside, some turns later. */
async function acquire(failure: unknown): Promise<void> {
  const caller = new Caller(PREFIX);
  try {
    await deepInside(failure);
  } catch (error) {
    throw caller.report(error);
  }
}

async function deepInside(failure: unknown): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  throw failure;
}

const stackOf = (error: unknown): string =>
  error instanceof Error && typeof error.stack === "string" ? error.stack : "";

describe("what a call rejects with", () => {
  test("is an error of its own, with the prefix and what to do", async () => {
    const error = await rejectionOf(acquire(HELD));
    expect(error).toBeInstanceOf(SemaphoreHeldError);
    expect(error).not.toBe(HELD);
    expect(error).toMatchObject({
      ...{ prefix: PREFIX, code: "SEMAPHORE_HELD" },
      message:
        'Semaphore already held: "jobs/resize": one acquire is one slot; use run(), or another Semaphore',
    });
    expect(HELD.message).toBe("Semaphore already held");
  });

  test("keeps the code, the fields and the cause", async () => {
    const cause = new ConsulError("no leader", {
      ...{ code: "CONSUL_STATUS", method: "GET", path: "/v1/kv/a", status: 500 },
    });
    const failure = new SemaphoreRequestError("SEMAPHORE_READ_FAILED", cause);
    const error = await rejectionOf(acquire(failure));
    expect(error).toMatchObject({ code: "SEMAPHORE_READ_FAILED", retryable: true, cause });
    expect(error).toHaveProperty("message", 'failed to read prefix: no leader: "jobs/resize"');
  });

  test("has the prefix once", async () => {
    const error = await rejectionOf(acquire(withPrefix(HELD, PREFIX)));
    expect(error).toHaveProperty("message", withPrefix(HELD, PREFIX).message);
    expect(stackOf(error)).toContain("caller.test.ts");
  });

  test("is its own for each caller of one failure", async () => {
    const errors = await Promise.all([rejectionOf(acquire(HELD)), rejectionOf(acquire(HELD))]);
    expect(new Set(errors).size).toBe(2);
  });

  test.each([
    ["the reason of a signal", new Error("enough")],
    ["no error at all", "enough"],
    [
      "a request's of the user's own",
      new ConsulError("it failed", { code: "CONSUL_CLOSED", method: "GET", path: "/" }),
    ],
  ])("is the very same where it is %s", async (_, failure) => {
    expect(await rejectionOf(acquire(failure))).toBe(failure);
  });

  test("is the very same where it is the reason of the user's signal, if it is a semaphore's", () => {
    const { signal } = new AbortController();
    const aborted = AbortSignal.abort(HELD);
    const caller = new Caller(PREFIX);
    expect(caller.report(HELD, aborted)).toBe(HELD);
    expect(caller.report(HELD, signal)).not.toBe(HELD);
  });
});

describe("the stack", () => {
  /** The frames, which begin with the one that called. */
  const framesOf = (error: unknown): readonly string[] => stackOf(error).split("\n").slice(1);

  test("begins with the name and the message, and then the line that called", async () => {
    const theUsers = async (): Promise<void> => {
      await new Promise((resolve) => setImmediate(resolve));
      await acquire(HELD);
    };
    const error = await rejectionOf(theUsers());
    expect(
      stackOf(error).startsWith(`SemaphoreHeldError: ${withPrefix(HELD, PREFIX).message}\n`),
    ).toBe(true);
    expect(framesOf(error)[0]).toMatch(/ at .*theUsers .*caller\.test\.ts:\d+/);
    expect(stackOf(error)).not.toContain("deepInside");
    expect(stackOf(error)).not.toContain("at acquire");
  });

  test("has it where the call is one of several", async () => {
    const one = (): Promise<void> => acquire(HELD);
    const theUsers = async (): Promise<unknown> => await Promise.all([one(), acquire(undefined)]);
    expect(framesOf(await rejectionOf(theUsers()))[0]).toMatch(/ at one .*caller\.test\.ts/);
  });

  test("has it where the call is not awaited at once", async () => {
    const begin = (): { readonly promise: Promise<void> } => ({ promise: acquire(HELD) });
    const { promise } = begin();
    promise.catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(framesOf(await rejectionOf(promise))[0]).toMatch(/ at begin .*caller\.test\.ts/);
  });

  test("is no field", async () => {
    const error = await rejectionOf(acquire(HELD));
    expect(error).toBeInstanceOf(SemaphoreError);
    if (error instanceof Error) expect(Object.keys(error)).not.toContain("stack");
  });

  test("may be whatever the program makes of stacks", async () => {
    setOnError("prepareStackTrace", (_: unknown, sites: unknown) => sites);
    const error = await rejectionOf(acquire(HELD));
    expect(error).toMatchObject({ prefix: PREFIX, message: withPrefix(HELD, PREFIX).message });
  });

  test("has no frames where the program wants none", async () => {
    setOnError("stackTraceLimit", 0);
    const error = await rejectionOf(acquire(HELD));
    expect(stackOf(error)).toBe(`SemaphoreHeldError: ${withPrefix(HELD, PREFIX).message}`);
  });
});

test("what a call costs does not grow with its stack", () => {
  const costAt = (depth: number): number => {
    if (depth > 0) return costAt(depth - 1);
    const start = performance.now();
    for (let i = 0; i < 2_000; i += 1) new Caller(PREFIX);
    return performance.now() - start;
  };
  const leastOf = (depth: number): number =>
    Math.min(...Array.from({ length: 8 }, () => costAt(depth)));
  expect(leastOf(2_000)).toBeLessThan(4 * leastOf(20));
});
