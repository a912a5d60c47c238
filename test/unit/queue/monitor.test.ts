// How a holder hears that its slot is lost, and of what it takes no notice.
import { beforeEach, describe, expect, test } from "vitest";

import {
  SemaphoreLostError,
  type Semaphore,
  type SemaphoreOptions,
  type SemaphoreSlot,
} from "../../../src/index.js";
import { Scene } from "../client-of-fake.js";
import { FakeTime } from "../fake-time.js";
import {
  answering,
  answerLate,
  forbidden,
  leaderless,
  page,
  silent,
  type Fault,
  unsent,
} from "../faults.js";
import type { Sent } from "../sent.js";

const PREFIX = "jobs";
const LOCK = `${PREFIX}/.lock`;
const TTL = 15_000;

let time: FakeTime;
let scene: Scene;

beforeEach(() => {
  time = new FakeTime();
  scene = new Scene();
});

const semaphore = (given: Partial<SemaphoreOptions> = {}): Semaphore =>
  scene.client.semaphoreOpts({ prefix: PREFIX, limit: 1, ...given });

/** When the slot is lost, in milliseconds from now, and how. */
function lossOf(slot: SemaphoreSlot): { at: number | undefined; error: unknown } {
  const since = performance.now();
  const loss: { at: number | undefined; error: unknown } = { at: undefined, error: undefined };
  slot.signal.addEventListener("abort", () => {
    loss.at = performance.now() - since;
    loss.error = slot.signal.reason;
  });
  return loss;
}

/** A semaphore whose slot has been held for a while. */
async function held(
  given: Partial<SemaphoreOptions> = {},
): Promise<{ readonly sem: Semaphore; readonly slot: SemaphoreSlot }> {
  const sem = semaphore(given);
  const slot = await sem.acquire();
  await time.pass(3_000);
  return { sem, slot };
}

/** The readings of a slot that is held. */
const isReading = ({ method, path }: Sent): boolean =>
  method === "GET" && path.startsWith("/v1/kv");

const lockOf = (...holders: string[]): string =>
  JSON.stringify({ Limit: 1, Holders: Object.fromEntries(holders.map((id) => [id, true])) });

