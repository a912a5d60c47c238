import { getEventListeners } from "node:events";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { SerialQueue } from "../../../src/async/serial-queue.js";
import { after, silence } from "../failures.js";
import { Watched } from "../outcome.js";
import { rejectionOf } from "../rejection.js";

const PATIENCE = 100;

let start: number;
/** When each call began. */
let begun: Record<string, number>;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  start = performance.now();
  begun = {};
});

afterEach(() => {
  vi.useRealTimers();
});

const listenersOf = (signal: AbortSignal): number => getEventListeners(signal, "abort").length;

/** A call that lasts so long. */
function call(queue: SerialQueue, name: string, ms: number, signal?: AbortSignal): Watched<string> {
  return new Watched(
    queue.run(async () => {
      begun[name] = performance.now() - start;
      await after(ms, undefined);
      return name;
    }, signal),
  );
}

describe("calls in a serial queue", () => {
  test("begin at once where no other is under way", async () => {
    const queue = new SerialQueue();
    let hasBegun = false;
    const result = queue.run(() => {
      hasBegun = true;
      return Promise.resolve("result");
    });
    expect(hasBegun).toBe(true);
    expect(await result).toBe("result");
    await vi.advanceTimersByTimeAsync(0);
    call(queue, "next", 10);
    expect(begun).toEqual({ next: 0 });
  });

  test("run one after the other, in the order in which they came", async () => {
    const queue = new SerialQueue();
    const calls = [call(queue, "a", 30_000), call(queue, "b", 20), call(queue, "c", 10)];
    await vi.advanceTimersByTimeAsync(60_000);
    expect(begun).toEqual({ a: 0, b: 30_000, c: 30_020 });
    expect(calls.map(({ outcome }) => outcome)).toEqual([
      { value: "a", at: start + 30_000 },
      { value: "b", at: start + 30_020 },
      { value: "c", at: start + 30_030 },
    ]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("go on after one that fails, which keeps its failure to itself", async () => {
    const queue = new SerialQueue();
    const failure = new Error("it failed");
    const failing = rejectionOf(
      queue.run(async () => {
        await after(10, undefined);
        throw failure;
      }),
    );
    const next = call(queue, "next", 10);
    await vi.advanceTimersByTimeAsync(20);
    expect(await failing).toBe(failure);
    expect(next.outcome).toEqual({ value: "next", at: start + 20 });
  });

  test("go on after one that throws before it has a promise, where others were before it", async () => {
    const queue = new SerialQueue();
    call(queue, "first", 10);
    const failing = rejectionOf(
      queue.run(() => {
        throw new Error("it failed");
      }),
    );
    const next = call(queue, "next", 10);
    await vi.advanceTimersByTimeAsync(20);
    expect(await failing).toMatchObject({ message: "it failed" });
    expect(next.outcome).toMatchObject({ value: "next" });
  });

  test("go on after one that throws before it has a promise, where none was before it", async () => {
    const queue = new SerialQueue();
    const failing = rejectionOf(
      queue.run(() => {
        throw new Error("it failed");
      }),
    );
    const next = call(queue, "next", 10);
    await vi.advanceTimersByTimeAsync(20);
    expect(await failing).toMatchObject({ message: "it failed" });
    expect(next.outcome).toMatchObject({ value: "next" });
  });
});

describe("work that a call leaves behind", () => {
  test("keeps the next call waiting, and not its own caller", async () => {
    const queue = new SerialQueue();
    const first = new Watched(
      queue.run((background) => {
        background(after(50, undefined));
        background(after(20, undefined));
        return Promise.resolve("done");
      }),
    );
    const next = call(queue, "next", 10);
    await vi.advanceTimersByTimeAsync(0);
    expect(first.outcome).toEqual({ value: "done", at: start });
    await vi.advanceTimersByTimeAsync(60);
    expect(begun).toEqual({ next: 50 });
    expect(next.outcome).toMatchObject({ value: "next" });
  });

  test("may fail, and may be left by a call that fails", async () => {
    const queue = new SerialQueue();
    const failing = rejectionOf(
      queue.run(async (background) => {
        await after(10, undefined);
        background(after(20, undefined).then(() => Promise.reject(new Error("behind"))));
        throw new Error("the call");
      }),
    );
    call(queue, "next", 10);
    await vi.advanceTimersByTimeAsync(60);
    expect(await failing).toMatchObject({ message: "the call" });
    expect(begun).toEqual({ next: 30 });
  });

  test("counts for a caller that asks when all is settled", async () => {
    const queue = new SerialQueue();
    const before = new Watched(queue.settled);
    void queue.run((background) => {
      background(after(50, undefined));
      return Promise.resolve();
    });
    const settled = new Watched(queue.settled);
    await vi.advanceTimersByTimeAsync(0);
    expect(before.outcome).toBeDefined();
    expect(settled.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(50);
    expect(settled.outcome).toMatchObject({ at: start + 50 });
  });
});

describe("a call whose signal aborts", () => {
  test("while it waits rejects at once with the reason, and never runs", async () => {
    const queue = new SerialQueue();
    call(queue, "first", 100);
    const controller = new AbortController();
    const waiting = call(queue, "never", 10, controller.signal);
    await vi.advanceTimersByTimeAsync(40);
    controller.abort("enough");
    await vi.advanceTimersByTimeAsync(0);
    expect(waiting.outcome).toEqual({ error: "enough", at: start + 40 });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(begun).toEqual({ first: 0 });
    expect(listenersOf(controller.signal)).toBe(0);
  });

  test("while it waits does not let the next one pass the one before it", async () => {
    const queue = new SerialQueue();
    call(queue, "first", 100);
    const controller = new AbortController();
    call(queue, "never", 10, controller.signal);
    call(queue, "third", 10);
    await vi.advanceTimersByTimeAsync(40);
    controller.abort("enough");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(begun).toEqual({ first: 0, third: 100 });
  });

  test("before it came never runs", async () => {
    const never = call(new SerialQueue(), "never", 10, AbortSignal.abort("over"));
    await vi.advanceTimersByTimeAsync(0);
    expect(never.outcome).toEqual({ error: "over", at: start });
    expect(begun).toEqual({});
  });

  test("while it runs is left to the call itself", async () => {
    const controller = new AbortController();
    const running = call(new SerialQueue(), "running", 10, controller.signal);
    await vi.advanceTimersByTimeAsync(5);
    expect(listenersOf(controller.signal)).toBe(0);
    controller.abort("too late");
    await vi.advanceTimersByTimeAsync(5);
    expect(running.outcome).toMatchObject({ value: "running" });
  });
});

describe("a queue with little patience", () => {
  test("lets a call go ahead once it has waited long enough", async () => {
    const queue = new SerialQueue(PATIENCE);
    void queue.run(silence);
    call(queue, "second", 30);
    await vi.advanceTimersByTimeAsync(60);
    call(queue, "third", 10);
    await vi.advanceTimersByTimeAsync(PATIENCE);
    expect(begun).toEqual({ second: PATIENCE, third: 60 + PATIENCE });
  });

  test("has it wait for all that are still under way, not just for the last", async () => {
    const queue = new SerialQueue(PATIENCE);
    call(queue, "slow", 130);
    call(queue, "quick", 10);
    await vi.advanceTimersByTimeAsync(115);
    // The second has gone ahead and is done; the first still is at it.
    call(queue, "third", 10);
    await vi.advanceTimersByTimeAsync(PATIENCE);
    expect(begun).toEqual({ slow: 0, quick: PATIENCE, third: 130 });
  });

  test("leaves nothing behind where nobody had to be that patient", async () => {
    const queue = new SerialQueue(PATIENCE);
    call(queue, "first", 10);
    call(queue, "second", 10);
    await vi.advanceTimersByTimeAsync(20);
    expect(begun).toEqual({ first: 0, second: 10 });
    expect(vi.getTimerCount()).toBe(0);
  });
});

test("hundreds of calls that wait with one signal put one listener on it, and take it off", async () => {
  const queue = new SerialQueue();
  const { signal } = new AbortController();
  call(queue, "first", 10);
  const all = Array.from({ length: 300 }, () => call(queue, "other", 0, signal));
  expect(listenersOf(signal)).toBe(1);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(all.every(({ outcome }) => outcome !== undefined)).toBe(true);
  expect(listenersOf(signal)).toBe(0);
});

test("a serial queue keeps nothing of what is over", async () => {
  vi.useRealTimers();
  setFlagsFromString("--expose-gc");
  const collectGarbage: unknown = runInNewContext("gc");
  if (typeof collectGarbage !== "function") throw new Error("no garbage collector to call");
  const queue = new SerialQueue();
  const run = async (): Promise<WeakRef<object>> => {
    const result = {};
    await queue.run(() => Promise.resolve(result));
    return new WeakRef(result);
  };
  const first = await run();
  for (let count = 0; count < 10; count += 1) await run();
  // Until then a WeakRef that was made or read keeps what it refers to.
  await new Promise((resolve) => setImmediate(resolve));
  Reflect.apply(collectGarbage, undefined, []);
  expect(first.deref()).toBeUndefined();
});
