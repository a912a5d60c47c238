// A session of the user's: it may come with a slot, and it outlives what hangs on it.
import { beforeEach, describe, expect, test } from "vitest";

import type {
  ConsulClient,
  Semaphore,
  SemaphoreOptions,
  SemaphoreSlot,
} from "../../../src/index.js";
import { Scene } from "../client-of-fake.js";
import { FakeTime } from "../fake-time.js";
import { answering, leaderless, silent } from "../faults.js";
import { valueOf, Watched } from "../outcome.js";

const PREFIX = "jobs";
const FLAGS = 0xe0f69a2baa414de0n;

let time: FakeTime;
let scene: Scene;
let session: string;

beforeEach(async () => {
  time = new FakeTime();
  scene = new Scene();
  session = await scene.client.session.create({ ttl: "15s", behavior: "delete" });
  scene.forget();
});

const semaphore = (
  given: Partial<SemaphoreOptions> = {},
  client: ConsulClient = scene.client,
): Semaphore => client.semaphoreOpts({ prefix: PREFIX, limit: 1, session, ...given });

/** The process that holds with that session ends without a word; its session goes on. */
async function holderRestarts(): Promise<SemaphoreSlot> {
  const before = scene.newClient();
  const slot = await semaphore({}, before).acquire();
  await time.pass(1_000);
  scene.always(({ client }) => client === before, silent);
  return slot;
}

describe("a session that has a slot already", () => {
  test("has it at once after a restart, with a token of its own", async () => {
    const before = await holderRestarts();
    const next = new Watched(scene.newClient().semaphorePrefix(PREFIX, 1).acquire());
    await time.pass(1_000);
    scene.forget();
    const acquiring = new Watched(semaphore().acquire());
    await time.settle();
    const slot = valueOf(acquiring);
    expect(slot).toMatchObject({ session, held: true });
    expect(slot.fencingToken).toBeGreaterThan(before.fencingToken);
    expect(
      scene.sent.filter(({ client }) => client === scene.client).map(({ step }) => step),
    ).toEqual(["renew", "read lock", "enter and read", "rejoin"]);
    expect(scene.lock(PREFIX)).toEqual({ limit: 1, holders: [session] });
    expect(next.outcome).toBeUndefined();
    await slot.release();
    await time.settle();
    expect(valueOf(next).fencingToken).toBeGreaterThan(slot.fencingToken);
  });

  test("keeps the others that hold", async () => {
    const other = await scene.newClient().semaphorePrefix(PREFIX, 2).acquire();
    const before = scene.newClient();
    await semaphore({ limit: 2 }, before).acquire();
    const slot = await semaphore({ limit: 2 }).acquire();
    expect(slot.session).toBe(session);
    expect([...(scene.lock(PREFIX)?.holders ?? [])].sort()).toEqual(
      [other.session, session].sort(),
    );
    expect(other.held).toBe(true);
  });

  test("keeps its slot where the new process fails: another limit", async () => {
    await holderRestarts();
    const acquiring = new Watched(semaphore({ limit: 2 }).acquire());
    await time.settle();
    expect(acquiring.outcome).toMatchObject({ error: { code: "SEMAPHORE_LIMIT_CONFLICT" } });
    expect(scene.lock(PREFIX)?.holders).toEqual([session]);
    expect(scene.contenders(PREFIX)).toMatchObject([{ session }]);
  });

  test("keeps its slot where the new process gives up before it has made sure of it", async () => {
    await holderRestarts();
    scene.always("rejoin", leaderless);
    const stop = new AbortController();
    const acquiring = new Watched(semaphore().acquire(stop.signal));
    await time.pass(5_000);
    stop.abort(new Error("enough"));
    await time.pass(5_000);
    expect(acquiring.outcome).toMatchObject({ error: { message: "enough" } });
    expect(scene.lock(PREFIX)?.holders).toEqual([session]);
    expect(scene.contenders(PREFIX)).toMatchObject([{ session }]);
  });

  test("is a waiter like any other where the slot is lost before it has made sure of it", async () => {
    await holderRestarts();
    scene.next("rejoin", (request, receiver, consul) => {
      const Holders = JSON.stringify({ Limit: 1, Holders: {} });
      const ignore = (): void => undefined;
      const path = `/v1/kv/${PREFIX}/.lock?flags=${FLAGS}`;
      consul({ method: "PUT", path, body: Holders }, { response: ignore, error: ignore });
      return consul(request, receiver);
    });
    const sem = semaphore();
    const acquiring = new Watched(sem.acquire());
    await time.pass(2_000);
    expect(valueOf(acquiring)).toMatchObject({ session, held: true });
    await sem.release();
    expect(scene.left).toEqual([`session ${session}`]);
  });

  /** The lock says that the session holds, but its contender entry is gone: it counts as dead. */
  async function deadHolder(limit: number): Promise<void> {
    const value = JSON.stringify({ Limit: limit, Holders: { [session]: true } });
    await scene.client.kv.put({ key: `${PREFIX}/.lock`, value, flags: FLAGS });
  }

  test("that counted as dead has it again, where nobody has taken it", async () => {
    await deadHolder(1);
    const sem = semaphore();
    const slot = await sem.acquire();
    expect(slot).toMatchObject({ session, held: true });
    await sem.release();
    expect(scene.lock(PREFIX)?.holders).toEqual([]);
  });

  test("that counted as dead has nothing where the new process fails: its revival was ours", async () => {
    await deadHolder(2);
    const acquiring = new Watched(semaphore({ limit: 1 }).acquire());
    await time.settle();
    expect(acquiring.outcome).toMatchObject({ error: { code: "SEMAPHORE_LIMIT_CONFLICT" } });
    expect(scene.lock(PREFIX)).toEqual({ limit: 2, holders: [] });
    expect(scene.contenders(PREFIX)).toEqual([]);
  });
});