describe("a slot is lost within a second", () => {
  const deeds: readonly [string, string, (slot: SemaphoreSlot) => unknown][] = [
    [
      "its session ends",
      "session-invalidated",
      ({ session }) => {
        scene.consul.destroySession(session);
      },
    ],
    [
      "its contender entry is deleted",
      "session-invalidated",
      ({ session }) => {
        scene.consul.deleteKey(`${PREFIX}/${session}`);
      },
    ],
    [
      "its contender entry is unlocked",
      "session-invalidated",
      ({ session }) => scene.client.kv.release({ key: `${PREFIX}/${session}`, session }),
    ],
    [
      "somebody takes it out of the holders",
      "holder-removed",
      () => scene.client.kv.put({ key: LOCK, flags: FLAGS, value: lockOf("another") }),
    ],
    [
      "somebody deletes the lock",
      "holder-removed",
      () => {
        scene.consul.deleteKey(LOCK);
      },
    ],
    [
      "somebody deletes everything",
      "holder-removed",
      ({ session }) => {
        scene.consul.deleteKey(LOCK);
        scene.consul.deleteKey(`${PREFIX}/${session}`);
      },
    ],
    [
      "somebody overwrites the lock with a single lock",
      "holder-removed",
      () => scene.client.kv.put({ key: LOCK, flags: 0x2ddccbc058a50c18n, value: "" }),
    ],
    [
      "somebody overwrites the lock with garbage",
      "holder-removed",
      () => scene.client.kv.put({ key: LOCK, flags: FLAGS, value: "gone" }),
    ],
  ];
  const FLAGS = 0xe0f69a2baa414de0n;

  describe.each([
    ["that has just come", 0],
    ["that has been held for a while", 100_000],
  ])("%s", (_, heldFor) => {
    test.each(deeds)("where %s: %s", async (_deed, reason, deed) => {
      const sem = semaphore();
      const slot = await sem.acquire();
      await time.pass(heldFor);
      const loss = lossOf(slot);
      await deed(slot);
      await time.pass(1_000);
      expect(loss.at).toBeLessThan(1_000);
      expect(loss.error).toBeInstanceOf(SemaphoreLostError);
      expect(loss.error).toMatchObject({ reason });
      await sem.release();
    });
  });

  test.each(deeds)(
    "also if the reading that confirms it fails once, where %s",
    async (_, reason, deed) => {
      const { sem, slot } = await held({ sessionTTL: "60s" });
      const loss = lossOf(slot);
      scene.next("read prefix", leaderless);
      await deed(slot);
      await time.pass(1_000);
      expect(loss.error).toMatchObject({ reason });
      await sem.release();
    },
  );

  test("that is one of many of a client, and none of the others is", async () => {
    const sems = Array.from({ length: 5 }, () => semaphore({ limit: 5 }));
    const slots = await Promise.all(sems.map((sem) => sem.acquire()));
    await time.pass(3_000);
    const losses = slots.map(lossOf);
    scene.consul.destroySession(slots[2]?.session ?? "");
    await time.pass(1_000);
    expect(losses.map(({ at }) => at !== undefined)).toEqual([false, false, true, false, false]);
    expect(losses[2]?.error).toMatchObject({ reason: "session-invalidated" });
    await sems[2]?.release();
  });

  test("also where the query for an earlier slot of the client never has an answer", async () => {
    const session = await scene.client.session.create({ behavior: "delete" });
    const earlier = semaphore({ limit: 2, session });
    const sem = semaphore({ limit: 2 });
    await earlier.acquire();
    await time.pass(500);
    scene.next("watch lock", silent);
    await time.pass(3_000);
    const slot = await sem.acquire();
    await time.pass(1_000);
    const loss = lossOf(slot);
    const value = JSON.stringify({ Limit: 2, Holders: { [session]: true } });
    await scene.client.kv.put({ key: LOCK, flags: FLAGS, value });
    await time.pass(1_000);
    expect(loss.at).toBeLessThan(1_000);
    expect(loss.error).toMatchObject({ reason: "holder-removed" });
    await sem.release();
    await earlier.release();
  });

  test("also while waiters of the same client need the connections", async () => {
    const { sem, slot } = await held();
    void semaphore()
      .acquire()
      .catch(() => undefined);
    await time.pass(20_000);
    const loss = lossOf(slot);
    scene.consul.deleteKey(`${PREFIX}/${slot.session}`);
    await time.pass(1_000);
    expect(loss.at).toBeLessThan(1_000);
    await sem.release();
  });
});

describe("a slot is not lost", () => {
  test(
    "for as long as it is wanted, however much changes around it",
    { timeout: 30_000 },
    async () => {
      const { slot } = await held({ limit: 3 });
      const others = scene.newClient();
      for (let turn = 0; turn < 50; turn += 1) {
        await others.semaphorePrefix(PREFIX, 3).run(() => time.pass(500));
        await others.kv.put({ key: `${PREFIX}/${slot.session}/below`, value: `${turn}` });
        await time.pass(60_000);
      }
      expect(slot.held).toBe(true);
    },
  );

  test("where its own entry is rewritten and stays locked", async () => {
    const { slot } = await held();
    const { session } = slot;
    for (let turn = 0; turn < 5; turn += 1) {
      await scene.client.kv.acquire({ key: `${PREFIX}/${session}`, session, value: `${turn}` });
      await time.pass(700);
    }
    expect(slot.held).toBe(true);
  });

  test("by a reading that was asked for before it was had", async () => {
    const other = await scene.newClient().semaphorePrefix(PREFIX, 1).acquire();
    const sem = semaphore();
    const acquiring = sem.acquire();
    await time.pass(1_000);
    // What this shows is answered long after the slot has changed hands.
    scene.next("read prefix", answerLate(500));
    const inspecting = sem.inspect();
    await other.release();
    const slot = await acquiring;
    await time.pass(2_000);
    expect((await inspecting).holders).toMatchObject([{ session: other.session }]);
    expect(slot.held).toBe(true);
  });

  test("by Consul's index going backwards", async () => {
    const { slot } = await held();
    scene.consul.turnBackIndexes(5n);
    await time.pass(60_000);
    expect(slot.held).toBe(true);
    const loss = lossOf(slot);
    scene.consul.deleteKey(LOCK);
    await time.pass(1_000);
    expect(loss.at).toBeLessThan(1_000);
  });
});

