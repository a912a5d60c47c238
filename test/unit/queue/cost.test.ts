// What it costs to wait, to hold, and to pass a slot on: in requests, and in blocking queries that
// are open at once, each of which takes a connection.
import { beforeEach, describe, expect, test } from "vitest";

import type { ConsulClient, Semaphore, SemaphoreSlot } from "../../../src/index.js";
import { Scene } from "../client-of-fake.js";
import { FakeTime } from "../fake-time.js";
import { requestLate, unsent } from "../faults.js";
import { valueOf, Watched } from "../outcome.js";
import type { Sent } from "../sent.js";

const PREFIX = "jobs";

let time: FakeTime;
let scene: Scene;

beforeEach(() => {
  time = new FakeTime();
  scene = new Scene();
});

const semaphoreOf = (client: ConsulClient, limit = 1): Semaphore =>
  client.semaphorePrefix(PREFIX, limit);

/** A holder in a process of its own. */
const holder = async (limit = 1): Promise<SemaphoreSlot> =>
  await semaphoreOf(scene.newClient(), limit).acquire();

/** So many waiters, each in a process of its own, in the order in which they come. */
async function waitersElsewhere(
  count: number,
  limit = 1,
): Promise<readonly Watched<SemaphoreSlot>[]> {
  const waiting: Watched<SemaphoreSlot>[] = [];
  for (let i = 0; i < count; i += 1) {
    waiting.push(new Watched(semaphoreOf(scene.newClient(), limit).acquire()));
    await time.pass(1);
  }
  return waiting;
}

/** The blocking queries of a client that have no answer yet. */
const watchesOf = (client: ConsulClient): readonly Sent[] =>
  scene.open.filter((request) => request.client === client && request.isBlocking);

/** The requests of a client from now on, for so long. */
async function requestsOf(client: ConsulClient, ms: number): Promise<readonly Sent[]> {
  scene.forget();
  await time.pass(ms);
  return scene.sent.filter((request) => request.client === client);
}

/** The most blocking queries that a client has open at once from now on. */
function mostWatches(client: ConsulClient): { count: number } {
  const most = { count: 0 };
  scene.onRequest = () => {
    most.count = Math.max(most.count, watchesOf(client).length);
  };
  return most;
}

