// One that comes where a slot may be free: what it costs, and that it overtakes no waiter.
import { beforeEach, describe, expect, test } from "vitest";

import type { ConsulClient, Semaphore, SemaphoreSlot } from "../../../src/index.js";
import { Scene } from "../client-of-fake.js";
import { FakeTime } from "../fake-time.js";
import { afterRequest, answerLate, forbidden, leaderless, silent } from "../faults.js";
import { valueOf, Watched } from "../outcome.js";

const PREFIX = "jobs";
const FLAGS = 0xe0f69a2baa414de0n;

let time: FakeTime;
let scene: Scene;

beforeEach(() => {
  time = new FakeTime();
  scene = new Scene();
});

const semaphoreOf = (client: ConsulClient = scene.client, limit = 1): Semaphore =>
  client.semaphorePrefix(PREFIX, limit);

const acquiring = (client?: ConsulClient, limit?: number): Watched<SemaphoreSlot> =>
  new Watched(semaphoreOf(client, limit).acquire());

/** Somebody writes the lock anew, as it is. */
function rewriteLock(value: string) {
  return afterRequest("PUT", `/v1/kv/${PREFIX}/.lock?flags=${FLAGS}`, value);
}

describe("what is known of a prefix", () => {
  test("does for a quarter of a second: who has come since must not be passed for longer", async () => {
    await semaphoreOf().run(() => undefined);
    await time.pass(249);
    scene.forget();
    await semaphoreOf().run(() => undefined);
    expect(scene.of("read prefix")).toEqual([]);
    // The release has read it again.
    expect(scene.steps).toEqual(["enter and join", "leave and read"]);
    await time.pass(250);
    await semaphoreOf().run(() => undefined);
    expect(scene.of("read prefix")).toHaveLength(1);
  });

  test("is read once by all who come at the same moment, whose writes go one after the other", async () => {
    const slots = [1, 2, 3].map(() => acquiring(scene.client, 3));
    await time.settle();
    expect(scene.of("read prefix")).toHaveLength(1);
    expect(scene.of("enter and join")).toHaveLength(3);
    const tokens = slots.map((slot) => valueOf(slot).fencingToken);
    expect(new Set(tokens).size).toBe(3);
    expect(scene.lock(PREFIX)?.holders).toHaveLength(3);
  });

  test("may be wrong by then: one more attempt is made on a fresh reading", async () => {
    await semaphoreOf(scene.client, 2).run(() => undefined);
    scene.forget();
    scene.next("enter and join", rewriteLock(JSON.stringify({ Limit: 2, Holders: {}, x: 1 })));
    const slot = acquiring(scene.client, 2);
    await time.settle();
    expect(valueOf(slot).held).toBe(true);
    expect(scene.steps.slice(-3)).toEqual(["enter and join", "read prefix", "enter and join"]);
  });

  test("is read by a release where there is no lock as well, with who has come meanwhile", async () => {
    const sem = semaphoreOf();
    await sem.acquire();
    const other = scene.newClient();
    const waiting = acquiring(other);
    await time.pass(50);
    scene.always(({ client }) => client === other, silent);
    scene.consul.deleteKey(`${PREFIX}/.lock`);
    await sem.release();
    expect(scene.steps.at(-1)).toBe("leave and read");
    scene.forget();
    const again = new Watched(sem.acquire());
    await time.pass(100);
    expect(scene.of("enter and join")).toEqual([]);
    expect([again.outcome, waiting.outcome]).toEqual([undefined, undefined]);
  });

  test("is no reason to refuse another limit, which may be the right one by now", async () => {
    await semaphoreOf(scene.client, 2).run(() => undefined);
    await scene.newClient().semaphorePrefix(PREFIX, 2).destroy();
    const slot = acquiring(scene.client, 3);
    await time.settle();
    expect(valueOf(slot).held).toBe(true);
    expect(scene.lock(PREFIX)?.limit).toBe(3);
  });
});