describe("readings that fail while the session is renewed", () => {
  const transient: readonly [string, Fault][] = [
    ["no answer comes", silent],
    ["there is no leader", leaderless],
    ["there are too many connections", answering(429)],
    ["a proxy is out of order", answering(502, "Bad Gateway")],
    ["a proxy answers with a page", page(200)],
    ["a proxy answers that there is no page", page(404)],
  ];

  test.each(transient)("cost nothing for a TTL, where %s", async (_, fault) => {
    for (const heldFor of [0, 3_000, 7_000]) {
      const { sem, slot } = await held();
      await time.pass(heldFor);
      scene.always(isReading, fault);
      await time.pass(TTL);
      scene.heal();
      await time.pass(4 * TTL);
      expect(slot.held).toBe(true);
      await sem.release();
    }
  });

  test("are sent again where no answer comes, a quarter of a TTL after it was due", async () => {
    await held();
    await time.pass(TTL);
    scene.always("watch lock", silent);
    const before = scene.of("watch lock").length;
    await time.pass(2 * TTL);
    const [first, second] = scene.of("watch lock").slice(before);
    // Consul adds up to a sixteenth to the wait.
    const due = (TTL / 2) * (1 + 1 / 16);
    const pause = (second?.at ?? 0) - (first?.at ?? 0) - due - TTL / 4;
    expect(pause).toBeGreaterThanOrEqual(0);
    expect(pause).toBeLessThan(100);
  });

  test("cost nothing for two TTLs where each fails at once", async () => {
    const { slot } = await held();
    scene.always(isReading, leaderless);
    await time.pass(2 * TTL - 1_000);
    scene.heal();
    await time.pass(4 * TTL);
    expect(slot.held).toBe(true);
  });

  test.each(transient)("cost the slot after that, where %s", async (_, fault) => {
    const { sem, slot } = await held();
    const loss = lossOf(slot);
    scene.always(isReading, fault);
    await time.pass(4 * TTL);
    expect(loss.error).toMatchObject({
      reason: "monitor-failed",
      cause: { code: "SEMAPHORE_READ_FAILED" },
    });
    expect(loss.at).toBeGreaterThanOrEqual(2 * TTL - 1_000);
    scene.heal();
    await sem.release();
  });

  test("cost the slot also while others of the client come and go", async () => {
    const { sem, slot } = await held({ limit: 2 });
    const loss = lossOf(slot);
    scene.always("watch lock", silent);
    const other = semaphore({ limit: 2 });
    for (let turn = 0; turn < 100 && slot.held; turn += 1) {
      await other.run(() => time.pass(500));
      await time.pass(100);
    }
    expect(loss.error).toMatchObject({ reason: "monitor-failed" });
    expect(loss.at).toBeGreaterThanOrEqual(2 * TTL - 1_000);
    expect(loss.at).toBeLessThan(3 * TTL);
    scene.heal();
    await sem.release();
  });

  test("are forgotten after one that succeeds", async () => {
    const { slot } = await held();
    for (let turn = 0; turn < 5; turn += 1) {
      scene.always(isReading, leaderless);
      await time.pass(2 * TTL - 1_000);
      scene.heal();
      await time.pass(2_000);
    }
    expect(slot.held).toBe(true);
  });

  test("are repeated as often as was asked for, after the pause that was asked for", async () => {
    const { sem, slot } = await held({ monitorRetries: 2, monitorRetryTime: "3s" });
    const loss = lossOf(slot);
    scene.forget();
    scene.always(isReading, leaderless);
    await time.pass(4 * TTL);
    expect(loss.error).toMatchObject({ reason: "monitor-failed" });
    const [last = NaN, second = NaN, first = NaN] = scene
      .of("watch lock")
      .map(({ at }) => at)
      .toReversed();
    expect([last - second, second - first]).toEqual([3_000, 3_000]);
    scene.heal();
    await sem.release();
  });

  test("are repeated from the first on where the session has no TTL", async () => {
    const session = await scene.client.session.create({ behavior: "delete" });
    const { sem, slot } = await held({ session, monitorRetries: 2, monitorRetryTime: "1s" });
    const loss = lossOf(slot);
    scene.always(isReading, leaderless);
    // Something has to change, or the query that is open shows nothing.
    await scene.client.kv.acquire({ key: `${PREFIX}/${session}`, session, value: "x" });
    await time.pass(1_999);
    expect(loss.at).toBeUndefined();
    await time.pass(1);
    expect(loss.error).toMatchObject({ reason: "monitor-failed" });
    scene.heal();
    await sem.release();
  });

  test.each([
    ["at once", leaderless, 0],
    // They may be some that the agent does not let in, so that looks replace the query.
    ["at the second connection that is cut", unsent, 2_000],
  ])("cost a slot without a TTL %s where there are no retries", async (_, fault, within) => {
    const session = await scene.client.session.create({ behavior: "delete" });
    const { sem, slot } = await held({ session });
    const loss = lossOf(slot);
    scene.always(isReading, fault);
    await scene.client.kv.acquire({ key: `${PREFIX}/${session}`, session, value: "x" });
    await time.pass(2_000);
    expect(loss.error).toMatchObject({ reason: "monitor-failed" });
    expect(loss.at).toBeLessThanOrEqual(within);
    scene.heal();
    await sem.release();
  });

  test.each([
    ["of a proxy with a page of status 404", page(404)],
    ["of a proxy with a page of status 403", page(403)],
    ["of a proxy with a page of status 204", page(204)],
    ["of a proxy with a page of status 408", page(408)],
    ["of a proxy with a page of status 200", page(200)],
    ["of a proxy that wants other credentials", page(401)],
    ["of Consul that refuses for a while", forbidden],
  ])("for 20 s cost no slot: answers %s", async (_, fault) => {
    for (const given of [{}, { session: await scene.client.session.create({}) }]) {
      const { sem, slot } = await held(given);
      scene.always(isReading, fault);
      await time.pass(20_000);
      expect(slot.held).toBe(true);
      scene.heal();
      await time.pass(60_000);
      expect(slot.held).toBe(true);
      await sem.release();
    }
  });

  test("cost the slot in the end where Consul refuses, whatever the retries", async () => {
    const { sem, slot } = await held({ monitorRetries: 5 });
    const loss = lossOf(slot);
    scene.always(isReading, forbidden);
    await time.pass(1.5 * TTL);
    expect(loss.error).toBeUndefined();
    await time.pass(TTL);
    expect(loss.error).toMatchObject({
      reason: "monitor-failed",
      cause: { cause: { status: 403 } },
    });
    expect(loss.error).toHaveProperty("message", expect.stringContaining("Permission denied"));
    scene.heal();
    await sem.release();
  });
});

