// Whose turn it is, and that nobody who is dead, stopped or of another manner keeps the others.
import { beforeEach, describe, expect, test } from "vitest";

import type { ConsulClient, Semaphore, SemaphoreSlot } from "../../../src/index.js";
import { Scene } from "../client-of-fake.js";
import { FakeTime } from "../fake-time.js";
import { afterRequest, answerSwallowed, leaderless, page, silent, unsent } from "../faults.js";
import { GoContender } from "../go-contender.js";
import { Watched } from "../outcome.js";

const PREFIX = "jobs";

let time: FakeTime;
let scene: Scene;

beforeEach(() => {
  time = new FakeTime();
  scene = new Scene();
});

const semaphoreOf = (client: ConsulClient, limit = 1): Semaphore =>
  client.semaphorePrefix(PREFIX, limit);

/** One that waits, in a process of its own if it is given no client. */
class Waiter {
  readonly client: ConsulClient;
  readonly semaphore: Semaphore;
  readonly acquiring: Watched<SemaphoreSlot>;

  constructor({ client = scene.newClient(), limit = 1, stop = new AbortController() } = {}) {
    this.client = client;
    this.semaphore = semaphoreOf(client, limit);
    this.acquiring = new Watched(this.semaphore.acquire(stop.signal));
  }

  get hasSlot(): boolean {
    const { outcome } = this.acquiring;
    return outcome !== undefined && "value" in outcome;
  }

  /** How long ago it got its slot, at the moment. */
  get gotItAt(): number | undefined {
    return this.hasSlot ? this.acquiring.outcome?.at : undefined;
  }
}

/** So many waiters, one after the other. */
async function waiters(count: number, limit = 1): Promise<readonly [Waiter, ...Waiter[]]> {
  const first = new Waiter({ limit });
  await time.pass(10);
  const others: Waiter[] = [];
  for (let i = 1; i < count; i += 1) {
    others.push(new Waiter({ limit }));
    await time.pass(10);
  }
  return [first, ...others];
}

/** Its process is stopped: nothing comes from it any more but that its session lives. */
function stop({ client }: Waiter): void {
  scene.always((request) => request.client === client && request.step !== "renew", silent);
}

/** When each got its slot, in milliseconds after a moment. */
const delays = (all: readonly Waiter[], since: number): readonly (number | undefined)[] =>
  all.map(({ gotItAt }) => (gotItAt === undefined ? undefined : gotItAt - since));