describe("a session of the user's", () => {
  test("waits in the queue, is passed a slot on, and gives it back", async () => {
    const held = scene.client.semaphorePrefix(PREFIX, 1);
    await held.acquire();
    const sem = semaphore();
    const acquiring = new Watched(sem.acquire());
    await time.pass(1_000);
    scene.forget();
    await held.release();
    await time.settle();
    expect(valueOf(acquiring)).toMatchObject({ session, held: true });
    expect(scene.of("hand over")).toHaveLength(1);
    await sem.release();
    expect(scene.contenders(PREFIX)).toEqual([]);
    expect(scene.consul.sessions.map(({ id }) => id)).toContain(session);
  });

  test("is renewed as long as something hangs on it, and no longer", async () => {
    const sem = semaphore();
    const slot = await sem.acquire();
    await time.pass(60_000);
    expect(scene.of("renew").length).toBeGreaterThanOrEqual(16);
    expect(slot.held).toBe(true);
    await sem.release();
    scene.forget();
    await time.pass(20_000);
    expect(scene.of("renew")).toEqual([]);
    expect(scene.of("destroy session")).toEqual([]);
  });

  test("that may not be renewed can be used all the same", async () => {
    scene.always("renew", answering(403, "Permission denied"));
    const sem = semaphore();
    const slot = await sem.acquire();
    expect(slot).toMatchObject({ session, held: true });
    await sem.release();
  });

  test("is lost with its end, whatever its TTL", async () => {
    const forever = await scene.client.session.create({ behavior: "delete" });
    const sem = semaphore({ session: forever });
    const slot = await sem.acquire();
    await time.pass(3_600_000);
    expect(slot.held).toBe(true);
    scene.consul.destroySession(forever);
    await time.pass(1_000);
    expect(slot.signal.reason).toMatchObject({ reason: "session-invalidated" });
    await sem.release();
  });

  test("has the slot again at the first look after a loss", async () => {
    const sem = semaphore();
    await sem.acquire();
    await time.pass(1_000);
    scene.consul.deleteKey(`${PREFIX}/.lock`);
    await time.pass(1_000);
    expect(sem.isHeld).toBe(false);
    const looking = new Watched(sem.tryAcquire({ timeout: 0 }));
    await time.pass(500);
    expect(valueOf(looking)).toMatchObject({ session, held: true });
  });

  test("does not enter again while it is still being taken away, at the end of a wait", async () => {
    const other = scene.newClient().semaphorePrefix(PREFIX, 1);
    await other.acquire();
    const acquiring = new Watched(semaphore().acquire({ timeout: "3s" }));
    await time.pass(1_000);
    scene.consul.deleteKey(`${PREFIX}/${session}`);
    // Node's timers leave out what is less than a millisecond, and come as much too early.
    time.block(0.5);
    scene.always("leave", silent);
    scene.forget();
    await other.release();
    await time.pass(10_000);
    expect(acquiring.outcome).toMatchObject({ error: { code: "SEMAPHORE_TIMEOUT" } });
    expect(scene.of("leave").length).toBeGreaterThan(0);
    expect(scene.of("enter and read")).toEqual([]);
  });

  test("leaves its waiter with an error where it ends in the queue", async () => {
    await scene.newClient().semaphorePrefix(PREFIX, 1).acquire();
    const acquiring = new Watched(semaphore().acquire());
    await time.pass(1_000);
    scene.consul.destroySession(session);
    await time.pass(10_000);
    expect(acquiring.outcome).toMatchObject({ error: { code: "SEMAPHORE_CONTENDER_FAILED" } });
    expect(scene.contenders(PREFIX)).toHaveLength(1);
  });
});