describe("a waiter", () => {
  test("that is first in line has one blocking query, on the lock entry", async () => {
    await holder();
    new Watched(semaphoreOf(scene.client).acquire());
    for (let second = 0; second < 60; second += 1) {
      await time.pass(1_000);
      expect(watchesOf(scene.client)).toMatchObject([{ step: "watch lock" }]);
    }
  });

  test("that is first in line costs about a request a second, for dead holders", async () => {
    await holder();
    new Watched(semaphoreOf(scene.client).acquire());
    await time.pass(1_000);
    const requests = await requestsOf(scene.client, 60_000);
    expect(requests.filter(({ step }) => step !== "renew").length).toBeLessThan(1.5 * 60);
    // None of them reads the whole prefix.
    expect(new Set(requests.map(({ step }) => step))).toEqual(
      new Set(["watch lock", "check holders", "renew"]),
    );
  });

  test("behind another has one blocking query, on the entry right ahead", async () => {
    await holder();
    await waitersElsewhere(5);
    const ahead = scene.contenders(PREFIX).at(-1)?.session;
    new Watched(semaphoreOf(scene.client).acquire());
    for (let second = 0; second < 30; second += 1) {
      await time.pass(1_000);
      expect(watchesOf(scene.client)).toMatchObject([{ step: "watch entry", name: ahead }]);
    }
  });

  test("far back costs less than a request a second", { timeout: 30_000 }, async () => {
    await holder();
    await waitersElsewhere(20);
    new Watched(semaphoreOf(scene.client).acquire());
    await time.pass(30_000);
    const requests = await requestsOf(scene.client, 60_000);
    expect(requests.length).toBeLessThan(60);
    expect(requests.filter(({ step }) => step === "read prefix")).toEqual([]);
  });

  test.each([
    { others: 40, step: "enter and read" },
    { others: 60, step: "enter as tail" },
  ])("that was behind $others others before has to $step, no more", async ({ others, step }) => {
    const slot = await holder();
    await waitersElsewhere(others);
    const giveUp = new AbortController();
    const sem = semaphoreOf(scene.client);
    new Watched(sem.acquire(giveUp.signal));
    await time.pass(1_000);
    giveUp.abort();
    await waitersElsewhere(1);
    scene.forget();
    const next = new Watched(sem.acquire());
    await time.pass(500);
    const sent = scene.sent.filter(({ client }) => client === scene.client);
    const steps = sent.map((request) => request.step).filter((it) => !it.endsWith("session"));
    expect(steps).toEqual([step, "watch entry"]);
    expect(slot.held).toBe(true);
    expect(next.outcome).toBeUndefined();
  });

  test.each([0, 60])("behind %d others asks ever more rarely in an outage", async (ahead) => {
    await holder();
    await waitersElsewhere(ahead);
    new Watched(semaphoreOf(scene.client).acquire());
    await time.pass(30_000);
    scene.always(({ client, step }) => client === scene.client && step !== "renew", unsent);
    const requests = await requestsOf(scene.client, 20_000);
    // The pauses grow to a second.
    expect(requests.length).toBeGreaterThan(10);
    expect(requests.length).toBeLessThan(60);
  });

  test("far back hears of nothing that happens further ahead", async () => {
    const first = semaphoreOf(scene.newClient());
    await first.acquire();
    const ahead = await waitersElsewhere(10);
    new Watched(semaphoreOf(scene.client).acquire());
    await time.pass(20_000);
    const before = watchesOf(scene.client);
    scene.forget();
    await first.release();
    await time.settle();
    expect(ahead[0]?.outcome).toBeDefined();
    expect(scene.sent.filter(({ client }) => client === scene.client)).toEqual([]);
    expect(before).toMatchObject([{ endedAt: undefined }]);
  });
});

describe("a waiter that finds the entry right ahead gone", () => {
  const steps = (): readonly string[] =>
    scene.sent
      .filter(({ client, step }) => client === scene.client && step !== "renew")
      .map(({ step }) => step);

  test("looks at the one before it, and waits for that: one in the middle has given up", async () => {
    await holder();
    await waitersElsewhere(2);
    const stop = new AbortController();
    new Watched(semaphoreOf(scene.newClient()).acquire(stop.signal));
    await time.pass(10);
    new Watched(semaphoreOf(scene.client).acquire());
    await time.pass(10);
    scene.forget();
    stop.abort(new Error("enough"));
    await time.settle();
    expect(steps()).toEqual(["read lock", "read entry", "watch entry"]);
  });

  test("reads no prefix where all have had their turns by the time it hears of that", async () => {
    const held = await holder();
    const ahead = await waitersElsewhere(4);
    scene.always(
      ({ client, step }) => client === scene.client && step === "watch entry",
      requestLate(50),
    );
    const last = new Watched(semaphoreOf(scene.client).acquire());
    await time.pass(10);
    scene.forget();
    await held.release();
    for (const waiter of ahead) {
      await time.settle();
      await valueOf(waiter).release();
    }
    expect(steps()).toEqual([]);
    await time.pass(50);
    expect(valueOf(last).held).toBe(true);
    expect(steps()).toEqual(["read lock", "read entry", "read lock", "join"]);
  });
});

describe("a waiter's blocking query", () => {
  test.each([
    ["15 s", {}, "15000ms"],
    ["the wait time of the semaphore", { semaphoreWaitTime: "5s" }, "5000ms"],
    ["a second at the least", { semaphoreWaitTime: 0 }, "1000ms"],
    ["25 s at the most", { semaphoreWaitTime: "5m" }, "25000ms"],
  ])("lasts %s: %o", async (_, given, wait) => {
    await holder();
    const sem = scene.client.semaphoreOpts({ prefix: PREFIX, limit: 1, ...given });
    new Watched(sem.acquire());
    await time.pass(100);
    expect(watchesOf(scene.client).map(({ query }) => query.get("wait"))).toEqual([wait]);
  });
});

