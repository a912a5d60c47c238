// How a slot is given back, and what becomes of its session.
import { beforeEach, describe, expect, test } from "vitest";

import type { Semaphore, SemaphoreOptions, SemaphoreSlot } from "../../../src/index.js";
import { Scene } from "../client-of-fake.js";
import { FakeTime } from "../fake-time.js";
import { answerLate, forbidden, leaderless, silent } from "../faults.js";
import { rejectionOf } from "../rejection.js";
import { valueOf, Watched } from "../outcome.js";
import type { Sent } from "../sent.js";

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

const isLeave = ({ step }: Sent): boolean => step.startsWith("leave");

/** A semaphore with a slot. */
async function held(
  given: Partial<SemaphoreOptions> = {},
): Promise<{ readonly sem: Semaphore; readonly slot: SemaphoreSlot }> {
  const sem = semaphore(given);
  const slot = await sem.acquire();
  await time.pass(50);
  scene.forget();
  return { sem, slot };
}

describe("a slot that is held", () => {
  test("keeps its semaphore from another, and asks nobody for that", async () => {
    const { sem, slot } = await held();
    for (const call of [sem.acquire(), sem.tryAcquire(), sem.destroy()]) {
      const error = await rejectionOf(call);
      expect(error).toMatchObject({ code: "SEMAPHORE_HELD" });
      expect(String(error)).toMatch(/: Semaphore already held: "jobs": /);
    }
    expect(scene.sent).toEqual([]);
    expect(slot.held).toBe(true);
  });

  test("does not depend on the signal that its acquire was given", async () => {
    const stop = new AbortController();
    const slot = await semaphore().acquire(stop.signal);
    stop.abort(new Error("too late"));
    await time.pass(1_000);
    expect(slot.held).toBe(true);
  });
});

