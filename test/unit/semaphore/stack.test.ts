// An error leads to the line that called, whatever has gone wrong how deep inside.
import { expect, test } from "vitest";

import type { Semaphore, SemaphoreSlot } from "../../../src/index.js";
import { Scene } from "../client-of-fake.js";
import { forbidden } from "../faults.js";
import { rejectionOf } from "../rejection.js";

const FAILURES: Readonly<
  Record<string, (sem: Semaphore, slot: SemaphoreSlot) => Promise<unknown>>
> = {
  acquire: async (sem) => await sem.acquire(),
  tryAcquire: async (sem) => await sem.tryAcquire(),
  run: async (sem) => {
    await sem.run(() => undefined);
  },
  "release of a semaphore": async (sem) => {
    await sem.release();
  },
  "release of a slot": async (_, slot) => {
    await slot.release();
  },
  "the end of a block": async (_, slot) => {
    await slot[Symbol.asyncDispose]();
  },
  destroy: async (sem) => {
    await sem.destroy();
  },
  inspect: async (sem) => await sem.inspect(),
  resize: async (sem) => {
    await sem.resize(5);
  },
};

test.each(Object.entries(FAILURES))("%s", async (_, call) => {
  const scene = new Scene();
  const sem = scene.client.semaphorePrefix("jobs", 1);
  const slot = await scene.client.semaphorePrefix("jobs", 1).acquire();
  scene.always(() => true, forbidden);
  const theUsersLine = async (): Promise<unknown> => {
    await new Promise((resolve) => setImmediate(resolve));
    return await call(sem, slot);
  };
  const error = await rejectionOf(theUsersLine());
  expect(error).toMatchObject({ prefix: "jobs" });
  if (!(error instanceof Error)) throw new Error("no error");
  expect(error.message).toContain('"jobs"');
  expect(error.stack).toContain(error.message);
  expect(error.stack).toMatch(/stack\.test\.ts:\d+/);
  expect(error.stack).toContain("theUsersLine");
});

test("what a function throws is left as it is, also an error of the same semaphore", async () => {
  const sem = new Scene().client.semaphorePrefix("jobs", 1);
  let thrown: unknown;
  const running = sem.run(async (slot) => {
    await slot.release();
    thrown = slot.signal.reason;
    throw thrown;
  });
  expect(await rejectionOf(running)).toBe(thrown);
});
