// Writes of which nobody knows whether they were carried out: each is settled by reading, and none
// leaves anything behind.
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import {
  SEMAPHORE_FLAG_VALUE,
  type Semaphore,
  type SemaphoreOptions,
  type SemaphoreSlot,
} from "../../../src/index.js";
import { encodeLock } from "../../../src/protocol/lock-entry.js";
import { Scene } from "../client-of-fake.js";
import { FakeTime } from "../fake-time.js";
import {
  answerLost,
  answerSwallowed,
  forbidden,
  leaderless,
  page,
  requestLate,
  silent,
  unsent,
  type Fault,
} from "../faults.js";
import { valueOf, Watched } from "../outcome.js";
import type { Step } from "../sent.js";

const PREFIX = "jobs";

let time: FakeTime;
let scene: Scene;

beforeEach(() => {
  time = new FakeTime();
  scene = new Scene();
});

const semaphore = (given: Partial<SemaphoreOptions> = {}): Semaphore =>
  scene.client.semaphoreOpts({ prefix: PREFIX, limit: 1, ...given });

/** How an answer can be lost. */
const LOSSES: readonly [string, Fault][] = [
  ["carried out, and the connection breaks", answerLost],
  ["carried out, and nothing ever comes", answerSwallowed],
  ["not carried out, and the connection breaks", unsent],
  ["not carried out, and nothing ever comes", silent],
  ["answered by a proxy with a page", page(502)],
  ["answered by a proxy with a page of status 200", page(200)],
  ["answered by a proxy with a page of status 404", page(404)],
  ["answered by a proxy with a page of status 403", page(403)],
  ["refused for want of a leader", leaderless],
];

/** The slot is there, for good, and is given back without a trace. */
async function expectWholeSlot(sem: Semaphore, slot: SemaphoreSlot): Promise<void> {
  expect(scene.lock(PREFIX)).toEqual({ limit: 1, holders: [slot.session] });
  expect(scene.contenders(PREFIX)[0]).toMatchObject({ session: slot.session });
  // The token is the index of the write that the lock entry was last swapped with.
  const lock = scene.consul.entries.find(({ key }) => key === `${PREFIX}/.lock`);
  expect(slot.fencingToken).toBe(lock?.modifyIndex);
  await time.pass(60_000);
  expect(slot.held).toBe(true);
  await sem.release();
  expect(scene.lock(PREFIX)?.holders).toEqual([]);
  await time.pass(10_000);
}

describe.each(LOSSES)("a write on the way in that is %s", (_, fault) => {
  afterEach(() => {
    expect(scene.left).toEqual([]);
  });

  test.each<Step>(["enter and join", "enter and read", "join"])(
    "does not cost the slot that it was for: %s",
    async (step) => {
      const other = scene.newClient().semaphorePrefix(PREFIX, 1);
      if (step !== "enter and join") await other.acquire();
      scene.next(step, fault);
      const sem = semaphore();
      const acquiring = new Watched(sem.acquire());
      await time.pass(1_000);
      if (step !== "enter and join") await other.release();
      await time.pass(20_000);
      await expectWholeSlot(sem, valueOf(acquiring));
    },
  );

  test("does not cost it either where it happens again to what makes sure of it", async () => {
    scene.next("enter and join", answerLost);
    scene.next("rejoin", fault);
    scene.next("join", fault);
    const sem = semaphore();
    const acquiring = new Watched(sem.acquire());
    await time.pass(30_000);
    await expectWholeSlot(sem, valueOf(acquiring));
  });

  test("comes to nothing where the caller gives up meanwhile", async () => {
    scene.next("enter and join", fault);
    scene.always("rejoin", leaderless);
    scene.always("join", leaderless);
    const controller = new AbortController();
    const acquiring = new Watched(semaphore().acquire(controller.signal));
    await time.pass(15_000);
    controller.abort(new Error("enough"));
    await time.pass(100);
    expect(acquiring.outcome).toMatchObject({ error: { message: "enough" } });
    await time.pass(20_000);
    expect(scene.lock(PREFIX)?.holders ?? []).toEqual([]);
  });
});