describe("releasing", () => {
  test("ends the slot before anything else, and takes one request", async () => {
    const { sem, slot } = await held();
    scene.next(isLeave, answerLate(200));
    const releasing = new Watched(slot.release());
    expect(slot.signal.reason).toMatchObject({ name: "SemaphoreReleasedError" });
    expect(sem.isHeld).toBe(false);
    await time.pass(199);
    expect(releasing.outcome).toBeUndefined();
    await time.pass(1);
    expect(releasing.outcome).toMatchObject({ value: undefined });
    expect(scene.steps).toEqual(["leave and read"]);
    expect(scene.lock(PREFIX)).toEqual({ limit: 1, holders: [] });
    expect(scene.contenders(PREFIX)).toEqual([]);
  });

  test("keeps the limit that is in Consul, and holders that look dead: they are not ours", async () => {
    const { slot } = await held();
    const dead = "2d1b6b3e-0d53-4f55-8c4b-3b0a4cf0d1f2";
    const Holders = { [dead]: true, [slot.session]: true };
    await scene.client.kv.put({
      key: `${PREFIX}/.lock`,
      flags: 0xe0f69a2baa414de0n,
      value: JSON.stringify({ Limit: 7, Holders }),
    });
    await slot.release();
    expect(scene.lock(PREFIX)).toEqual({ limit: 7, holders: [dead] });
  });

  test("is done once, however often it is asked for", async () => {
    const { sem, slot } = await held();
    await Promise.all([slot.release(), slot.release(), slot[Symbol.asyncDispose]()]);
    await slot.release();
    expect(scene.of(isLeave)).toHaveLength(1);
    const error = await rejectionOf(sem.release());
    expect(error).toMatchObject({ code: "SEMAPHORE_NOT_HELD" });
    expect(String(error)).toMatch(/: Semaphore not held: "jobs": /);
  });

  test("during an acquire waits for it, and gives back what it gets", async () => {
    const other = await scene.newClient().semaphorePrefix(PREFIX, 1).acquire();
    const sem = semaphore();
    const acquiring = new Watched(sem.acquire());
    const releasing = new Watched(sem.release());
    await time.pass(10_000);
    expect(releasing.outcome).toBeUndefined();
    await other.release();
    await time.settle();
    expect(acquiring.outcome).toHaveProperty("value");
    expect(releasing.outcome).toMatchObject({ value: undefined });
    expect(scene.lock(PREFIX)?.holders).toEqual([]);
  });

  test("a slot that is given back already does not wait behind the next acquire", async () => {
    const { sem, slot } = await held();
    await sem.release();
    await scene.newClient().semaphorePrefix(PREFIX, 1).acquire();
    const waiting = new Watched(sem.acquire());
    await time.pass(1_000);
    const releasing = new Watched(slot.release());
    await time.settle();
    expect(releasing.outcome).toMatchObject({ value: undefined });
    expect(waiting.outcome).toBeUndefined();
  });

  test("survives failures, and reports why it has failed once the session is over anyway", async () => {
    const slot = await semaphore().acquire();
    scene.always(isLeave, leaderless);
    const releasing = new Watched(slot.release());
    await time.pass(TTL - 1);
    expect(releasing.outcome).toBeUndefined();
    await time.pass(1);
    expect(releasing.outcome).toMatchObject({
      error: { code: "SEMAPHORE_UPDATE_FAILED", cause: { text: "No cluster leader" } },
      at: time.start + TTL,
    });
    expect(slot.held).toBe(false);
    // It was no longer renewed, so that Consul frees it with its session.
    expect(scene.of("renew")).toEqual([]);
    await time.pass(TTL);
    expect(scene.left).toEqual([]);
  });

  test("reports after a minute at the latest", async () => {
    const { slot } = await held({ sessionTTL: "1h" });
    scene.always(isLeave, leaderless);
    const releasing = new Watched(slot.release());
    await time.pass(59_999);
    expect(releasing.outcome).toBeUndefined();
    await time.pass(1);
    expect(releasing.outcome).toMatchObject({ error: { code: "SEMAPHORE_UPDATE_FAILED" } });
  });

  test("reports after 15 s with a session that has no TTL, and goes on", async () => {
    const session = await scene.client.session.create({ behavior: "delete" });
    const { sem, slot } = await held({ session });
    scene.always(isLeave, leaderless);
    const releasing = new Watched(slot.release());
    await time.pass(15_000);
    expect(releasing.outcome).toMatchObject({ error: { code: "SEMAPHORE_UPDATE_FAILED" } });
    const next = new Watched(sem.acquire());
    await time.pass(600_000);
    expect(next.outcome).toBeUndefined();
    scene.heal();
    await time.pass(2_000);
    expect(next.outcome).toMatchObject({ value: { session } });
  });

  test("fails at once where Consul refuses, and the slot is free with its session", async () => {
    const { slot } = await held();
    scene.always(isLeave, forbidden);
    const releasing = new Watched(slot.release());
    await time.settle();
    expect(releasing.outcome).toMatchObject({
      error: { code: "SEMAPHORE_UPDATE_FAILED", cause: { status: 403 }, retryable: false },
    });
    expect(scene.left).toEqual([]);
  });

  test.each([
    ["SEMAPHORE_CONFLICT", 0x2ddccbc058a50c18n],
    ["SEMAPHORE_LOCK_DECODING_FAILED", 0xe0f69a2baa414de0n],
  ])(
    "fails where somebody has overwritten the lock, with nothing left: %s",
    async (code, flags) => {
      const { slot } = await held();
      await scene.client.kv.put({ key: `${PREFIX}/.lock`, value: "gone", flags });
      const releasing = new Watched(slot.release());
      await time.settle();
      expect(releasing.outcome).toMatchObject({ error: { code } });
      expect(scene.left).toEqual([]);
    },
  );

  test("has gone well after a TTL also where only the session is still to be ended", async () => {
    const { sem, slot } = await held();
    scene.next(isLeave, leaderless);
    scene.always("destroy session", silent);
    const from = performance.now();
    const releasing = new Watched(slot.release());
    const acquiring = new Watched(sem.acquire());
    await time.pass(TTL - 1);
    expect(scene.of("create session")).toEqual([]);
    await time.pass(1);
    // Strictly: a rejection with nothing would look the same.
    expect(releasing.outcome).toStrictEqual({ value: undefined, at: from + TTL });
    scene.heal();
    await time.pass(5_000);
    // The next call waited until that was over.
    expect(acquiring.outcome).toMatchObject({ value: { held: true } });
  });

  test("holds the next acquire up until the slot is given back", async () => {
    const { sem, slot } = await held();
    scene.next(isLeave, leaderless, leaderless);
    const from = performance.now();
    const releasing = new Watched(slot.release());
    const acquiring = new Watched(sem.acquire());
    await time.pass(149);
    expect(scene.of("create session")).toEqual([]);
    await time.pass(1);
    expect(releasing.outcome).toEqual({ value: undefined, at: from + 150 });
    expect(acquiring.outcome).toMatchObject({ value: { held: true } });
  });
});