describe("the waiters of one client", () => {
  test("have one blocking query between them, whatever their number", async () => {
    await holder();
    const most = mostWatches(scene.client);
    for (let i = 0; i < 20; i += 1) {
      new Watched(semaphoreOf(scene.client).acquire());
      await time.pass(10);
    }
    await time.pass(30_000);
    expect(most.count).toBe(1);
    expect(watchesOf(scene.client)).toMatchObject([{ step: "watch lock" }]);
  });

  test("cost no more requests than one of them, but for their renewals", async () => {
    await holder();
    for (let i = 0; i < 20; i += 1) new Watched(semaphoreOf(scene.client).acquire());
    await time.pass(1_000);
    const requests = await requestsOf(scene.client, 60_000);
    expect(requests.filter(({ step }) => step !== "renew").length).toBeLessThan(1.5 * 60);
    // Twice in each TTL of 15 s.
    expect(requests.filter(({ step }) => step === "renew")).toHaveLength(20 * 8);
  });

  test("enter without reading what the first of them has read", async () => {
    await holder();
    new Watched(semaphoreOf(scene.client).acquire());
    await time.pass(10);
    scene.forget();
    new Watched(semaphoreOf(scene.client).acquire());
    await time.pass(10);
    expect(scene.steps).toEqual(["create session", "enter"]);
  });

  test("may come at the very same moment, and all stay in the queue", async () => {
    await holder();
    const waiting = [1, 2, 3].map(() => new Watched(semaphoreOf(scene.client).acquire()));
    await time.settle();
    expect(scene.contenders(PREFIX)).toHaveLength(4);
    expect(scene.of("destroy session", "delete entry")).toEqual([]);
    await time.pass(60_000);
    expect(scene.of("create session")).toHaveLength(4);
    expect(waiting.map(({ outcome }) => outcome)).toEqual([undefined, undefined, undefined]);
  });

  test("are all served also where no time passes, as in a test with fake timers", async () => {
    const held = semaphoreOf(scene.client);
    await held.acquire();
    new Watched(semaphoreOf(scene.client).run(() => undefined));
    await time.pass(1_000);
    const last = new Watched(semaphoreOf(scene.client).run(() => undefined));
    await time.settle();
    await held.release();
    await time.settle();
    expect(last.outcome).toMatchObject({ value: undefined });
  });
});

describe("a fleet in which each holds once, for seconds", () => {
  test("reads the prefix when its waiters enter, and no more", async () => {
    const LIMIT = 2;
    let held = [await holder(LIMIT), await holder(LIMIT)];
    const waiters = await waitersElsewhere(20, LIMIT);
    scene.forget();
    for (const waiter of waiters) {
      await time.pass(2_000);
      await held[0]?.release();
      await time.pass(100);
      held = [...held.slice(1), valueOf(waiter)];
    }
    expect(scene.of("read prefix")).toEqual([]);
    // For a second; each looks up now and then, less and less often.
    const requests = scene.sent.filter(({ step }) => step !== "renew").length;
    expect(requests / (20 * 2.1)).toBeLessThan(30);
  });
});