describe.each(LOSSES)("a write on the way out that is %s", (_, fault) => {
  afterEach(() => {
    expect(scene.left).toEqual([]);
  });

  test.each<Step>(["leave and read", "leave"])("gives the slot back: %s", async (step) => {
    const sem = semaphore();
    const slot = await sem.acquire();
    // What was read on the way in does for a moment.
    if (step === "leave and read") await time.pass(50);
    const other = scene.newClient().semaphorePrefix(PREFIX, 1);
    scene.next(step, fault);
    const releasing = new Watched(slot.release());
    await time.pass(5_000);
    expect(scene.of(step).length).toBeGreaterThanOrEqual(1);
    expect(releasing.outcome).toMatchObject({ value: undefined });
    expect(scene.lock(PREFIX)?.holders).toEqual([]);
    await other.run(() => undefined);
    await time.pass(10_000);
  });

  test("passes the slot on within a client, once: hand over", async () => {
    const [first, second, third] = [semaphore(), semaphore(), semaphore()];
    await first.acquire();
    const next = new Watched(second.acquire());
    await time.pass(10);
    const last = new Watched(third.acquire());
    await time.pass(5_000);
    scene.next("hand over", fault);
    const releasing = new Watched(first.release());
    await time.pass(15_000);
    expect(releasing.outcome).toMatchObject({ value: undefined });
    expect(last.outcome).toBeUndefined();
    expect(scene.lock(PREFIX)?.holders).toEqual([valueOf(next).session]);
    const lock = scene.consul.entries.find(({ key }) => key === `${PREFIX}/.lock`);
    expect(valueOf(next).fencingToken).toBe(lock?.modifyIndex);
    await second.release();
    await time.pass(1_000);
    expect(valueOf(last).fencingToken).toBeGreaterThan(valueOf(next).fencingToken);
    await third.release();
    await time.pass(10_000);
  });

  test("takes a waiter's entry away: delete entry", async () => {
    const other = scene.newClient().semaphorePrefix(PREFIX, 1);
    await other.acquire();
    const stop = new AbortController();
    const acquiring = new Watched(semaphore().acquire(stop.signal));
    await time.pass(1_000);
    scene.next("delete entry", fault);
    scene.next("destroy session", fault);
    stop.abort(new Error("enough"));
    await time.pass(15_000);
    expect(acquiring.outcome).toMatchObject({ error: { message: "enough" } });
    expect(scene.contenders(PREFIX)).toHaveLength(1);
    expect(scene.consul.sessions).toHaveLength(1);
    await other.release();
    await time.pass(10_000);
  });
});

describe("a slot that was got without an answer", () => {
  test.each<[string, Fault]>([
    ["the connection breaks", answerLost],
    ["nothing ever comes", answerSwallowed],
  ])("is found also where others of the same client wait by then: %s", async (_, fault) => {
    scene.next("enter and join", (request, receiver, consul) => {
      // They come while nobody knows.
      for (const [i, sem] of others.entries()) {
        setTimeout(() => running.push(new Watched(sem.run(() => undefined))), 20 + i * 10);
      }
      return fault(request, receiver, consul);
    });
    const others = [semaphore(), semaphore()];
    const running: Watched<void>[] = [];
    const first = semaphore();
    const acquiring = new Watched(first.acquire());
    await time.pass(30_000);
    expect(scene.lock(PREFIX)?.holders).toEqual([valueOf(acquiring).session]);
    await first.release();
    await time.pass(5_000);
    expect(running).toMatchObject([{ outcome: { value: undefined } }, { outcome: {} }]);
    await time.pass(10_000);
    expect(scene.left).toEqual([]);
  });

  test("by a waiter is found also where others of the same client wait behind it", async () => {
    const other = scene.newClient().semaphorePrefix(PREFIX, 1);
    await other.acquire();
    const sems = [semaphore(), semaphore(), semaphore()];
    const running: Watched<void>[] = [];
    for (const sem of sems) {
      running.push(new Watched(sem.run(() => undefined)));
      await time.pass(10);
    }
    await time.pass(1_000);
    scene.next("join", answerSwallowed);
    await other.release();
    await time.pass(30_000);
    expect(running.map(({ outcome }) => outcome !== undefined)).toEqual([true, true, true]);
    await time.pass(10_000);
    expect(scene.left).toEqual([]);
  });
});

describe("a session whose write went unanswered", () => {
  test("is ended after its slot: what is on its way must find it gone", async () => {
    scene.next("enter and join", answerLost);
    const sem = semaphore();
    const acquiring = new Watched(sem.acquire());
    await time.pass(1_000);
    const { session } = valueOf(acquiring);
    await sem.release();
    expect(scene.consul.sessions).toEqual([]);
    expect(scene.of("destroy session")).toMatchObject([{ name: session }]);
  });

  test("has no slot by a swap that arrives when all is over", async () => {
    scene.next("enter and join", requestLate(30_000));
    const controller = new AbortController();
    const acquiring = new Watched(semaphore().acquire(controller.signal));
    await time.pass(5_000);
    controller.abort(new Error("enough"));
    await time.pass(60_000);
    expect(acquiring.outcome).toHaveProperty("error");
    expect(scene.left).toEqual([]);
    expect(scene.lock(PREFIX)?.holders ?? []).toEqual([]);
  });
});