describe("the session of a slot that was given back", () => {
  test("is kept a while for the next, and then ended", async () => {
    const { slot } = await held();
    await slot.release();
    await time.pass(4_999);
    expect(scene.consul.sessions).toHaveLength(1);
    await time.pass(1);
    expect(scene.left).toEqual([]);
  });

  test("is used again for the next slot that needs the same", async () => {
    const { slot } = await held();
    await slot.release();
    const next = await semaphore({ value: "another" }).acquire();
    expect(next.session).toBe(slot.session);
    expect(next.fencingToken).toBeGreaterThan(slot.fencingToken);
    expect(scene.of("create session")).toEqual([]);
  });

  test.each<[string, Partial<SemaphoreOptions>]>([
    ["prefix", { prefix: "other-jobs" }],
    ["name", { sessionName: "another" }],
    ["TTL", { sessionTTL: "30s" }],
    ["check", { sessionChecks: ["serfHealth"] }],
    ["node", { sessionNode: "another" }],
    ["namespace", { namespace: "team-a" }],
    ["partition", { partition: "west" }],
  ])("is none for one who needs another %s", async (_, given) => {
    const { slot } = await held();
    await slot.release();
    const acquiring = semaphore(given).acquire();
    acquiring.catch(() => undefined);
    await time.settle();
    expect(scene.of("create session")).toHaveLength(1);
  });

  test("is ended at once where the slot was lost", async () => {
    const { sem, slot } = await held();
    await time.pass(1_000);
    scene.consul.deleteKey(`${PREFIX}/.lock`);
    await time.pass(1_000);
    expect(slot.signal.reason).toMatchObject({ reason: "holder-removed" });
    await sem.release();
    expect(scene.left).toEqual([]);
  });

  test("does not outlive a client that is closed", async () => {
    const { slot } = await held();
    await slot.release();
    await scene.client.close();
    expect(scene.left).toEqual([]);
  });
});

