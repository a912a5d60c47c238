// Calls, losses and answers that meet at moments when little is known.
import { beforeEach, describe, expect, test } from "vitest";

import type { ConsulClient, Semaphore, SemaphoreOptions } from "../../../src/index.js";
import { Scene } from "../client-of-fake.js";
import { FakeTime } from "../fake-time.js";
import { answerLate, answerSwallowed, silent } from "../faults.js";
import { valueOf, Watched } from "../outcome.js";

const PREFIX = "jobs";
const FLAGS = 0xe0f69a2baa414de0n;

let time: FakeTime;
let scene: Scene;

beforeEach(() => {
  time = new FakeTime();
  scene = new Scene();
});

const semaphore = (
  given: Partial<SemaphoreOptions> = {},
  client: ConsulClient = scene.client,
): Semaphore => client.semaphoreOpts({ prefix: PREFIX, limit: 1, ...given });

const work = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

describe("a loss is told within a second", () => {
  test("where the slot was put out right after its join, while another of the client is held", async () => {
    const first = await semaphore({ limit: 2 }).acquire();
    await time.pass(5_000);
    scene.next("enter and join", answerLate(200));
    const acquiring = new Watched(semaphore({ limit: 2 }).acquire());
    await time.pass(260);
    const second = valueOf(acquiring);
    const value = JSON.stringify({ Limit: 2, Holders: { [first.session]: true } });
    await scene.client.kv.put({ key: `${PREFIX}/.lock`, flags: FLAGS, value });
    await time.pass(1_000);
    expect([first.held, second.held]).toEqual([true, false]);
  });

  test("where servers were restored right after the join", async () => {
    for (let other = 0; other < 200; other += 1) {
      await scene.client.kv.put({ key: "other", value: String(other) });
    }
    const slot = await semaphore().acquire();
    await time.pass(10);
    scene.consul.turnBackIndexes(150n);
    await time.pass(1_000);
    const value = JSON.stringify({ Limit: 1, Holders: {} });
    await scene.client.kv.put({ key: `${PREFIX}/.lock`, flags: FLAGS, value });
    await time.pass(1_000);
    expect(slot.held).toBe(false);
  });

  test("where the release of another slot of the client hangs", async () => {
    const other = semaphore({ limit: 2 });
    await other.acquire();
    await time.pass(8_200);
    const slot = await semaphore({ limit: 2 }).acquire();
    scene.always(({ step }) => step.startsWith("leave"), silent);
    void other.release().catch(() => undefined);
    await time.pass(300);
    scene.consul.destroySession(slot.session);
    await time.pass(1_000);
    expect(slot.held).toBe(false);
  });
});

describe("a wait", () => {
  test("of acquire with a session of the user's is not passed by later runs", async () => {
    const session = await scene.client.session.create({ ttl: "15s", behavior: "delete" });
    const sem = semaphore({ session });
    let runs = 0;
    const run = (): void => {
      void sem.run(async () => {
        runs += 1;
        await work(100);
      });
    };
    run();
    await time.pass(50);
    const acquiring = new Watched(sem.acquire());
    await time.pass(10);
    for (let more = 0; more < 20; more += 1) {
      run();
      await time.pass(100);
    }
    expect(valueOf(acquiring).held).toBe(true);
    expect(runs).toBe(1);
    await sem.release();
    await time.pass(10_000);
    expect(runs).toBe(21);
  });

  test("for the turn of a session of the user's says how things stand when it is over", async () => {
    const session = await scene.client.session.create({ ttl: "15s", behavior: "delete" });
    const sem = semaphore({ session });
    await sem.acquire();
    const running = new Watched(sem.run(() => "done", { timeout: 1_000 }));
    await time.pass(1_000);
    expect(running.outcome).toMatchObject({
      error: { code: "SEMAPHORE_TIMEOUT", held: 1, limit: 1, ahead: 0 },
    });
  });

  test("is over with its timeout while a slot is passed on to it, and that hangs", async () => {
    const first = semaphore();
    await first.acquire();
    const acquiring = new Watched(semaphore().acquire({ timeout: 2_000 }));
    await time.pass(1_900);
    scene.next("hand over", silent);
    void first.release();
    await time.pass(1_300);
    expect(acquiring.outcome).toMatchObject({ error: { code: "SEMAPHORE_TIMEOUT" } });
    await time.pass(20_000);
    expect(scene.lock(PREFIX)?.holders).toEqual([]);
    expect(scene.contenders(PREFIX)).toEqual([]);
  });
});