test("a swap that arrives before its session is ended leaves no holder in the lock", async () => {
  await semaphore().run(() => undefined);
  await time.pass(6_000);
  scene.next("enter and join", requestLate(10_050));
  const controller = new AbortController();
  const acquiring = new Watched(semaphore().acquire(controller.signal));
  await time.pass(5_000);
  controller.abort(new Error("enough"));
  scene.always("destroy session", requestLate(200));
  await time.pass(60_000);
  expect(acquiring.outcome).toHaveProperty("error");
  expect(scene.left).toEqual([]);
  expect(scene.lock(PREFIX)?.holders).toEqual([]);
});

describe.each(LOSSES)("a dead holder's departure that is %s", (_, fault) => {
  test("is settled before the session enters again", async () => {
    const session = await scene.client.session.create({ behavior: "delete" });
    const value = encodeLock({ limit: 1, holders: new Set([session]) });
    await scene.client.kv.put({ key: `${PREFIX}/.lock`, value, flags: SEMAPHORE_FLAG_VALUE });
    scene.next("leave and read", fault);

    const sem = semaphore({ session });
    const acquiring = new Watched(sem.acquire());
    await time.pass(20_000);

    const writes = scene.of("leave and read", "leave", "enter and read").map(({ step }) => step);
    expect(writes.at(-1)).toBe("enter and read");
    expect(writes.at(-2)).toMatch("leave");
    await expectWholeSlot(sem, valueOf(acquiring));
    expect(scene.contenders(PREFIX)).toEqual([]);
  });
});

describe("a session of the user's, which lives on", () => {
  let session: string;

  beforeEach(async () => {
    session = await scene.client.session.create({ behavior: "delete" });
  });

  const left = (): readonly string[] => scene.left.filter((what) => what !== `session ${session}`);

  test.each([1_500, 5_000, 20_000])("has no slot by a swap that is %d ms late", async (ms) => {
    const other = scene.newClient().semaphorePrefix(PREFIX, 1);
    await other.acquire();
    const controller = new AbortController();
    const acquiring = new Watched(semaphore({ session }).acquire(controller.signal));
    await time.pass(1_000);
    scene.next("join", requestLate(ms));
    await other.release();
    await time.pass(1_000);
    controller.abort(new Error("enough"));
    await time.pass(60_000);
    expect(acquiring.outcome).toHaveProperty("error");
    expect(scene.lock(PREFIX)?.holders).toEqual([]);
    expect(left()).toEqual([]);
  });

  test("has its entry removed once more, a second after the slot", async () => {
    scene.next("enter and read", answerLost);
    const sem = semaphore({ session });
    const acquiring = new Watched(sem.acquire());
    await time.pass(1_000);
    await valueOf(acquiring).release();
    scene.forget();
    await time.pass(999);
    expect(scene.sent).toEqual([]);
    await time.pass(1);
    expect(scene.steps[0]).toBe("read lock");
    expect(scene.steps).toHaveLength(2);
    expect(left()).toEqual([]);
  });

  test("has an entry removed that arrives just after the end", async () => {
    const sem = semaphore({ session, semaphoreWaitTime: "100ms" });
    scene.next("enter and read", requestLate(1_500));
    const trying = new Watched(sem.tryAcquire());
    await time.pass(1_400);
    expect(trying.outcome).toMatchObject({
      error: { code: "SEMAPHORE_CONTENDER_FAILED", cause: { code: "CONSUL_TIMEOUT" } },
      at: time.start + 1_000,
    });
    await time.pass(200);
    expect(scene.contenders(PREFIX)).toHaveLength(1);
    await time.pass(1_000);
    expect(left()).toEqual([]);
  });

  test("has none removed later where the only answer was no", async () => {
    scene.next("enter and read", forbidden);
    const trying = new Watched(semaphore({ session, semaphoreWaitTime: "100ms" }).tryAcquire());
    await time.settle();
    expect(trying.outcome).toMatchObject({ error: { code: "SEMAPHORE_CONTENDER_FAILED" } });
    scene.forget();
    await time.pass(60_000);
    expect(scene.sent).toEqual([]);
  });
});
