// A wait with a limit: how long it takes, and what it comes to.
import { beforeEach, describe, expect, test, vi } from "vitest";

import type {
  ConsulClient,
  Semaphore,
  SemaphoreOptions,
  SemaphoreSlot,
} from "../../../src/index.js";
import { Scene } from "../client-of-fake.js";
import { FakeTime } from "../fake-time.js";
import { afterRequest, answerLate, forbidden, leaderless, silent } from "../faults.js";
import { Watched } from "../outcome.js";

const PREFIX = "jobs";
const FLAGS = "16210313421097356768";

let time: FakeTime;
let scene: Scene;

beforeEach(() => {
  time = new FakeTime();
  scene = new Scene();
});

const semaphore = (given: Partial<SemaphoreOptions> = {}): Semaphore =>
  scene.client.semaphoreOpts({ prefix: PREFIX, limit: 1, ...given });

/** Somebody else, in another process, has a slot. */
async function takenElsewhere(client: ConsulClient = scene.newClient()): Promise<Semaphore> {
  const sem = client.semaphorePrefix(PREFIX, 1);
  await sem.acquire();
  return sem;
}

const trying = (given: Partial<SemaphoreOptions>): Watched<SemaphoreSlot | null> =>
  new Watched(semaphore(given).tryAcquire());

describe("a wait with a limit", () => {
  test("is over when its time is, without a slot and without a trace", async () => {
    await takenElsewhere();
    const before = scene.left;
    const attempt = trying({ semaphoreWaitTime: "3s" });
    await time.pass(2_999);
    expect(attempt.outcome).toBeUndefined();
    await time.pass(1);
    expect(attempt.outcome).toEqual({ value: null, at: time.start + 3_000 });
    expect(scene.left).toEqual(before);
    expect(scene.open.filter(({ client }) => client === scene.client)).toEqual([]);
  });

  test("has a slot that becomes free in time", async () => {
    const other = await takenElsewhere();
    const attempt = trying({ semaphoreWaitTime: "3s" });
    await time.pass(2_000);
    await other.release();
    await time.settle();
    expect(attempt.outcome).toMatchObject({ value: { held: true }, at: time.start + 2_000 });
  });

  test("has a slot that it is about to take when its time is over", async () => {
    const other = await takenElsewhere();
    const attempt = trying({ semaphoreWaitTime: "3s" });
    await time.pass(2_990);
    scene.next("join", answerLate(50));
    await other.release();
    await time.pass(100);
    expect(attempt.outcome).toMatchObject({ value: { held: true }, at: time.start + 3_040 });
  });

  test("waits for 15 s by default", async () => {
    await takenElsewhere();
    const attempt = trying({});
    await time.pass(14_999);
    expect(attempt.outcome).toBeUndefined();
    await time.pass(1);
    expect(attempt.outcome).toMatchObject({ value: null });
  });

  test("counts from the call: one that has to wait for an earlier call may have no time left", async () => {
    await takenElsewhere();
    const sem = semaphore({ semaphoreWaitTime: "2s" });
    const stop = new AbortController();
    const first = new Watched(sem.acquire(stop.signal));
    const attempt = new Watched(sem.tryAcquire());
    await time.pass(2_000);
    expect(attempt.outcome).toEqual({ value: null, at: time.start + 2_000 });
    expect(first.outcome).toBeUndefined();
    stop.abort(new Error("enough"));
    await time.settle();
  });

  test("ends with its signal", async () => {
    await takenElsewhere();
    const stop = new AbortController();
    const attempt = new Watched(semaphore().tryAcquire(stop.signal));
    await time.pass(1_000);
    const reason = new Error("enough");
    stop.abort(reason);
    await time.settle();
    expect(attempt.outcome).toEqual({ error: reason, at: time.start + 1_000 });
  });

  test("leaves no timer and no listener behind where it has a slot in time", async () => {
    const stop = new AbortController();
    const sem = semaphore({ semaphoreWaitTime: "1h" });
    const slot = await sem.tryAcquire(stop.signal);
    await slot?.release();
    await time.pass(10_000);
    const timers = vi.getTimerCount();
    await time.pass(3_600_000);
    // What is left is Consul's own.
    expect(vi.getTimerCount()).toBeLessThanOrEqual(timers);
  });
});

describe("a wait of no time at all", () => {
  const now = { semaphoreWaitTime: 0 };

  test("takes a slot that is free", async () => {
    const attempt = trying(now);
    await time.settle();
    expect(attempt.outcome).toMatchObject({ value: { held: true }, at: time.start });
  });

  test("comes to nothing at once where none is free", async () => {
    await takenElsewhere();
    const before = scene.left;
    const attempt = trying(now);
    await time.settle();
    expect(attempt.outcome).toEqual({ value: null, at: time.start });
    expect(scene.left).toEqual(before);
  });

  test("comes to nothing where others are before it", async () => {
    const other = await takenElsewhere();
    const next = scene.newClient();
    const waiting = new Watched(next.semaphorePrefix(PREFIX, 1).acquire());
    await time.pass(1_000);
    // The one before it is slow to take what is free.
    scene.next(({ client, step }) => client === next && step === "join", answerLate(500));
    scene.next(({ client, step }) => client === next && step === "watch lock", answerLate(500));
    await other.release();
    const attempt = trying(now);
    await time.settle();
    expect(attempt.outcome).toMatchObject({ value: null });
    await time.pass(2_000);
    expect(waiting.outcome).toHaveProperty("value");
  });

  test("takes one that a dead holder has left", async () => {
    const dead = await scene.newClient().semaphorePrefix(PREFIX, 1).acquire();
    scene.consul.destroySession(dead.session);
    const attempt = trying(now);
    await time.settle();
    expect(attempt.outcome).toMatchObject({ value: { held: true } });
  });
});

