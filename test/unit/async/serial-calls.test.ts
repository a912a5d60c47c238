import { getEventListeners } from "node:events";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { describe, expect, test, vi } from "vitest";

import { SerialCalls } from "../../../src/async/serial-calls.js";

const listenersOf = (signal: AbortSignal): number => getEventListeners(signal, "abort").length;

/** A call that ends when it is told to. */
function pendingCall<Result>() {
  const { promise, resolve, reject } = withResolvers<Result>();
  return { call: vi.fn(() => promise), resolve, reject };
}

function withResolvers<Result>() {
  let resolve: (value: Result) => void = () => undefined;
  let reject: (reason: unknown) => void = () => undefined;
  const promise = new Promise<Result>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/** Lets every promise that can settle do so. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("serial calls", () => {
  test("resolve to what each call resolves to, or reject with what it rejects with", async () => {
    const calls = new SerialCalls();
    await expect(calls.run(() => Promise.resolve(1))).resolves.toBe(1);
    await expect(calls.run(() => Promise.reject(new Error("two")))).rejects.toThrow("two");
    await expect(calls.run(() => Promise.resolve(3))).resolves.toBe(3);
  });

  test("run one after the other, in the order in which they came", async () => {
    const calls = new SerialCalls();
    const steps: string[] = [];
    const call = (name: string) => async (): Promise<void> => {
      steps.push(`${name} begins`);
      await settle();
      steps.push(`${name} ends`);
    };
    await Promise.all(["a", "b", "c"].map((name) => calls.run(call(name))));
    expect(steps).toEqual(["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]);
  });

  test("wait for those before them, however long", async () => {
    const calls = new SerialCalls();
    const first = pendingCall<string>();
    const second = pendingCall<string>();
    const ran = [calls.run(first.call), calls.run(second.call)];
    await settle();
    expect(first.call).toHaveBeenCalledTimes(1);
    expect(second.call).not.toHaveBeenCalled();
    first.resolve("one");
    second.resolve("two");
    await expect(Promise.all(ran)).resolves.toEqual(["one", "two"]);
  });

  test("go on after one that fails", async () => {
    const calls = new SerialCalls();
    const first = calls.run(() => Promise.reject(new Error("first")));
    const second = calls.run(() => Promise.resolve("second"));
    await expect(first).rejects.toThrow("first");
    await expect(second).resolves.toBe("second");
  });

  test("go on after one that throws before it has a promise", async () => {
    const calls = new SerialCalls();
    const first = calls.run(() => {
      throw new Error("first");
    });
    const second = calls.run(() => Promise.resolve("second"));
    await expect(first).rejects.toThrow("first");
    await expect(second).resolves.toBe("second");
  });
});

describe("a call whose signal aborts", () => {
  test("while it waits rejects at once with the reason, and never runs", async () => {
    const calls = new SerialCalls();
    const first = pendingCall<string>();
    const ran = calls.run(first.call);
    const controller = new AbortController();
    const call = vi.fn(() => Promise.resolve("never"));
    const waiting = calls.run(call, controller.signal);
    controller.abort("enough");
    await expect(waiting).rejects.toBe("enough");
    first.resolve("one");
    await expect(ran).resolves.toBe("one");
    await settle();
    expect(call).not.toHaveBeenCalled();
    expect(listenersOf(controller.signal)).toBe(0);
  });

  test("while it waits does not let the next one pass the one before it", async () => {
    const calls = new SerialCalls();
    const first = pendingCall<string>();
    const ran = calls.run(first.call);
    const controller = new AbortController();
    const waiting = calls.run(() => Promise.resolve("never"), controller.signal);
    const third = vi.fn(() => Promise.resolve("three"));
    const last = calls.run(third);
    controller.abort("enough");
    await expect(waiting).rejects.toBe("enough");
    await settle();
    expect(third).not.toHaveBeenCalled();
    first.resolve("one");
    await expect(Promise.all([ran, last])).resolves.toEqual(["one", "three"]);
  });

  test("before it came never runs", async () => {
    const calls = new SerialCalls();
    const call = vi.fn(() => Promise.resolve("never"));
    await expect(calls.run(call, AbortSignal.abort("over"))).rejects.toBe("over");
    await settle();
    expect(call).not.toHaveBeenCalled();
  });

  test("while it runs is left to the call itself", async () => {
    const calls = new SerialCalls();
    const running = pendingCall<string>();
    const controller = new AbortController();
    const ran = calls.run(running.call, controller.signal);
    await settle();
    expect(listenersOf(controller.signal)).toBe(0);
    controller.abort("too late");
    running.resolve("done");
    await expect(ran).resolves.toBe("done");
  });
});

test("hundreds of calls that wait with one signal put one listener on it, and take it off", async () => {
  const calls = new SerialCalls();
  const { signal } = new AbortController();
  const first = pendingCall<string>();
  const all = [calls.run(first.call)];
  for (let i = 0; i < 300; i += 1) all.push(calls.run(() => Promise.resolve("done"), signal));
  expect(listenersOf(signal)).toBe(1);
  first.resolve("done");
  await expect(Promise.all(all)).resolves.toHaveLength(301);
  expect(listenersOf(signal)).toBe(0);
});

test("serial calls keep nothing of what is over", async () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage: unknown = runInNewContext("gc");
  if (typeof collectGarbage !== "function") throw new Error("no garbage collector to call");
  const calls = new SerialCalls();
  const run = async (): Promise<WeakRef<object>> => {
    const result = {};
    await calls.run(() => Promise.resolve(result));
    return new WeakRef(result);
  };
  const first = await run();
  for (let call = 0; call < 10; call += 1) await run();
  // Until then a WeakRef that was made or read keeps what it refers to.
  await settle();
  Reflect.apply(collectGarbage, undefined, []);
  expect(first.deref()).toBeUndefined();
});