describe("the watch of a slot", () => {
  test.each([
    ["half of the TTL", "10s", "5000ms"],
    ["25 s with a long TTL", "1h", "25000ms"],
  ])("is a blocking query of %s", async (_, sessionTTL, wait) => {
    const { sem } = await held({ sessionTTL });
    expect(scene.open.map(({ query }) => query.get("wait"))).toEqual([wait, wait]);
    await sem.release();
  });

  test.each([
    ["before the first reading", 50],
    ["during a blocking query", 5_000],
  ])("ends with the slot %s, and leaves nothing behind", async (_, ms) => {
    const sem = semaphore();
    await sem.acquire();
    await time.pass(ms);
    await sem.release();
    await time.settle();
    expect(scene.open).toEqual([]);
    scene.forget();
    await time.pass(60_000);
    expect(scene.sent.filter(isReading)).toEqual([]);
  });

  test("ends with the slot during a pause after a failure", async () => {
    const { sem } = await held({ monitorRetries: 1, monitorRetryTime: "10m" });
    scene.always(isReading, leaderless);
    await time.pass(2.5 * TTL);
    scene.heal();
    scene.forget();
    await sem.release();
    await time.pass(60_000);
    expect(scene.sent.filter(isReading)).toEqual([]);
  });

  test("has nothing to say of a slot that the clock has ended already", async () => {
    const { sem, slot } = await held();
    const { signal } = slot;
    scene.consul.deleteKey(LOCK);
    // The answer is read after the event loop was blocked, before any timer has run.
    time.block(TTL);
    await time.pass(1_000);
    expect(signal.reason).toMatchObject({ reason: "session-expired" });
    await sem.release();
  });
});
