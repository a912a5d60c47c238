// A limit that changes while slots are held and waited for.
import { beforeEach, describe, expect, test } from "vitest";

import type { Semaphore, SemaphoreOptions, SemaphoreSlot } from "../../../src/index.js";
import { Scene } from "../client-of-fake.js";
import { FakeTime } from "../fake-time.js";
import { answering, answerLost, forbidden, leaderless, silent } from "../faults.js";
import { valueOf, Watched } from "../outcome.js";
import { rejectionOf } from "../rejection.js";

const PREFIX = "jobs";

let time: FakeTime;
let scene: Scene;

beforeEach(() => {
  time = new FakeTime();
  scene = new Scene();
});

/** A semaphore as if in a process of its own, which adopts the limit. */
const semaphore = (given: Partial<SemaphoreOptions> = {}): Semaphore =>
  scene.newClient().semaphoreOpts({ prefix: PREFIX, limit: 1, adoptLimit: true, ...given });

const acquireElsewhere = (given: Partial<SemaphoreOptions> = {}): Watched<SemaphoreSlot> =>
  new Watched(semaphore(given).acquire());

const haveSlots = (acquiring: readonly Watched<unknown>[]): number =>
  acquiring.filter(({ outcome }) => outcome !== undefined && "value" in outcome).length;

describe("a limit that is raised", () => {
  test("lets the waiters of all processes in within a second", async () => {
    const held = await semaphore().acquire();
    const waiting = Array.from({ length: 6 }, () => acquireElsewhere());
    await time.pass(30_000);
    expect(haveSlots(waiting)).toBe(0);
    await semaphore().resize(5);
    await time.pass(1_000);
    expect(haveSlots(waiting)).toBe(4);
    expect(held.held).toBe(true);
    expect(scene.lock(PREFIX)?.limit).toBe(5);
  });

  test("lets runs in that wait in memory, also where nobody waits in Consul", async () => {
    const sem = semaphore();
    let atWork = 0;
    for (let i = 0; i < 5; i += 1) {
      void sem.run(
        () =>
          new Promise((resolve) => {
            atWork += 1;
            setTimeout(resolve, 600_000);
          }),
      );
    }
    await time.pass(60_000);
    expect(atWork).toBe(1);
    await semaphore().resize(3);
    await time.pass(1_000);
    expect(atWork).toBe(3);
    expect(sem.limit).toBe(3);
    await time.pass(600_000);
    expect(atWork).toBe(5);
    await time.pass(600_000);
  });
});

describe("a limit that is lowered", () => {
  test("takes nobody's slot away, and lets nobody in until there are fewer holders", async () => {
    const holders = Array.from({ length: 3 }, () => acquireElsewhere({ limit: 3 }));
    await time.pass(1_000);
    const slots = holders.map(valueOf);
    const waiting = acquireElsewhere({ limit: 3 });
    await time.pass(1_000);
    await semaphore().resize(1);
    await time.pass(10_000);
    for (const slot of slots) {
      expect(slot.held).toBe(true);
      expect(waiting.outcome).toBeUndefined();
      await slot.release();
      await time.pass(1_000);
    }
    expect(valueOf(waiting).held).toBe(true);
    expect(scene.lock(PREFIX)).toMatchObject({ limit: 1, holders: [valueOf(waiting).session] });
  });

  test("ends runs that would pass a slot on", async () => {
    const sem = semaphore({ limit: 2 });
    let atWork = 0;
    const runs = Array.from(
      { length: 8 },
      () =>
        new Watched(
          sem.run(async () => {
            atWork += 1;
            await new Promise((resolve) => setTimeout(resolve, 1_000));
            atWork -= 1;
          }),
        ),
    );
    await time.pass(500);
    expect(atWork).toBe(2);
    await sem.resize(1);
    await time.pass(1_000);
    expect(atWork).toBe(1);
    await time.pass(10_000);
    expect(haveSlots(runs)).toBe(8);
  });
});