describe("the queue", () => {
  test("is served in the order of arrival, over all clients", async () => {
    const held = semaphoreOf(scene.client);
    await held.acquire();
    const order: number[] = [];
    const running: Promise<void>[] = [];
    const clients = [scene.client, scene.newClient(), scene.newClient()];
    for (let i = 0; i < 12; i += 1) {
      const client = clients[(i * 7) % 3] ?? scene.client;
      const run = async (): Promise<void> => {
        order.push(i);
        await new Promise((resolve) => setTimeout(resolve, 100));
      };
      running.push(semaphoreOf(client).run(run));
      await time.pass(50);
    }
    await held.release();
    const from = time.now;
    await time.pass(12 * 110);
    await Promise.all(running);
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(time.now - from).toBeLessThan(1_500);
  });

  test("passes each slot on at once, also where several come free at the same time", async () => {
    const held = Array.from({ length: 3 }, () => semaphoreOf(scene.newClient(), 3));
    for (const sem of held) await sem.acquire();
    const all = await waiters(5, 3);
    await time.pass(20_000);
    const since = performance.now();
    await Promise.all(held.map((sem) => sem.release()));
    await time.pass(2_000);
    expect(all.map(({ hasSlot }) => hasSlot)).toEqual([true, true, true, false, false]);
    for (const delay of delays(all.slice(0, 3), since)) expect(delay).toBeLessThan(500);
    expect(scene.lock(PREFIX)?.holders).toHaveLength(3);
  });

  test("closes up where one in the middle gives up", async () => {
    const held = semaphoreOf(scene.newClient());
    await held.acquire();
    const first = new Waiter();
    await time.pass(10);
    const giveUp = new AbortController();
    const second = new Waiter({ stop: giveUp });
    await time.pass(10);
    const third = new Waiter();
    await time.pass(1_000);
    giveUp.abort(new Error("enough"));
    await time.pass(1_000);
    expect(third.hasSlot).toBe(false);
    await held.release();
    await time.settle();
    expect([first.hasSlot, second.hasSlot, third.hasSlot]).toEqual([true, false, false]);
    await first.semaphore.release();
    await time.settle();
    expect(third.hasSlot).toBe(true);
  });

  test("has room for one whose entry was deleted under it: it comes back once it finds out", async () => {
    const held = semaphoreOf(scene.newClient());
    await held.acquire();
    const [first, second] = await waiters(2);
    await time.pass(1_000);
    const entry = scene.contenders(PREFIX)[1];
    scene.consul.deleteKey(entry?.key ?? "");
    await time.pass(2_000);
    await held.release();
    await time.pass(1_000);
    expect([first.hasSlot, second?.hasSlot]).toEqual([false, true]);
    expect(scene.contenders(PREFIX)).toHaveLength(2);
    await second?.semaphore.release();
    await time.pass(1_000);
    expect(first.hasSlot).toBe(true);
  });

  test("has room for one whose session has ended: it comes back with another", async () => {
    const held = semaphoreOf(scene.newClient());
    const { session } = await held.acquire();
    const [first] = await waiters(1);
    await time.pass(1_000);
    const before = scene.consul.sessions.find(({ id }) => id !== session)?.id ?? "";
    scene.consul.destroySession(before);
    await time.pass(10_000);
    expect(scene.contenders(PREFIX)).toHaveLength(2);
    expect(scene.consul.sessions.map(({ id }) => id)).not.toContain(before);
    await held.release();
    await time.pass(1_000);
    expect(first.hasSlot).toBe(true);
  });

  test("goes on where the lock entry is deleted", async () => {
    await semaphoreOf(scene.newClient()).acquire();
    const [first] = await waiters(1);
    await time.pass(1_000);
    scene.consul.deleteKey(`${PREFIX}/.lock`);
    await time.pass(1_000);
    expect(first.hasSlot).toBe(true);
    expect(scene.lock(PREFIX)?.holders).toHaveLength(1);
  });

  test("goes on where Consul's indexes go backwards", async () => {
    const held = semaphoreOf(scene.newClient());
    await held.acquire();
    const [first, second] = await waiters(2);
    await time.pass(1_000);
    scene.consul.turnBackIndexes(5n);
    await time.pass(20_000);
    await held.release();
    await time.pass(1_000);
    expect([first.hasSlot, second?.hasSlot]).toEqual([true, false]);
    await first.semaphore.release();
    await time.pass(1_000);
    expect(second?.hasSlot).toBe(true);
  });

  test.each([
    ["no answer comes", silent],
    ["connections break", unsent],
    ["there is no leader", leaderless],
    ["a proxy is out of order", page(502)],
    ["a proxy answers with a page of status 200", page(200)],
  ])("is kept through an outage, however long, that sessions survive: %s", async (_, fault) => {
    const held = semaphoreOf(scene.newClient());
    await held.acquire();
    const [first, second] = await waiters(2);
    await time.pass(5_000);
    scene.always(({ client, step }) => client === first.client && step !== "renew", fault);
    await time.pass(120_000);
    scene.heal();
    await time.pass(20_000);
    expect(first.acquiring.outcome).toBeUndefined();
    await held.release();
    await time.pass(2_000);
    expect([first.hasSlot, second?.hasSlot]).toEqual([true, false]);
  });

  test.each([
    ["write never arrives", silent],
    ["answer never comes", answerSwallowed],
  ])("is not held up by the waiter before it, whose %s and who gives up", async (_, fault) => {
    const held = semaphoreOf(scene.newClient());
    await held.acquire();
    const controller = new AbortController();
    const first = new Waiter({ stop: controller });
    await time.pass(10);
    const second = new Waiter({ client: first.client });
    await time.pass(1_000);
    scene.next("join", fault);
    await held.release();
    await time.pass(100);
    expect(scene.of("join")).toHaveLength(1);

    controller.abort(new Error("enough"));
    await time.pass(1_000);

    expect(first.acquiring.outcome).toHaveProperty("error");
    expect(second.hasSlot).toBe(true);
    void second.semaphore.release();
    await time.pass(60_000);
    expect(scene.lock(PREFIX)?.holders).toEqual([]);
    expect(scene.left).toEqual([]);
  });

  test("is joined again after an outage that no session survives", async () => {
    const held = semaphoreOf(scene.newClient());
    await held.acquire();
    const [first] = await waiters(1);
    await time.pass(5_000);
    scene.always(({ client }) => client === first.client, silent);
    await time.pass(100_000);
    expect(scene.contenders(PREFIX)).toHaveLength(1);
    scene.heal();
    await time.pass(30_000);
    expect(scene.contenders(PREFIX)).toHaveLength(2);
    await held.release();
    await time.pass(2_000);
    expect(first.hasSlot).toBe(true);
  });

  test("is left by one that sees another limit come up, with nothing of it left", async () => {
    const held = semaphoreOf(scene.newClient());
    await held.acquire();
    const [first] = await waiters(1);
    await time.pass(1_000);
    const { holders = [] } = scene.lock(PREFIX) ?? {};
    const Holders = Object.fromEntries(holders.map((id) => [id, true]));
    await scene.client.kv.put({
      key: `${PREFIX}/.lock`,
      value: JSON.stringify({ Limit: 7, Holders }),
      flags: 0xe0f69a2baa414de0n,
    });
    await time.pass(1_000);
    expect(first.acquiring.outcome).toMatchObject({
      error: { code: "SEMAPHORE_LIMIT_CONFLICT", lockLimit: 7, localLimit: 1 },
    });
    expect(scene.contenders(PREFIX)).toHaveLength(1);
    expect(scene.consul.sessions).toHaveLength(1);
  });

  test("is left by one that sees the lock overwritten, with nothing of it left", async () => {
    await semaphoreOf(scene.newClient()).acquire();
    const [first] = await waiters(1);
    await time.pass(1_000);
    await scene.client.kv.put({ key: `${PREFIX}/.lock`, value: "gone", flags: 0n });
    await time.pass(1_000);
    expect(first.acquiring.outcome).toMatchObject({
      error: { code: "SEMAPHORE_LOCK_DECODING_FAILED" },
    });
    expect(scene.contenders(PREFIX).length).toBeLessThanOrEqual(1);
  });
});

