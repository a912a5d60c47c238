// The end of a client that lets the work in its slots come to its end.
import { once } from "node:events";

import { beforeEach, describe, expect, test } from "vitest";

import type { Semaphore, SemaphoreSlot } from "../../../src/index.js";
import { Scene } from "../client-of-fake.js";
import { FakeTime } from "../fake-time.js";
import { Watched } from "../outcome.js";
import { rejectionOf } from "../rejection.js";

const PREFIX = "jobs";

let time: FakeTime;
let scene: Scene;

beforeEach(() => {
  time = new FakeTime();
  scene = new Scene();
});

const semaphore = (limit = 1): Semaphore => scene.client.semaphorePrefix(PREFIX, limit);

const work = (ms: number) => (): Promise<string> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms, "done");
  });

describe("a drain", () => {
  test("leaves slots to those who work in them, and keeps the next holder out until then", async () => {
    const running = new Watched(semaphore().run(work(40_000)));
    await time.settle();
    const next = new Watched(scene.newClient().semaphorePrefix(PREFIX, 1).acquire());
    await time.pass(1_000);
    const closing = new Watched(scene.client.close({ drain: "1m" }));
    await time.pass(38_990);
    expect([running.outcome, next.outcome, closing.outcome]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    await time.pass(20);
    expect(running.outcome).toMatchObject({ value: "done", at: time.start + 40_000 });
    expect(closing.outcome).toMatchObject({ at: time.start + 40_000 });
    expect(next.outcome).toHaveProperty("value");
  });

  test.each([
    ["before", 0],
    ["meanwhile", 2_000],
  ])("does not wait for a slot that was lost %s", async (_, wait) => {
    const slot = await semaphore().acquire();
    await time.pass(1_000);
    const lose = async (): Promise<void> => {
      scene.consul.deleteKey(`${PREFIX}/.lock`);
      await time.pass(1_000);
      expect(slot.held).toBe(false);
    };
    if (wait === 0) await lose();
    const closing = new Watched(scene.client.close({ drain: "1m" }));
    await time.pass(wait);
    if (wait > 0) await lose();
    await time.pass(100);
    expect(closing.outcome).toMatchObject({ value: undefined });
    expect(scene.left).toEqual([]);
  });

  test("ends with the release of the slots that are held when its time is over", async () => {
    const slot = await semaphore().acquire();
    const running = new Watched(scene.client.semaphorePrefix("others", 1).run(work(60_000)));
    await time.pass(1_000);
    const closing = new Watched(scene.client.close({ drain: 10_000 }));
    await time.pass(9_999);
    expect(slot.held).toBe(true);
    await time.pass(1);
    expect(slot.signal.reason).toMatchObject({ code: "SEMAPHORE_RELEASED" });
    expect(closing.outcome).toMatchObject({ at: time.start + 11_000 });
    expect(scene.left).toEqual([]);
    await time.pass(60_000);
    expect(running.outcome).toMatchObject({ error: { code: "SEMAPHORE_CLOSED" } });
  });

  test("has a run whose function throws the reason of its signal say that the client was closed", async () => {
    const working = new Watched(
      scene.client.semaphorePrefix(PREFIX, 1).run(async ({ signal }) => {
        await once(signal, "abort");
        signal.throwIfAborted();
      }),
    );
    await time.pass(1_000);
    await scene.client.close();
    expect(working.outcome).toMatchObject({
      error: { name: "SemaphoreClosedError", prefix: PREFIX },
    });
  });

  test("rejects waiters and new calls at once", async () => {
    const sem = semaphore();
    void sem.run(work(5_000));
    await time.pass(100);
    const waiting = [sem.acquire(), sem.tryAcquire(), sem.run(() => undefined)].map(
      (call) => new Watched<SemaphoreSlot | null | undefined>(call),
    );
    await time.pass(100);
    const closing = scene.client.close({ drain: "5m" });
    await time.settle();
    for (const { outcome } of waiting) {
      expect(outcome).toMatchObject({ error: { code: "SEMAPHORE_CLOSED", prefix: PREFIX } });
    }
    expect(await rejectionOf(sem.acquire())).toMatchObject({ code: "SEMAPHORE_CLOSED" });
    await time.pass(5_000);
    await closing;
  });

  test("is over at once where nothing is held", async () => {
    await semaphore().run(() => undefined);
    const closing = new Watched(scene.client.close({ drain: "5m" }));
    await time.settle();
    expect(closing.outcome).toMatchObject({ at: time.start });
  });

  test("keeps sessions alive meanwhile", async () => {
    const slot = await semaphore().acquire();
    const closing = scene.client.close({ drain: "5m" });
    await time.pass(299_000);
    expect(slot.held).toBe(true);
    await slot.release();
    await closing;
  });

  test("is cut short by another end of the client", async () => {
    const slot = await semaphore().acquire();
    const closing = new Watched(scene.client.close({ drain: "5m" }));
    await time.pass(1_000);
    expect(slot.held).toBe(true);
    await scene.client.close();
    expect(slot.held).toBe(false);
    await time.settle();
    expect(closing.outcome).toMatchObject({ value: undefined, at: time.start + 1_000 });
  });

  test.each([{ drain: "soon" }, { drain: -1 }, { drian: "5s" }, "5s", null])(
    "must be one: %j",
    async (options) => {
      const close: unknown = Reflect.apply(scene.client.close.bind(scene.client), null, [options]);
      expect(await rejectionOf(Promise.resolve(close))).toMatchObject({
        code: "SEMAPHORE_INVALID_OPTIONS",
      });
      expect((await semaphore().acquire()).held).toBe(true);
    },
  );
});