describe("a wait with little time", () => {
  const little = { semaphoreWaitTime: "100ms" };

  test("goes on for a second at least on its way into the queue", async () => {
    scene.next("create session", leaderless, leaderless, leaderless);
    const attempt = trying(little);
    await time.pass(1_000);
    expect(attempt.outcome).toMatchObject({ value: { held: true } });
    expect((attempt.outcome?.at ?? NaN) - time.start).toBeLessThan(1_000);
  });

  test("rejects where it could not enter in that second, with what was wrong", async () => {
    await takenElsewhere();
    scene.always("enter and read", silent);
    const attempt = trying(little);
    await time.pass(999);
    expect(attempt.outcome).toBeUndefined();
    await time.pass(1);
    expect(attempt.outcome).toMatchObject({
      error: { code: "SEMAPHORE_CONTENDER_FAILED", cause: { code: "CONSUL_TIMEOUT" } },
      at: time.start + 1_000,
    });
  });

  test("rejects at once where Consul refuses", async () => {
    scene.always("read prefix", forbidden);
    const attempt = trying(little);
    await time.settle();
    expect(attempt.outcome).toMatchObject({
      error: { code: "SEMAPHORE_READ_FAILED", cause: { status: 403 } },
      at: time.start,
    });
  });

  test("goes on for a second where a slot is free that others are faster to take", async () => {
    // Somebody else writes the lock before each of its swaps, which take 90 ms.
    let swaps = 0;
    scene.always(
      ({ step }) => step === "join" || step === "enter and join",
      (...given) => {
        swaps += 1;
        const lock = JSON.stringify({ Limit: 1, Holders: {}, swaps });
        const [request, receiver, consul] = given;
        const overtaken = afterRequest("PUT", `/v1/kv/${PREFIX}/.lock?flags=${FLAGS}`, lock);
        return answerLate(90)(request, receiver, (sent, to) => overtaken(sent, to, consul));
      },
    );
    const attempt = trying(little);
    await time.pass(999);
    expect(attempt.outcome).toBeUndefined();
    await time.pass(1_000);
    expect(attempt.outcome).toMatchObject({ value: null });
    expect(swaps).toBeGreaterThan(2);
    expect(swaps).toBeLessThan(20);
  });

  test("has had its turn where it has seen that there is none, whatever fails after that", async () => {
    await takenElsewhere();
    const attempt = trying({ semaphoreWaitTime: "400ms" });
    await time.pass(10);
    scene.always(({ client, method }) => client === scene.client && method === "GET", leaderless);
    await time.pass(1_000);
    expect(attempt.outcome).toEqual({ value: null, at: time.start + 400 });
  });
});

describe("a wait that loses its entry", () => {
  test("comes back after longer and longer pauses, and is over in time", async () => {
    scene.always("enter and join", leaderless);
    // Somebody deletes its entry whenever it is about to have the slot.
    scene.always("join", (request, receiver, consul) => {
      for (const { key } of scene.contenders(PREFIX)) scene.consul.deleteKey(key);
      return consul(request, receiver);
    });
    const attempt = trying({ semaphoreWaitTime: "3s" });
    await time.pass(3_000);
    expect(attempt.outcome).toEqual({ value: null, at: time.start + 3_000 });
    const created = scene.of("create session").map(({ at }) => at - time.start);
    const pauses = created.map((at, i) => at - (created[i - 1] ?? 0)).slice(1);
    expect(pauses.slice(0, 5)).toEqual([50, 100, 200, 400, 800]);
    await time.pass(1_000);
    expect(scene.left).toEqual([]);
  });

  test("is over in time also while it cleans up, and comes back no more", async () => {
    await takenElsewhere();
    const attempt = trying({ semaphoreWaitTime: "10s" });
    await time.pass(1_000);
    scene.always("delete entry", leaderless);
    scene.always("destroy session", leaderless);
    const ours = scene.contenders(PREFIX)[1]?.session ?? "";
    scene.consul.destroySession(ours);
    // A renewal finds that out.
    await time.pass(7_000);
    expect(scene.of("delete entry").length).toBeGreaterThanOrEqual(1);
    await time.pass(1_999);
    expect(attempt.outcome).toBeUndefined();
    // With another session, whose entry has to go as well.
    await time.pass(1 + 100);
    expect(attempt.outcome).toEqual({ value: null, at: time.start + 10_100 });
    scene.heal();
    scene.forget();
    await time.pass(60_000);
    // A slot that it got now would be nobody's.
    expect(scene.of("create session")).toEqual([]);
    expect(scene.contenders(PREFIX)).toHaveLength(1);
  });
});

describe("a wait whose entry cannot be taken away", () => {
  test.each(["delete entry", "destroy session"] as const)(
    "is over 100 ms after its time: %s",
    async (step) => {
      await takenElsewhere();
      const attempt = trying({ semaphoreWaitTime: "3s" });
      await time.pass(1_000);
      scene.always(step, silent);
      await time.pass(2_099);
      expect(attempt.outcome).toBeUndefined();
      await time.pass(1);
      expect(attempt.outcome).toEqual({ value: null, at: time.start + 3_100 });
    },
  );
});