describe("a holder that is dead", () => {
  test.each([1, 3])("has its slot taken within a second, where there are %d", async (limit) => {
    const slots: SemaphoreSlot[] = [];
    for (let i = 0; i < limit; i += 1) {
      slots.push(await semaphoreOf(scene.newClient(), limit).acquire());
    }
    const [first] = await waiters(3, limit);
    await time.pass(100_000);
    const since = performance.now();
    scene.consul.destroySession(slots[0]?.session ?? "");
    await time.pass(1_000);
    expect(delays([first], since)[0]).toBeLessThan(1_000);
    expect(scene.lock(PREFIX)?.holders).toHaveLength(limit);
    expect(scene.lock(PREFIX)?.holders).not.toContain(slots[0]?.session);
  });

  test("has it taken within a second of the end of its session, where its process was killed", async () => {
    const dead = scene.newClient();
    const slot = await semaphoreOf(dead).acquire();
    const [first] = await waiters(1);
    await time.pass(10_000);
    scene.always(({ client }) => client === dead, silent);
    let endedAt: number | undefined;
    scene.consul.onChange = () => {
      const lives = scene.consul.sessions.some(({ id }) => id === slot.session);
      if (!lives) endedAt ??= performance.now();
    };
    await time.pass(40_000);
    expect(endedAt).toBeDefined();
    expect(delays([first], endedAt ?? NaN)[0]).toBeLessThan(1_000);
    // Nobody has had it while the other might still have been at work in it.
    expect(slot.held).toBe(false);
  });

  test("has it taken soon also where the first in line is dead as well", async () => {
    const slot = await semaphoreOf(scene.newClient()).acquire();
    const [first, second] = await waiters(2);
    await time.pass(20_000);
    stop(first);
    const since = performance.now();
    scene.consul.destroySession(slot.session);
    await time.pass(4_000);
    expect(first.hasSlot).toBe(false);
    expect(second?.gotItAt).toBeDefined();
    expect((second?.gotItAt ?? NaN) - since).toBeLessThan(3_000);
  });

  test("has it taken at once by a newcomer, where nobody waits", async () => {
    const slot = await semaphoreOf(scene.newClient()).acquire();
    scene.consul.destroySession(slot.session);
    const newcomer = new Waiter();
    await time.settle();
    expect(newcomer.hasSlot).toBe(true);
    expect(scene.lock(PREFIX)?.holders).toHaveLength(1);
  });

  test("keeps it where its entry is back before anybody takes it", async () => {
    const session = await scene.client.session.create({ behavior: "delete" });
    const client = scene.newClient();
    const sem = client.semaphoreOpts({ prefix: PREFIX, limit: 1, session });
    await sem.acquire();
    // Its holder hears of nothing, or it would give the slot up by itself.
    scene.always(({ client: its }) => its === client, silent);
    const [first] = await waiters(1);
    await time.pass(1_000);
    // It is back between the reading that has seen it dead and the swap that counts on that.
    const key = `${PREFIX}/${session}`;
    scene.next("join", afterRequest("PUT", `/v1/kv/${key}?acquire=${session}`));
    scene.consul.deleteKey(key);
    await time.pass(5_000);
    expect(scene.of("join").length).toBeGreaterThanOrEqual(1);
    expect(first.hasSlot).toBe(false);
    expect(scene.lock(PREFIX)?.holders).toEqual([session]);
    scene.heal();
    await sem.release();
  });
});