describe("holders", () => {
  test("watch two keys, their own entry and the lock entry, and not the prefix", async () => {
    const slot = await semaphoreOf(scene.client).acquire();
    await time.pass(1_000);
    expect(watchesOf(scene.client).map(({ step, name }) => [step, name])).toEqual(
      expect.arrayContaining([
        ["watch entry", slot.session],
        ["watch lock", ".lock"],
      ]),
    );
    expect(watchesOf(scene.client)).toHaveLength(2);
    const requests = await requestsOf(scene.client, 60_000);
    expect(new Set(requests.map(({ step }) => step))).toEqual(
      new Set(["watch entry", "watch lock", "renew"]),
    );
    expect(requests.filter(({ step }) => step === "renew")).toHaveLength(16);
    expect(requests.length).toBeLessThan(16 + 20);
  });

  test("wait for what changes after they have come, without a look at it first", async () => {
    await semaphoreOf(scene.client).acquire();
    const requests = await requestsOf(scene.client, 500);
    expect(requests.map(({ step }) => step)).toEqual(["watch lock", "watch entry"]);
  });

  test("of one client have one blocking query between them, and one request in half a second", async () => {
    for (let i = 0; i < 10; i += 1) await semaphoreOf(scene.client, 10).acquire();
    await time.pass(10_000);
    expect(watchesOf(scene.client)).toMatchObject([{ step: "watch lock" }]);
    const requests = await requestsOf(scene.client, 60_000);
    const checks = requests.filter(({ step }) => step === "check holders");
    expect(checks.length).toBeGreaterThanOrEqual(60);
    expect(checks.length).toBeLessThanOrEqual(121);
  });

  test("that are released soon leave the blocking queries of another as they are", async () => {
    await semaphoreOf(scene.client, 2).acquire();
    await time.pass(2_000);
    const before = watchesOf(scene.client);
    expect(before).toHaveLength(2);
    for (let turn = 0; turn < 10; turn += 1) {
      const sem = semaphoreOf(scene.client, 2);
      await sem.acquire();
      await sem.release();
      await time.pass(10);
    }
    const isEntry = ({ step }: { readonly step: string }): boolean => step === "watch entry";
    expect(watchesOf(scene.client).filter(isEntry)).toEqual(before.filter(isEntry));
  });

  test("that are released soon cost no reading", async () => {
    const sem = semaphoreOf(scene.client);
    await sem.acquire();
    await time.pass(99);
    await sem.release();
    await time.pass(1_000);
    expect(scene.steps).toEqual([
      ...["create session", "read prefix", "enter and join", "leave and read"],
    ]);
  });
});