describe("a newcomer", () => {
  test("enters the queue after two attempts where others are always faster", async () => {
    let writes = 0;
    scene.always("enter and join", (request, receiver, consul) => {
      writes += 1;
      const lock = JSON.stringify({ Limit: 1, Holders: {}, writes });
      return rewriteLock(lock)(request, receiver, consul);
    });
    const slot = acquiring();
    await time.settle();
    expect(writes).toBeLessThanOrEqual(2);
    expect(valueOf(slot).held).toBe(true);
    expect(scene.of("join")).toHaveLength(1);
  });

  test("waits for no write of its client that hangs", async () => {
    scene.next("enter and join", silent);
    const first = acquiring(scene.client, 2);
    const second = acquiring(scene.client, 2);
    await time.pass(500);
    expect(first.outcome).toBeUndefined();
    expect(valueOf(second).held).toBe(true);
    await time.pass(15_000);
    expect(valueOf(first).held).toBe(true);
  });

  test("gives up a reading with its signal, and writes nothing", async () => {
    scene.always("read prefix", silent);
    const stop = new AbortController();
    const slot = new Watched(semaphoreOf().acquire(stop.signal));
    await time.pass(10);
    const reason = new Error("enough");
    stop.abort(reason);
    await time.settle();
    expect(slot.outcome).toEqual({ error: reason, at: time.start + 10 });
    expect(scene.of("enter and join", "enter and read")).toEqual([]);
    expect(scene.left).toEqual([]);
  });

  test("takes the queue where the reading fails for now, and fails where it does so for good", async () => {
    scene.next("read prefix", leaderless);
    const slot = acquiring();
    await time.settle();
    expect(valueOf(slot).held).toBe(true);
    scene.next("read prefix", forbidden);
    const other = acquiring(scene.newClient());
    await time.settle();
    expect(other.outcome).toMatchObject({ error: { code: "SEMAPHORE_READ_FAILED" } });
  });
});

describe("one that comes again and again", () => {
  test("does not starve others: its release shows it who has come", async () => {
    const busy = semaphoreOf();
    await busy.acquire();
    const other = acquiring(scene.newClient());
    // It holds for most of the time, and is back as soon as it has released.
    const stop = new AbortController();
    for (let turn = 0; turn < 3; turn += 1) {
      await time.pass(500);
      await busy.release();
      const again = busy.acquire(stop.signal);
      again.catch(() => undefined);
      await time.settle();
      if (scene.contenders(PREFIX).length > 1) break;
      await again;
    }
    expect(other.outcome).toBeDefined();
    expect(scene.contenders(PREFIX)).toHaveLength(2);
  });

  test(
    "takes its turn behind those who wait, in both of two busy clients",
    { timeout: 30_000 },
    async () => {
      const turns = [0, 0];
      const busy = [scene.client, scene.newClient()].map(async (client, i) => {
        const sem = semaphoreOf(client);
        while (time.now < 20_000) {
          await sem.run(
            () =>
              new Promise((resolve) => {
                setTimeout(resolve, 100);
              }),
          );
          turns[i] = (turns[i] ?? 0) + 1;
        }
      });
      await time.pass(25_000);
      await Promise.all(busy);
      const [one = 0, other = 0] = turns;
      expect(one + other).toBeGreaterThan(150);
      expect(Math.abs(one - other)).toBeLessThan(20);
    },
  );

  test("goes by way of the queue without reading first, where others wait all the time", async () => {
    await scene.newClient().semaphorePrefix(PREFIX, 1).acquire();
    const stop = new AbortController();
    const waits = new Watched(semaphoreOf().acquire(stop.signal));
    await time.pass(1_000);
    new Watched(scene.newClient().semaphorePrefix(PREFIX, 1).acquire());
    await time.pass(1_000);
    stop.abort(new Error("enough"));
    await time.settle();
    expect(waits.outcome).toBeDefined();
    // It comes back, sees the waiters, and comes back once more.
    const first = new AbortController();
    const again = new Watched(semaphoreOf().acquire(first.signal));
    await time.pass(10);
    first.abort(new Error("enough"));
    await time.settle();
    expect(again.outcome).toBeDefined();
    scene.forget();
    new Watched(semaphoreOf().acquire());
    await time.settle();
    expect(scene.of("read prefix")).toEqual([]);
    expect(scene.of("enter and read")).toHaveLength(1);
  });
});

test("slots that are released while a slow answer is on its way go to nobody twice", async () => {
  const sems = Array.from({ length: 6 }, () => semaphoreOf(scene.client, 2));
  let inside = 0;
  let most = 0;
  scene.always(({ step }) => step === "hand over" || step === "enter and join", answerLate(150));
  const running = sems.map((sem) =>
    sem.run(async () => {
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => setTimeout(resolve, 200));
      inside -= 1;
    }),
  );
  await time.pass(10_000);
  await Promise.all(running);
  expect(most).toBe(2);
  await time.pass(10_000);
  expect(scene.left).toEqual([]);
});