describe("a waiter that does not move", () => {
  /** The first in line is stopped, and so may be others. */
  async function stopped(count: number): Promise<Semaphore> {
    const held = semaphoreOf(scene.newClient());
    await held.acquire();
    for (const waiter of await waiters(count)) stop(waiter);
    return held;
  }

  test.each([
    [1, 1_000],
    [2, 1_500],
    [8, 2_500],
    [20, 3_000],
    [30, 6_500],
  ])(
    "delays the next by a bounded time: %d of them by less than %d ms",
    { timeout: 30_000 },
    async (count, ms) => {
      const held = await stopped(count);
      const next = new Waiter();
      await time.pass(20_000);
      const since = performance.now();
      await held.release();
      await time.pass(10_000);
      expect(delays([next], since)[0]).toBeLessThan(ms);
      // It had its chance.
      expect(delays([next], since)[0]).toBeGreaterThanOrEqual(250);
    },
  );

  test("delays the semaphores of a client only once", async () => {
    const held = await stopped(2);
    const ours = [1, 2, 3].map(() => semaphoreOf(scene.client));
    const got: number[] = [];
    const running = ours.map(async (sem, i) => {
      await new Promise((resolve) => setTimeout(resolve, i * 10));
      await sem.run(async () => {
        got.push(time.now);
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      });
    });
    await time.pass(20_000);
    await held.release();
    await time.pass(4_000);
    await Promise.all(running);
    const [first = NaN, second = NaN, third = NaN] = got;
    expect([second - first, third - second]).toEqual([1_000, 1_000]);
    // Nor does it delay the next that come soon.
    const from = time.now;
    await ours[0]?.run(() => undefined);
    expect(time.now).toBe(from);
  });

  test("is watched no longer by one whose own entry is gone", async () => {
    const held = await stopped(2);
    const next = new Waiter();
    await time.pass(100);
    const [watch] = scene.open.filter(
      ({ client, step }) => client === next.client && step === "watch entry",
    );
    expect(watch).toBeDefined();
    scene.consul.deleteKey(scene.contenders(PREFIX).at(-1)?.key ?? "");
    scene.always("enter and read", silent);
    await held.release();
    await time.pass(3_000);
    expect(scene.open).not.toContain(watch);
  });

  test("delays each client behind it only once", async () => {
    const held = await stopped(1);
    const behind = await waiters(4);
    await time.pass(20_000);
    await held.release();
    let from = performance.now();
    for (const waiter of behind) {
      await time.pass(3_000);
      expect(delays([waiter], from)[0]).toBeLessThan(1_000);
      from = performance.now();
      await waiter.semaphore.release();
    }
  });

  test("is not waited for again, also where 20 have stopped: the others go on, five a second", async () => {
    const held = await stopped(20);
    const behind = Array.from({ length: 20 }, () => semaphoreOf(scene.newClient()));
    const got: number[] = [];
    const running = behind.map((sem) => sem.run(() => got.push(time.now)));
    await time.pass(5_000);
    await held.release();
    await time.pass(3_000 + behind.length * 200);
    await Promise.all(running);
    const [first = NaN, last = NaN] = [got.at(0), got.at(-1)];
    expect(got).toHaveLength(behind.length);
    expect(last - first).toBeLessThan(behind.length * 200);
  });

  test("may still take a slot when it moves again, and is waited for again then", async () => {
    const held = semaphoreOf(scene.newClient());
    await held.acquire();
    const [first, second, third] = await waiters(3);
    stop(first);
    await time.pass(20_000);
    await held.release();
    await time.pass(3_000);
    expect(second?.hasSlot).toBe(true);
    scene.heal();
    await time.pass(20_000);
    await second?.semaphore.release();
    await time.pass(3_000);
    // One of the two has it, and the other gets it next.
    expect([first.hasSlot, third?.hasSlot].filter(Boolean)).toHaveLength(1);
    const [now, then] = first.hasSlot ? [first, third] : [third, first];
    await now?.semaphore.release();
    await time.pass(3_000);
    expect(then?.hasSlot).toBe(true);
  });
});