describe("after a loss", () => {
  /** The slot has been lost by somebody's deed. */
  async function lost(): Promise<{ readonly sem: Semaphore; readonly slot: SemaphoreSlot }> {
    const { sem, slot } = await held();
    await time.pass(1_000);
    scene.consul.deleteKey(`${PREFIX}/.lock`);
    await time.pass(1_000);
    expect(slot.held).toBe(false);
    return { sem, slot };
  }

  test("nothing is held", async () => {
    const { sem } = await lost();
    expect(sem.isHeld).toBe(false);
  });

  test("releasing resolves, again and again, and cleans up", async () => {
    const { sem, slot } = await lost();
    await sem.release();
    await sem.release();
    await slot.release();
    expect(scene.left).toEqual([]);
    expect(sem.isHeld).toBe(false);
  });

  test("releasing resolves within a second where nothing can be cleaned up", async () => {
    const { sem } = await lost();
    scene.always(() => true, silent);
    const releasing = new Watched(sem.release());
    await time.pass(1_000);
    expect(releasing.outcome).toMatchObject({ value: undefined });
  });

  test("the next slot is released at once, whatever is still left of the lost one", async () => {
    const { sem } = await lost();
    scene.always("destroy session", silent);
    const acquiring = new Watched(sem.acquire());
    await time.pass(1_000);
    const next = valueOf(acquiring);
    const releasing = new Watched(next.release());
    await time.pass(100);
    expect(next.signal.aborted).toBe(true);
    expect(releasing.outcome).toMatchObject({ value: undefined });
  });

  test("another may be acquired at once, which cleans up first", async () => {
    const { sem, slot } = await lost();
    scene.forget();
    const next = await sem.acquire();
    expect(next.held).toBe(true);
    expect(sem.isHeld).toBe(true);
    expect(next.session).not.toBe(slot.session);
    expect(scene.contenders(PREFIX)).toHaveLength(1);
    expect(scene.consul.sessions).toMatchObject([{ id: next.session }]);
    // The old slot is not the new one.
    await slot.release();
    expect(next.held).toBe(true);
    await sem.release();
  });

  test("another is acquired also where the old one cannot be cleaned up for the time being", async () => {
    const { sem } = await lost();
    scene.always(({ step }) => step.startsWith("leave") || step === "destroy session", silent);
    const acquiring = new Watched(sem.acquire());
    await time.pass(2_000);
    expect(acquiring.outcome).toMatchObject({ value: { held: true } });
  });

  test("the same session of the user's can be used again", async () => {
    const session = await scene.client.session.create({ behavior: "delete", ttl: "15s" });
    const { sem, slot } = await held({ session });
    await time.pass(1_000);
    scene.consul.deleteKey(`${PREFIX}/${session}`);
    await time.pass(1_000);
    expect(slot.signal.reason).toMatchObject({ reason: "session-invalidated" });
    const next = await sem.acquire();
    expect(next).toMatchObject({ session, held: true });
    expect(next.fencingToken).toBeGreaterThan(slot.fencingToken);
    await sem.release();
    expect(scene.left).toEqual([`session ${session}`]);
  });

  test("the end of the client cleans up what nobody has released", async () => {
    await lost();
    await scene.client.close();
    expect(scene.left).toEqual([]);
  });

  test("an expiry leaves nothing behind once Consul can be reached again", async () => {
    const { sem, slot } = await held();
    scene.always(() => true, silent);
    await time.pass(TTL);
    expect(slot.signal.reason).toMatchObject({ reason: "session-expired" });
    scene.heal();
    await sem.release();
    expect(scene.left).toEqual([]);
  });
});

describe("destroying", () => {
  test("deletes the lock entry, so that another limit can be used", async () => {
    await semaphore().run(() => undefined);
    await semaphore().destroy();
    expect(scene.lock(PREFIX)).toBeUndefined();
    const slot = await semaphore({ limit: 2 }).acquire();
    expect(slot.held).toBe(true);
  });

  test("does nothing where there is none", async () => {
    await semaphore().destroy();
    expect(scene.of("delete lock")).toEqual([]);
  });

  test("is refused while somebody holds a slot, and not for one that is dead", async () => {
    const slot = await scene.newClient().semaphorePrefix(PREFIX, 1).acquire();
    expect(await rejectionOf(semaphore().destroy())).toMatchObject({ code: "SEMAPHORE_IN_USE" });
    scene.consul.destroySession(slot.session);
    await semaphore().destroy();
    expect(scene.lock(PREFIX)).toBeUndefined();
  });

  test("is refused where somebody takes a slot at that moment", async () => {
    await semaphore().run(() => undefined);
    scene.next("delete lock", (request, receiver, consul) => {
      const path = `/v1/kv/${PREFIX}/.lock`;
      const ignore = (): void => undefined;
      consul({ method: "PUT", path, body: "{}" }, { response: ignore, error: ignore });
      return consul(request, receiver);
    });
    expect(await rejectionOf(semaphore().destroy())).toMatchObject({ code: "SEMAPHORE_IN_USE" });
  });

  test("is possible after a loss", async () => {
    const { sem, slot } = await held();
    await time.pass(1_000);
    scene.consul.destroySession(slot.session);
    await time.pass(1_000);
    await sem.destroy();
    expect(scene.lock(PREFIX)).toBeUndefined();
    await sem.release();
  });
});