describe("resize", () => {
  test("lets runs of its semaphore in that wait in memory", async () => {
    const sem = semaphore();
    let atWork = 0;
    for (let run = 0; run < 3; run += 1) {
      void sem.run(async () => {
        atWork += 1;
        await work(30_000);
      });
    }
    await time.pass(5_000);
    await sem.resize(3);
    await time.pass(1_000);
    expect(atWork).toBe(3);
    await time.pass(60_000);
  });

  test.each([
    ["acquire", (sem: Semaphore): Promise<unknown> => sem.acquire()],
    ["run", (sem: Semaphore): Promise<unknown> => sem.run(() => "done")],
  ])("has no %s of its semaphore refused that waits meanwhile", async (_, call) => {
    await semaphore({ adoptLimit: true }, scene.newClient()).acquire();
    const sem = semaphore();
    const waiting = new Watched(call(sem));
    await time.pass(1_000);
    await sem.resize(2);
    await time.pass(1_000);
    expect(waiting.outcome).toHaveProperty("value");
  });

  test("that is called twice at once leaves the limit that is in Consul", async () => {
    const sem = semaphore();
    scene.next("resize", answerLate(500));
    const both = Promise.all([sem.resize(2), sem.resize(3)]);
    await time.pass(2_000);
    await both;
    expect(sem.limit).toBe(scene.lock(PREFIX)?.limit);
  });
});

describe("a holder that counted as dead has no slot above a limit that was lowered meanwhile", () => {
  const elsewhere = (given: Partial<SemaphoreOptions> = {}): Semaphore =>
    semaphore({ limit: 2, adoptLimit: true, ...given }, scene.newClient());

  test("where its swap went unanswered", async () => {
    const held = await elsewhere().acquire();
    scene.next("enter and join", answerSwallowed);
    const acquiring = new Watched(elsewhere().acquire());
    await time.pass(1_000);
    const entry = scene.contenders(PREFIX).find(({ session }) => session !== held.session);
    scene.consul.deleteKey(entry?.key ?? "");
    await elsewhere().resize(1);
    await time.pass(20_000);
    expect([held.held, acquiring.outcome]).toEqual([true, undefined]);
    await held.release();
    await time.pass(1_000);
    expect(valueOf(acquiring).held).toBe(true);
  });

  test("where it comes back with a session of the user's", async () => {
    const session = await scene.client.session.create({ behavior: "delete" });
    const held = await elsewhere().acquire();
    await elsewhere({ session }).acquire();
    await time.pass(1_000);
    scene.consul.deleteKey(`${PREFIX}/${session}`);
    await time.pass(1_000);
    await elsewhere().resize(1);
    const acquiring = new Watched(elsewhere({ session }).acquire());
    await time.pass(20_000);
    expect([held.held, acquiring.outcome]).toEqual([true, undefined]);
    await held.release();
    await time.pass(1_000);
    expect(valueOf(acquiring).held).toBe(true);
  });

  test("where its contender entry goes just before it enters", async () => {
    const session = await scene.client.session.create({ behavior: "delete" });
    const value = JSON.stringify({ Limit: 2, Holders: { [session]: true } });
    await scene.client.kv.put({ key: `${PREFIX}/.lock`, value, flags: FLAGS });
    await scene.client.kv.acquire({ key: `${PREFIX}/${session}`, session, flags: FLAGS });
    const held = await elsewhere().acquire();
    await elsewhere().resize(1);
    const live: number[] = [];
    scene.onRequest = ({ step }) => {
      const contenders = new Set(scene.contenders(PREFIX).map((entry) => entry.session));
      const holders = scene.lock(PREFIX)?.holders ?? [];
      live.push(holders.filter((holder) => contenders.has(holder)).length);
      if (step === "enter and read") scene.consul.deleteKey(`${PREFIX}/${session}`);
    };
    const acquiring = new Watched(elsewhere({ session }).acquire());
    await time.pass(1_000);
    // While it had its entry, it was a holder from before the limit was lowered.
    expect(live.filter((count, index) => count !== live[index - 1])).toEqual([2, 1]);
    expect([held.held, acquiring.outcome]).toEqual([true, undefined]);
    await held.release();
    await time.pass(1_000);
    expect(valueOf(acquiring).held).toBe(true);
  });
});

test("a semaphore that adopts the limit knows that its destroy has taken it away", async () => {
  const before = semaphore({ limit: 5 }, scene.newClient());
  await before.acquire();
  await before.release();
  const sem = semaphore({ adoptLimit: true });
  await sem.acquire();
  await sem.release();
  await sem.destroy();
  expect(sem.limit).toBe(1);
});
