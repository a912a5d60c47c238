// Work in a slot, and how its end and the slot's end go together.
import { beforeEach, describe, expect, test, vi } from "vitest";

import {
  SemaphoreLostError,
  SemaphoreOptionsError,
  type Semaphore,
  type SemaphoreOptions,
  type SemaphoreSlot,
} from "../../../src/index.js";
import { Scene } from "../client-of-fake.js";
import { FakeTime } from "../fake-time.js";
import { answerLate, forbidden, leaderless, silent } from "../faults.js";
import { Watched } from "../outcome.js";
import { rejectionOf } from "../rejection.js";

const PREFIX = "jobs";
const TTL = 15_000;

let time: FakeTime;
let scene: Scene;

beforeEach(() => {
  time = new FakeTime();
  scene = new Scene();
});

const semaphore = (given: Partial<SemaphoreOptions> = {}): Semaphore =>
  scene.client.semaphoreOpts({ prefix: PREFIX, limit: 1, ...given });

const wait = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

describe("run", () => {
  test("has the function run in a slot, and resolves to its result once that is given back", async () => {
    const sem = semaphore();
    let held: SemaphoreSlot | undefined;
    const running = sem.run(async (slot) => {
      held = slot;
      expect(slot.held).toBe(true);
      await wait(1_000);
      expect(scene.lock(PREFIX)?.holders).toEqual([slot.session]);
      return "result";
    });
    await time.pass(1_000);
    expect(await running).toBe("result");
    expect(held?.held).toBe(false);
    expect(scene.lock(PREFIX)?.holders).toEqual([]);
  });

  test("takes a function that is not asynchronous", async () => {
    expect(await semaphore().run(() => 42)).toBe(42);
  });

  test("rejects with what the function throws, once the slot is given back", async () => {
    const failure = new Error("it failed");
    scene.next("leave", answerLate(300));
    const running = new Watched(
      semaphore().run(() => {
        throw failure;
      }),
    );
    await time.pass(299);
    expect(running.outcome).toBeUndefined();
    await time.pass(1);
    expect(running.outcome).toEqual({ error: failure, at: time.start + 300 });
    expect(scene.lock(PREFIX)?.holders).toEqual([]);
  });

  test("rejects with what the function throws also where the slot cannot be given back", async () => {
    const failure = new Error("it failed");
    scene.always("leave", forbidden);
    const running = semaphore().run(() => Promise.reject(failure));
    expect(await rejectionOf(running)).toBe(failure);
  });

  test("rejects where all went well but that the slot cannot be given back", async () => {
    scene.always("leave", forbidden);
    expect(await rejectionOf(semaphore().run(() => "result"))).toMatchObject({
      code: "SEMAPHORE_UPDATE_FAILED",
      cause: { status: 403 },
    });
  });

  test("is not given up by its signal once the function runs", async () => {
    const stop = new AbortController();
    const running = new Watched(semaphore().run(() => wait(1_000), stop.signal));
    await time.pass(500);
    stop.abort(new Error("too late"));
    await time.pass(500);
    expect(running.outcome).toMatchObject({ value: undefined });
  });

  test("calls no function where it comes by no slot", async () => {
    await scene.newClient().semaphorePrefix(PREFIX, 1).acquire();
    const stop = new AbortController();
    const fn = vi.fn();
    const running = new Watched(semaphore().run(fn, stop.signal));
    await time.pass(1_000);
    const reason = new Error("enough");
    stop.abort(reason);
    await time.settle();
    expect(running.outcome).toMatchObject({ error: reason });
    expect(fn).not.toHaveBeenCalled();
  });
});