describe("a contender of Go's manner", () => {
  const enter = async (limit = 1): Promise<GoContender> =>
    await GoContender.enter(scene.newClient(), PREFIX, limit);

  test("that comes first is let go first, and only costs time", async () => {
    const held = semaphoreOf(scene.newClient());
    await held.acquire();
    const go = await enter();
    const goJoins = new Watched(go.join());
    const [next, after] = await waiters(2);
    await time.pass(20_000);
    await held.release();
    await time.pass(1_000);
    expect(goJoins.outcome).toBeDefined();
    expect([next.hasSlot, after?.hasSlot]).toEqual([false, false]);
    // Its entry has not changed: those behind it find out by the lock.
    await time.pass(20_000);
    const since = performance.now();
    await go.leave();
    await time.pass(3_000);
    expect(delays([next], since)[0]).toBeLessThan(1_000);
    expect(scene.lock(PREFIX)?.holders).toHaveLength(1);
    const then = performance.now();
    await next.semaphore.release();
    await time.pass(1_000);
    expect(delays([after ?? next], then)[0]).toBeLessThan(100);
  });

  test("that takes its time is passed by", async () => {
    const held = semaphoreOf(scene.newClient());
    await held.acquire();
    const go = await enter();
    const [next] = await waiters(1);
    await time.pass(20_000);
    const since = performance.now();
    await held.release();
    await time.pass(2_000);
    expect(delays([next], since)[0]).toBeLessThan(700);
    expect(await go.tryToJoin()).toBe(false);
    await next.semaphore.release();
    expect(await go.tryToJoin()).toBe(true);
    await go.leave();
  });

  test("that barges in has the slot, and the queue goes on after it", async () => {
    const held = semaphoreOf(scene.newClient());
    await held.acquire();
    const [next] = await waiters(1);
    await time.pass(5_000);
    const go = await enter();
    // It is awake at the moment of the release.
    const goJoins = new Watched(go.join());
    scene.next("join", afterRequest("GET", "/v1/agent/self"));
    await held.release();
    await time.pass(2_000);
    expect(goJoins.outcome !== undefined || next.hasSlot).toBe(true);
    expect(scene.lock(PREFIX)?.holders).toHaveLength(1);
    await (next.hasSlot ? next.semaphore.release() : go.leave());
    await time.pass(2_000);
    expect(goJoins.outcome !== undefined && next.hasSlot).toBe(true);
    if (scene.lock(PREFIX)?.holders.includes(go.session) === true) await go.leave();
  });

  test("is never one too many, in a crowd of both kinds", async () => {
    let inside = 0;
    let most = 0;
    let turns = 0;
    const work = async (ms: number): Promise<void> => {
      inside += 1;
      turns += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => setTimeout(resolve, ms));
      inside -= 1;
    };
    const goTurn = async (ms: number): Promise<void> => {
      const go = await enter(2);
      await go.join();
      await work(ms);
      await go.leave();
    };
    const clients = [scene.client, scene.newClient(), scene.newClient()];
    const running: Promise<void>[] = [];
    for (let i = 0; i < 40; i += 1) {
      const client = clients[i % 3] ?? scene.client;
      const ms = 50 + ((i * 37) % 150);
      running.push(i % 4 === 3 ? goTurn(ms) : semaphoreOf(client, 2).run(() => work(ms)));
      await time.pass(20);
    }
    await time.pass(60_000);
    await Promise.all(running);
    expect({ most, turns }).toEqual({ most: 2, turns: 40 });
    await time.pass(10_000);
    expect(scene.left).toEqual([]);
  });
});