describe("resize", () => {
  test("is the limit of the semaphore itself from then on", async () => {
    const sem = semaphore({ adoptLimit: false, limit: 2 });
    expect(sem.limit).toBe(2);
    await sem.resize(4);
    expect(sem.limit).toBe(4);
    expect(scene.lock(PREFIX)).toEqual({ limit: 4, holders: [] });
    expect((await sem.acquire()).held).toBe(true);
  });

  test("keeps the holders and their tokens, and costs two requests", async () => {
    const sem = semaphore();
    const slot = await sem.acquire();
    await time.pass(10);
    scene.forget();
    await sem.resize(7);
    expect(scene.steps).toEqual(["read lock", "resize"]);
    expect(scene.lock(PREFIX)).toEqual({ limit: 7, holders: [slot.session] });
    await time.pass(60_000);
    expect(slot.held).toBe(true);
    scene.forget();
    await sem.resize(7);
    expect(scene.of("resize")).toEqual([]);
  });

  test("has those refused that keep another limit, as Go does", async () => {
    await semaphore().acquire();
    const keeps = acquireElsewhere({ adoptLimit: false });
    await time.pass(1_000);
    await semaphore().resize(2);
    await time.pass(2_000);
    expect(keeps.outcome).toMatchObject({
      error: { code: "SEMAPHORE_LIMIT_CONFLICT", lockLimit: 2, localLimit: 1, prefix: PREFIX },
    });
  });

  test("twice at once ends with one of the two", async () => {
    const slot = await semaphore().acquire();
    await Promise.all([semaphore().resize(4), semaphore().resize(6), semaphore().resize(8)]);
    expect([4, 6, 8]).toContain(scene.lock(PREFIX)?.limit);
    expect(scene.lock(PREFIX)?.holders).toEqual([slot.session]);
  });

  test("is tried again where Consul cannot be reached, or its answer was lost", async () => {
    scene.next("read lock", leaderless);
    scene.next("resize", answerLost);
    const resizing = new Watched(semaphore().resize(4));
    await time.pass(2_000);
    expect(resizing.outcome).toMatchObject({ value: undefined });
    expect(scene.lock(PREFIX)?.limit).toBe(4);
  });

  test("fails where Consul refuses, or cannot be reached for 15 s", async () => {
    const sem = semaphore();
    scene.always("resize", forbidden);
    expect(await rejectionOf(sem.resize(2))).toMatchObject({ code: "SEMAPHORE_UPDATE_FAILED" });
    scene.heal();
    scene.always("resize", answering(409, '{"Errors":[{"OpIndex":0,"What":"no"}]}'));
    expect(await rejectionOf(sem.resize(2))).toMatchObject({ code: "SEMAPHORE_UPDATE_FAILED" });
    scene.heal();
    scene.always(() => true, silent);
    const resizing = new Watched(sem.resize(2));
    await time.pass(16_000);
    expect(resizing.outcome).toMatchObject({ error: { prefix: PREFIX } });
    expect(sem.limit).toBe(1);
  });

  test("after the end of the client is refused", async () => {
    const sem = scene.client.semaphorePrefix(PREFIX, 1);
    await scene.client.close();
    for (const call of [sem.resize(2), sem.inspect(), sem.destroy()]) {
      expect(await rejectionOf(call)).toMatchObject({ code: "SEMAPHORE_CLOSED", prefix: PREFIX });
    }
    expect(scene.sent).toEqual([]);
  });
});

describe("a semaphore that adopts the limit", () => {
  test("goes by its own until it knows of another", async () => {
    await semaphore({ adoptLimit: false, limit: 3 }).acquire();
    const sem = semaphore({ limit: 1 });
    expect(sem.limit).toBe(1);
    expect((await sem.acquire()).held).toBe(true);
    expect(sem.limit).toBe(3);
    expect(scene.lock(PREFIX)?.limit).toBe(3);
  });

  test("writes its own where there is none", async () => {
    await semaphore({ limit: 4 }).acquire();
    expect(scene.lock(PREFIX)?.limit).toBe(4);
  });
});