describe("a client", () => {
  test("that comes to wait while it holds has two blocking queries at most", async () => {
    await semaphoreOf(scene.client).acquire();
    await time.pass(1_000);
    const most = mostWatches(scene.client);
    new Watched(semaphoreOf(scene.client).acquire());
    await time.pass(60_000);
    expect(most.count).toBeLessThanOrEqual(2);
  });

  test("that comes to hold while it waits has two blocking queries at most", async () => {
    const [first, second] = [await holder(2), await holder(2)];
    new Watched(semaphoreOf(scene.client, 2).acquire());
    new Watched(semaphoreOf(scene.client, 2).acquire());
    await time.pass(1_000);
    const most = mostWatches(scene.client);
    await first.release();
    await time.pass(20_000);
    await second.release();
    await time.pass(20_000);
    expect(most.count).toBeLessThanOrEqual(2);
  });

  test("whose first in line gives up has two blocking queries at most", async () => {
    await semaphoreOf(scene.client).acquire();
    await time.pass(200);
    const stop = new AbortController();
    const first = new Watched(semaphoreOf(scene.client).acquire(stop.signal));
    await time.pass(200);
    await waitersElsewhere(1);
    new Watched(semaphoreOf(scene.client).acquire());
    // What was open when the first came to wait is over by then.
    await time.pass(20_000);
    const most = mostWatches(scene.client);
    stop.abort(new Error("enough"));
    await time.pass(20_000);
    expect(first.outcome).toBeDefined();
    expect(most.count).toBeLessThanOrEqual(2);
  });

  test("whose next waiter is behind another's has two blocking queries at most", async () => {
    const ours = semaphoreOf(scene.client);
    await ours.acquire();
    new Watched(semaphoreOf(scene.client).acquire());
    await time.pass(1_000);
    await waitersElsewhere(1);
    new Watched(semaphoreOf(scene.client).acquire());
    await time.pass(20_000);
    const most = mostWatches(scene.client);
    await ours.release();
    await time.pass(20_000);
    expect(most.count).toBeLessThanOrEqual(2);
  });

  test.each([1, 2, 3])(
    "has two at most in whatever mixture of holders and waiters: %d",
    { timeout: 60_000 },
    async (seed) => {
      let state = seed;
      const random = (below: number): number => {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        return Math.floor((state / 2 ** 32) * below);
      };
      const clients = [scene.client, scene.newClient(), scene.newClient()];
      const most = clients.map(() => 0);
      scene.onRequest = () => {
        for (const [i, client] of clients.entries()) {
          most[i] = Math.max(most[i] ?? 0, watchesOf(client).length);
        }
      };
      const running: Promise<unknown>[] = [];
      for (let i = 0; i < 60; i += 1) {
        const client = clients[random(3)] ?? scene.client;
        const work = random(4_000);
        running.push(
          semaphoreOf(client, 3).run(() => new Promise((resolve) => setTimeout(resolve, work))),
        );
        await time.pass(random(1_000));
      }
      await time.pass(60_000);
      await Promise.all(running);
      expect(Math.max(...most)).toBeLessThanOrEqual(2);
    },
  );

  test("has none once nobody holds or waits", async () => {
    const [held, waiting] = [semaphoreOf(scene.client), semaphoreOf(scene.client)];
    await held.acquire();
    const stop = new AbortController();
    const wait = new Watched(waiting.acquire(stop.signal));
    await time.pass(5_000);
    stop.abort(new Error("enough"));
    await held.release();
    await time.settle();
    expect(wait.outcome).toBeDefined();
    expect(scene.open).toEqual([]);
    const requests = await requestsOf(scene.client, 60_000);
    // The session is kept for a while.
    expect(requests.map(({ step }) => step)).toEqual(["renew", "destroy session"]);
  });
});

describe("a slot that is free", () => {
  test("costs one write to get and one to give back, where a client comes again and again", async () => {
    const sem = semaphoreOf(scene.client);
    await sem.run(() => undefined);
    scene.forget();
    for (let i = 0; i < 10; i += 1) {
      await sem.run(() => undefined);
      await time.pass(20);
    }
    expect(scene.of("enter and join")).toHaveLength(10);
    expect(scene.of("leave", "leave and read")).toHaveLength(10);
    expect(scene.sent).toHaveLength(20);
  });

  test("is passed on within a client in one write, with no reading", async () => {
    const held = semaphoreOf(scene.client);
    await held.acquire();
    const next = semaphoreOf(scene.client).acquire();
    await time.pass(5_000);
    scene.forget();
    const [stepsOfRelease, slot] = await Promise.all([
      held.release().then(() => scene.steps),
      next.then((got) => ({ got, steps: scene.steps })),
    ]);
    expect(stepsOfRelease).toEqual(["hand over"]);
    expect(slot.steps).toEqual(["hand over"]);
    expect(slot.got.held).toBe(true);
  });

  test("goes through a client's whole line with one reading at most", async () => {
    const sems = Array.from({ length: 10 }, () => semaphoreOf(scene.client));
    const order: number[] = [];
    const running = sems.map(async (sem, i) => {
      await new Promise((resolve) => setTimeout(resolve, i * 10));
      await sem.run(async () => {
        order.push(i);
        await new Promise((resolve) => setTimeout(resolve, i === 0 ? 5_000 : 20));
      });
    });
    await time.pass(4_900);
    scene.forget();
    await time.pass(1_000);
    await Promise.all(running);
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(scene.of("hand over")).toHaveLength(9);
    expect(scene.of("join", "enter and join")).toEqual([]);
    expect(scene.of("read prefix").length).toBeLessThanOrEqual(1);
  });
});