describe("a loss while the function runs", () => {
  test("does not stop it, and is what it rejects with in the end", async () => {
    const sem = semaphore();
    let isDone = false;
    const running = new Watched(
      sem.run(async (slot) => {
        await wait(3_000);
        expect(slot.signal.aborted).toBe(true);
        isDone = true;
      }),
    );
    await time.pass(1_000);
    scene.consul.deleteKey(`${PREFIX}/.lock`);
    await time.pass(2_000);
    expect(isDone).toBe(true);
    await time.settle();
    expect(running.outcome).toMatchObject({ error: { reason: "holder-removed" } });
    expect(sem.isHeld).toBe(false);
  });

  test("is what it rejects with where the function was aborted by it, as Node's timers are", async () => {
    const running = new Watched(
      semaphore().run(async ({ signal }) => {
        await new Promise((_, reject) => {
          signal.addEventListener("abort", () => {
            const cause: unknown = signal.reason;
            reject(Object.assign(new DOMException("aborted", "AbortError"), { cause }));
          });
        });
      }),
    );
    await time.pass(1_000);
    scene.consul.deleteKey(`${PREFIX}/.lock`);
    await time.pass(2_000);
    expect(running.outcome).toMatchObject({
      error: { name: "SemaphoreLostError", reason: "holder-removed", prefix: PREFIX },
    });
  });

  test.each([
    ["throws", new Error("it failed")],
    ["was aborted by something else", new DOMException("aborted", "AbortError")],
  ])("is not what it rejects with where the function %s", async (_, failure) => {
    const running = new Watched(
      semaphore().run(async () => {
        await wait(3_000);
        throw failure;
      }),
    );
    await time.pass(1_000);
    scene.consul.deleteKey(`${PREFIX}/.lock`);
    await time.pass(2_000);
    const { outcome } = running;
    expect(outcome && "error" in outcome && outcome.error).toBe(failure);
  });

  test.each<[string, () => Promise<void>]>([
    ["throws", () => Promise.reject(new Error("it failed"))],
    ["does well", () => Promise.resolve()],
  ])("has it reject as soon as the function %s: cleaning up goes on behind", async (_, end) => {
    const sem = semaphore();
    const running = new Watched(
      sem.run(async () => {
        await wait(3_000);
        await end();
      }),
    );
    await time.pass(1_000);
    scene.consul.deleteKey(`${PREFIX}/.lock`);
    await time.pass(1_000);
    scene.always(() => true, silent);
    await time.pass(1_000);
    expect(running.outcome).toMatchObject({ at: time.start + 3_000 });
    expect(running.outcome).toHaveProperty("error");
    scene.heal();
    await time.pass(20_000);
    expect(scene.left).toEqual([]);
  });

  test("is reported where only the clock shows it yet", async () => {
    const sem = semaphore();
    const running = new Watched(
      sem.run((slot) => {
        const { signal } = slot;
        expect(slot.held).toBe(true);
        // For so long that no timer has fired since.
        time.block(TTL);
        expect(signal.aborted).toBe(false);
        expect(slot.held).toBe(false);
        expect(signal.aborted).toBe(true);
      }),
    );
    await time.settle();
    expect(running.outcome).toHaveProperty("error", expect.any(SemaphoreLostError));
    expect(running.outcome).toMatchObject({ error: { reason: "session-expired" } });
    expect(sem.isHeld).toBe(false);
  });

  test("is reported where nobody has checked for it", async () => {
    const running = new Watched(
      semaphore().run(() => {
        time.block(TTL);
      }),
    );
    await time.settle();
    expect(running.outcome).toMatchObject({ error: { reason: "session-expired" } });
  });

  test("by the end of the client is none, but has it reject", async () => {
    const running = new Watched(semaphore().run((slot) => untilAborted(slot)));
    await time.pass(1_000);
    await scene.client.close();
    expect(running.outcome).toMatchObject({ error: { code: "SEMAPHORE_CLOSED" } });
    expect(scene.left).toEqual([]);
  });
});

const untilAborted = ({ signal }: SemaphoreSlot): Promise<void> =>
  new Promise((resolve) => {
    signal.addEventListener("abort", () => {
      resolve();
    });
  });

test("a loss is reported before any other call of the same client has its result", async () => {
  const [first, second] = [semaphore({ limit: 2 }), semaphore({ limit: 2 })];
  const { signal } = await first.acquire();
  await time.pass(100);
  scene.next("enter and join", answerLate(1));
  const acquiring = new Watched(second.acquire().then(() => signal.aborted));
  await time.settle();
  // After a blocked event loop the answer is read before the timer of the first slot has run. The
  // session of the second is younger, and lives.
  time.block(TTL - 100);
  expect(signal.aborted).toBe(false);
  await time.pass(1);
  expect(acquiring.outcome).toMatchObject({ value: true });
});

test("what is no signal or no function is refused before anything is sent", async () => {
  const sem = semaphore();
  const unhandled = vi.fn();
  process.on("unhandledRejection", unhandled);
  try {
    for (const [method, ...args] of [
      ["acquire", new AbortController()],
      ["acquire", { signal: "no signal" }],
      ["acquire", { timeout: "soon" }],
      ["acquire", { timeOut: "1s" }],
      ["acquire", null],
      ["tryAcquire", 5_000],
      ["run"],
      ["run", new AbortController().signal, () => undefined],
      ["run", () => undefined, { timeout: -1 }],
      ["resize", 0],
      ["resize", "3"],
    ] as const) {
      const call: unknown = Reflect.get(sem, method);
      if (typeof call !== "function") throw new Error(`no method ${method}`);
      const failure = await rejectionOf(Promise.resolve(Reflect.apply(call, sem, args)));
      expect(failure).toBeInstanceOf(SemaphoreOptionsError);
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).not.toHaveBeenCalled();
    expect(scene.sent).toEqual([]);
  } finally {
    process.off("unhandledRejection", unhandled);
  }
});

test("inspecting shows the holders and the waiters in their order, and disturbs nobody", async () => {
  const [holder, waiter] = [scene.newClient(), scene.newClient()];
  const held = holder.semaphoreOpts({ prefix: PREFIX, limit: 1, value: "the holder" });
  const slot = await held.acquire();
  const waiting = new Watched(waiter.semaphorePrefix(PREFIX, 1).acquire());
  await time.pass(1_000);
  const state = await semaphore().inspect();
  expect(state).toMatchObject({ limit: 1, holders: [{ session: slot.session }] });
  expect(Buffer.from(state.holders[0]?.value ?? []).toString()).toBe("the holder");
  expect(state.waiters).toHaveLength(1);
  expect(Object.keys(state.waiters[0] ?? {}).sort()).toEqual(["createIndex", "session", "value"]);
  expect(await semaphore({ prefix: "unused", limit: 7 }).inspect()).toEqual({
    limit: 7,
    holders: [],
    waiters: [],
  });
  scene.always("read prefix", leaderless);
  expect(await rejectionOf(semaphore().inspect())).toMatchObject({ code: "SEMAPHORE_READ_FAILED" });
  expect(waiting.outcome).toBeUndefined();
});
