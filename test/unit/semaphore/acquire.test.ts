// The way to a slot, and what becomes of it where that leads nowhere.
import { getEventListeners } from "node:events";
import { hostname } from "node:os";

import { beforeEach, describe, expect, test } from "vitest";

import type { Semaphore, SemaphoreOptions, SemaphoreSlot } from "../../../src/index.js";
import { Scene } from "../client-of-fake.js";
import { FakeTime } from "../fake-time.js";
import {
  answering,
  answerLate,
  answerLost,
  answerSwallowed,
  forbidden,
  leaderless,
  page,
  refusing,
  silent,
} from "../faults.js";
import { messageOf, valueOf, Watched } from "../outcome.js";
import { rejectionOf } from "../rejection.js";

const PREFIX = "jobs";
const TTL = 15_000;

let time: FakeTime;
let scene: Scene;

beforeEach(() => {
  time = new FakeTime();
  scene = new Scene();
});

/** A semaphore of the one client. */
const semaphore = (given: Partial<SemaphoreOptions> = {}): Semaphore =>
  scene.client.semaphoreOpts({ prefix: PREFIX, limit: 1, ...given });

/** Somebody else, in another process, has a slot. */
const takenElsewhere = async (): Promise<SemaphoreSlot> =>
  await scene.newClient().semaphorePrefix(PREFIX, 1).acquire();

const decode = (value: Uint8Array | null | undefined): string =>
  Buffer.from(value ?? []).toString();

describe("acquiring", () => {
  test("creates a session, reads, and takes a free slot with its entry in one write", async () => {
    const sem = semaphore({ value: "me" });
    const slot = await sem.acquire();
    expect(scene.steps).toEqual(["create session", "read prefix", "enter and join"]);
    expect(slot).toMatchObject({ held: true, session: scene.consul.sessions[0]?.id });
    expect(sem.isHeld).toBe(true);
    const [entry] = scene.contenders(PREFIX);
    expect(entry).toMatchObject({ key: `jobs/${slot.session}`, session: slot.session });
    expect(decode(entry?.value)).toBe("me");
    expect(scene.lock(PREFIX)).toEqual({ limit: 1, holders: [slot.session] });
    // The token is the index of that write.
    expect(slot.fencingToken).toBe(entry?.modifyIndex);
    for (const { query } of scene.of("read prefix")) expect(query.has("consistent")).toBe(true);
  });

  test("waits in the queue where none is free, and takes one that becomes free", async () => {
    const other = await takenElsewhere();
    const acquiring = new Watched(semaphore({ value: "me" }).acquire());
    await time.pass(60_000);
    expect(acquiring.outcome).toBeUndefined();
    expect(scene.contenders(PREFIX).map(({ value }) => decode(value))).toEqual([
      `${hostname()}:${process.pid}`,
      "me",
    ]);
    await other.release();
    await time.settle();
    expect(acquiring.outcome).toMatchObject({ value: { held: true } });
    const token = scene.contenders(PREFIX)[0]?.modifyIndex;
    expect(acquiring.outcome).toMatchObject({ value: { fencingToken: token } });
  });

  test("is one of several, as long as not all slots are taken", async () => {
    const slots = await Promise.all(
      [1, 2, 3].map(() => scene.newClient().semaphorePrefix(PREFIX, 3).acquire()),
    );
    expect(slots.map(({ held }) => held)).toEqual([true, true, true]);
    expect(scene.lock(PREFIX)?.holders).toHaveLength(3);
    const fourth = new Watched(semaphore({ limit: 3 }).acquire());
    await time.pass(1_000);
    expect(fourth.outcome).toBeUndefined();
  });

  test("enters first with a session of the user's, which may be a holder already", async () => {
    const session = await scene.client.session.create({ ttl: "15s", behavior: "delete" });
    scene.forget();
    const slot = await semaphore({ session }).acquire();
    expect(slot.session).toBe(session);
    expect(scene.steps).toEqual(["renew", "read lock", "enter and read", "join"]);
  });

  test("leaves no listener on the caller's signal", async () => {
    const { signal } = new AbortController();
    const other = await takenElsewhere();
    const acquiring = semaphore().acquire(signal);
    await time.pass(1_000);
    expect(getEventListeners(signal, "abort")).toHaveLength(1);
    await other.release();
    await (await acquiring).release();
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  test("fails at once where the others go by another limit", async () => {
    await takenElsewhere();
    scene.forget();
    const acquiring = new Watched(semaphore({ limit: 2 }).acquire());
    await time.settle();
    expect(acquiring.outcome).toMatchObject({
      error: { code: "SEMAPHORE_LIMIT_CONFLICT", lockLimit: 1, localLimit: 2 },
    });
    expect(scene.steps).toEqual(["create session", "read prefix", "destroy session"]);
  });

  test("fails at once with another limit also where one of the same client waits", async () => {
    await takenElsewhere();
    const waiting = new Watched(semaphore().acquire());
    await time.pass(1_000);
    const acquiring = new Watched(semaphore({ limit: 2 }).acquire());
    await time.pass(1_000);
    expect(acquiring.outcome).toMatchObject({ error: { code: "SEMAPHORE_LIMIT_CONFLICT" } });
    expect(scene.contenders(PREFIX)).toHaveLength(2);
    expect(waiting.outcome).toBeUndefined();
  });

  test.each([
    ["single lock", { flags: 0x2ddccbc058a50c18n, value: "" }, "SEMAPHORE_CONFLICT"],
    ["JSON", { flags: 0n, value: "{}" }, "SEMAPHORE_CONFLICT"],
    ["garbage", { flags: 0n, value: "gone" }, "SEMAPHORE_LOCK_DECODING_FAILED"],
  ])("fails at once where the lock entry is somebody's %s", async (_, given, code) => {
    await scene.client.kv.put({ key: `${PREFIX}/.lock`, ...given });
    const acquiring = new Watched(semaphore().acquire());
    await time.settle();
    expect(acquiring.outcome).toMatchObject({ error: { code }, at: time.start });
    expect(scene.left).toEqual([]);
  });

  test("takes another session where its own is gone before it could enter", async () => {
    const first = await semaphore().acquire();
    await first.release();
    // A session that was kept is ended by somebody else.
    scene.consul.destroySession(first.session);
    const acquiring = new Watched(semaphore().acquire());
    await time.pass(50);
    expect(acquiring.outcome).toMatchObject({ value: { held: true }, at: time.start + 50 });
    expect(scene.of("create session")).toHaveLength(2);
  });

  test.each(["enter and join", "join"] as const)(
    "takes another session where its own is over by the clock when it has the slot: %s",
    async (step) => {
      const other = scene.newClient().semaphorePrefix(PREFIX, 1);
      if (step === "join") await other.acquire();
      const acquiring = new Watched(semaphore().acquire());
      scene.next(step, answerLate(100));
      await time.settle();
      if (step === "join") await other.release();
      await time.pass(99);
      // The event loop is blocked until the answer is read, before any timer has run.
      time.block(TTL);
      await time.pass(1);
      expect(acquiring.outcome).toBeUndefined();
      await time.pass(1_000);
      expect(valueOf(acquiring).held).toBe(true);
      expect(scene.lock(PREFIX)?.holders).toEqual([valueOf(acquiring).session]);
      expect(scene.contenders(PREFIX)).toHaveLength(1);
    },
  );

  test("fails at once where a check of the session does not exist, and names the option", async () => {
    const acquiring = new Watched(semaphore({ sessionChecks: ["nosuch"] }).acquire());
    await time.settle();
    expect(acquiring.outcome).toMatchObject({
      error: { code: "SEMAPHORE_SESSION_FAILED", retryable: false },
    });
    expect(messageOf(acquiring)).toContain("Missing check 'nosuch' registration");
    expect(messageOf(acquiring)).toContain("see sessionChecks");
    expect(scene.steps).toEqual(["create session"]);
  });

  test("fails at once where the node that it was given is not registered", async () => {
    const acquiring = new Watched(semaphore({ sessionNode: "mistyped" }).acquire());
    await time.settle();
    expect(acquiring.outcome).toMatchObject({ error: { code: "SEMAPHORE_SESSION_FAILED" } });
    expect(messageOf(acquiring)).toContain("PUT /v1/catalog/register does so");
    expect(scene.steps).toEqual(["create session"]);
  });

  test("tries on where the agent's own node is not registered yet", async () => {
    scene.next("create session", answering(500, "Missing node registration"));
    const acquiring = new Watched(semaphore().acquire());
    await time.pass(1_000);
    expect(valueOf(acquiring).held).toBe(true);
    // Nothing was made, so that there is nothing to look for.
    expect(scene.of("list sessions")).toEqual([]);
  });

  test("tries on where a check is critical, whatever it is called", async () => {
    scene.next("create session", answering(500, "Check 'invalid-orders' is in critical state"));
    const acquiring = new Watched(semaphore().acquire());
    await time.pass(1_000);
    expect(valueOf(acquiring).held).toBe(true);
  });

  test("fails at once where nothing has ever answered, though it may be retried", async () => {
    scene.always("create session", refusing);
    const acquiring = new Watched(semaphore().acquire());
    await time.settle();
    expect(acquiring.outcome).toMatchObject({
      error: { code: "SEMAPHORE_SESSION_FAILED", retryable: true, cause: { neverAnswered: true } },
    });
    expect(scene.steps).toEqual(["create session"]);
  });

  test("tries on where what has answered before is down", async () => {
    await scene.client.kv.get("a");
    scene.next("create session", refusing);
    const acquiring = new Watched(semaphore().acquire());
    await time.pass(1_000);
    expect(valueOf(acquiring).held).toBe(true);
  });

  test("makes its session on the node that it was given", async () => {
    await semaphore({ sessionNode: "fake-consul" }).acquire();
    const [created] = scene.of("create session");
    expect(JSON.parse(created?.body ?? "")).toMatchObject({ Node: "fake-consul" });
  });

  test("fails where a session of the user's is gone", async () => {
    const session = "2d1b6b3e-0d53-4f55-8c4b-3b0a4cf0d1f2";
    const acquiring = new Watched(semaphore({ session }).acquire());
    await time.settle();
    expect(acquiring.outcome).toMatchObject({ error: { code: "SEMAPHORE_CONTENDER_FAILED" } });
    expect(messageOf(acquiring)).toMatch(/^failed to make contender entry: .*invalid session/);
    expect(scene.of("enter and read")).toHaveLength(1);
  });

  test("that could not make its contender entry deletes none", async () => {
    const [session, thief] = [
      await scene.client.session.create({ behavior: "delete" }),
      await scene.client.session.create({ behavior: "delete" }),
    ];
    await scene.client.kv.acquire({ key: `${PREFIX}/${session}`, session: thief });
    scene.forget();
    const acquiring = new Watched(semaphore({ session }).acquire());
    await time.settle();
    expect(acquiring.outcome).toMatchObject({ error: { code: "SEMAPHORE_CONTENDER_FAILED" } });
    expect(messageOf(acquiring)).toContain(
      `another session has the lock of the entry of ${session}`,
    );
    expect(scene.contenders(PREFIX)).toMatchObject([{ session: thief }]);
    expect(scene.steps).toEqual(["renew", "read lock", "enter and read"]);
  });
});

describe("the way into the queue", () => {
  test("survives failures that pass", async () => {
    await takenElsewhere();
    scene.next("create session", leaderless);
    scene.next("read prefix", answering(503));
    scene.next("enter and read", leaderless, page(502));
    const acquiring = new Watched(semaphore().acquire());
    await time.pass(1_000);
    expect(acquiring.outcome).toBeUndefined();
    expect(scene.contenders(PREFIX)).toHaveLength(2);
  });

  test("is not tried for longer than 15 s where nothing has ever worked", async () => {
    scene.always("create session", leaderless);
    const acquiring = new Watched(semaphore().acquire());
    await time.pass(14_999);
    expect(acquiring.outcome).toBeUndefined();
    await time.pass(1);
    expect(acquiring.outcome).toMatchObject({
      error: { code: "SEMAPHORE_SESSION_FAILED", cause: { text: "No cluster leader" } },
      at: time.start + 15_000,
    });
  });

  test("has 15 s again after one that has failed, whatever that may have left", async () => {
    const sem = semaphore({ sessionTTL: "10m" });
    scene.always(() => true, silent);
    const given = new Watched(sem.acquire({ timeout: 100 }));
    await time.pass(15_000);
    expect(given.outcome).toMatchObject({ error: { code: "SEMAPHORE_SESSION_FAILED" } });
    const acquiring = new Watched(sem.acquire());
    const releasing = new Watched(sem.release());
    await time.pass(30_000);
    expect(acquiring.outcome).toMatchObject({ error: { code: "SEMAPHORE_SESSION_FAILED" } });
    expect(releasing.outcome).toMatchObject({ error: { code: "SEMAPHORE_NOT_HELD" } });
  });

  test("has 15 s for the entry too, where the session took long", async () => {
    scene.next("create session", silent);
    scene.always("read prefix", leaderless);
    scene.always("enter and read", leaderless);
    const acquiring = new Watched(semaphore().acquire());
    await time.pass(25_000);
    expect(acquiring.outcome).toBeUndefined();
    await time.pass(100);
    expect(acquiring.outcome).toMatchObject({ error: { code: "SEMAPHORE_CONTENDER_FAILED" } });
  });

  test.each(["10s", "15s", "1m"])(
    "is not tried for much longer where nobody answers any more, with a TTL of %s",
    async (sessionTTL) => {
      await takenElsewhere();
      const acquiring = new Watched(semaphore({ sessionTTL }).acquire());
      scene.always(({ step }) => step !== "create session", silent);
      await time.pass(10);
      scene.always(() => true, silent);
      await time.pass(18_500);
      expect(acquiring.outcome).toMatchObject({ error: { name: "SemaphoreRequestError" } });
    },
  );

  test("is given up at once where Consul refuses", async () => {
    scene.always("enter and join", forbidden);
    const acquiring = new Watched(semaphore().acquire());
    await time.settle();
    expect(acquiring.outcome).toMatchObject({
      error: { code: "SEMAPHORE_UPDATE_FAILED", retryable: false, cause: { status: 403 } },
      at: time.start,
    });
    expect(scene.left).toEqual([]);
  });

  test("finds and ends the session whose answer was lost", async () => {
    scene.next("create session", answerLost);
    const slot = new Watched(semaphore().acquire());
    await time.pass(50);
    expect(slot.outcome).toMatchObject({ value: { session: scene.consul.sessions[0]?.id } });
    expect(scene.consul.sessions).toHaveLength(1);
  });
});

describe("an abort", () => {
  const reason = new Error("enough");

  test("gives up within 100 ms, also where nobody answers", async () => {
    scene.always("create session", silent);
    const controller = new AbortController();
    const acquiring = new Watched(semaphore().acquire(controller.signal));
    await time.pass(1_000);
    controller.abort(reason);
    await time.pass(100);
    expect(acquiring.outcome).toEqual({ error: reason, at: time.start + 1_100 });
  });

  test.each(["acquire", "tryAcquire", "run"] as const)(
    "of %s is reported with the very reason, also where that is a semaphore's error",
    async (call) => {
      await takenElsewhere();
      const other = await scene.client.semaphorePrefix("others", 1).acquire();
      const { signal } = other;
      const sem = semaphore();
      const waiting = new Watched<unknown>(
        call === "run" ? sem.run(() => 1, signal) : sem[call](signal),
      );
      await time.pass(1_000);
      await other.release();
      await time.pass(100);
      expect(waiting.outcome).toHaveProperty("error");
      expect(waiting.outcome && "error" in waiting.outcome && waiting.outcome.error).toBe(
        signal.reason,
      );
      const again = await rejectionOf(sem.acquire(AbortSignal.abort(signal.reason)));
      expect(again).toBe(signal.reason);
    },
  );

  test("takes away what was written before it is reported", async () => {
    await takenElsewhere();
    const before = scene.left;
    const controller = new AbortController();
    const acquiring = new Watched(semaphore().acquire(controller.signal));
    await time.pass(1_000);
    expect(scene.contenders(PREFIX)).toHaveLength(2);
    controller.abort(reason);
    await time.settle();
    expect(acquiring.outcome).toEqual({ error: reason, at: time.start + 1_000 });
    expect(scene.left).toEqual(before);
    expect(scene.steps.slice(-2)).toEqual(["delete entry", "destroy session"]);
  });

  test("gives a slot back that came after it", async () => {
    scene.next("enter and join", answerLate(50));
    const controller = new AbortController();
    const acquiring = new Watched(semaphore().acquire(controller.signal));
    await time.pass(10);
    controller.abort(reason);
    await time.pass(40);
    expect(acquiring.outcome).toEqual({ error: reason, at: time.start + 50 });
    expect(scene.lock(PREFIX)?.holders).toEqual([]);
    expect(scene.left).toEqual([]);
  });

  test("while an earlier call has its turn is reported at once", async () => {
    await takenElsewhere();
    const sem = semaphore();
    const first = new Watched(sem.acquire());
    await time.pass(1_000);
    scene.forget();
    const controller = new AbortController();
    const second = new Watched(sem.acquire(controller.signal));
    await time.pass(10);
    controller.abort(reason);
    await time.settle();
    expect(second.outcome).toMatchObject({ error: reason });
    expect(first.outcome).toBeUndefined();
    expect(scene.of("create session")).toEqual([]);
  });

  test("that came before the call sends nothing", async () => {
    const acquiring = new Watched(semaphore().acquire(AbortSignal.abort(reason)));
    await time.settle();
    expect(acquiring.outcome).toMatchObject({ error: reason });
    expect(scene.sent).toEqual([]);
  });

  test("has the next call wait for what goes on behind it", async () => {
    await takenElsewhere();
    const controller = new AbortController();
    const sem = semaphore();
    const acquiring = new Watched(sem.acquire(controller.signal));
    await time.pass(1_000);
    scene.always("delete entry", leaderless);
    controller.abort(reason);
    await time.pass(99);
    expect(acquiring.outcome).toBeUndefined();
    await time.pass(1);
    expect(acquiring.outcome).toEqual({ error: reason, at: time.start + 1_100 });
    void sem.acquire().catch(() => undefined);
    scene.forget();
    await time.pass(2_000);
    expect(new Set(scene.of("delete entry", "create session").map(({ step }) => step))).toEqual(
      new Set(["delete entry"]),
    );
    scene.heal();
    await time.pass(1_000);
    expect(scene.of("create session")).toHaveLength(1);
  });
});

describe("a failure in the queue", () => {
  /** The lock entry can no longer be read by a waiter. */
  async function refused(): Promise<Watched<SemaphoreSlot>> {
    await takenElsewhere();
    scene.always("watch lock", forbidden);
    return new Watched(semaphore().acquire());
  }

  test("is reported at once where what was written can be taken away", async () => {
    const before = await refused();
    await time.settle();
    expect(before.outcome).toMatchObject({
      error: { code: "SEMAPHORE_READ_FAILED", cause: { status: 403 } },
      at: time.start,
    });
    expect(scene.contenders(PREFIX)).toHaveLength(1);
    expect(scene.consul.sessions).toHaveLength(1);
  });

  test("is reported after a second where that cannot be taken away", async () => {
    scene.always("delete entry", leaderless);
    const acquiring = await refused();
    await time.pass(999);
    expect(acquiring.outcome).toBeUndefined();
    await time.pass(1);
    expect(acquiring.outcome).toMatchObject({
      error: { code: "SEMAPHORE_READ_FAILED", cause: { status: 403 } },
      at: time.start + 1_000,
    });
    // It goes on being tried until the session is over anyway.
    expect(scene.of("destroy session")).toEqual([]);
    await time.pass(TTL);
    expect(scene.of("destroy session")).toHaveLength(1);
  });

  test("is reported after a second also where only its session cannot be ended", async () => {
    scene.always("destroy session", answerSwallowed);
    const acquiring = await refused();
    await time.pass(10_000);
    expect(acquiring.outcome).toMatchObject({
      error: { code: "SEMAPHORE_READ_FAILED" },
      at: time.start + 1_000,
    });
  });
});
