// What waiting costs, one client and a whole fleet: a few connections, one or two blocking queries a
// client, a few requests a turn. And in which order those who wait are served.
import { setTimeout as pause } from "node:timers/promises";

import { expect, test, vi } from "vitest";

import type { ConsulClient, Semaphore, SemaphoreSlot } from "../../src/index.js";
import {
  connect,
  consul,
  eventually,
  freshPrefix,
  lockBelow,
  makeSession,
  scene,
  sessionsNamed,
} from "./fixture.js";
import { REQUESTS, type Fate, type Proxy, type SeenRequest } from "./proxy.js";

const FLAGS = "16210313421097356768";

/** How long a free slot is left to a waiter that does not move, at least. */
const SHORTEST_GRACE_MS = 200;

async function waitersOf(observer: Semaphore): Promise<string[]> {
  return (await observer.inspect()).waiters.map(({ session }) => session);
}

async function inQueue(observer: Semaphore, count: number): Promise<readonly string[]> {
  return await eventually(
    () => waitersOf(observer),
    (waiters) => waiters.length === count,
  );
}

async function underWay(proxy: Proxy, count: number): Promise<void> {
  await eventually(
    () => Promise.resolve(proxy.underWay("blocking query")),
    (queries) => queries === count,
  );
}

/**
 * For how long others go first that have passed a waiter over and over: 5 s, and twice as long each
 * time. It takes some 300 of the 500 ms in which it is waited for to come back, and on a busy machine
 * it may miss them.
 */
const FOUR_PASSES_MS = 75_000;

/** How late something may come on a busy machine. */
const LATE_MS = 500;

/** How many blocking queries one client has on one prefix, whatever it has there. */
const MOST_QUERIES = 2;

/** A crowd takes some seconds, and minutes where others keep the machine busy. */
const CROWD_MS = 300_000;

test(
  "300 contenders of one client need few connections and no more than two blocking queries",
  { timeout: CROWD_MS },
  async () => {
    const COUNT = 300;
    const WAVE = 50;
    const LIMIT = 3;
    const { prefix, proxy, behind, direct } = await scene();
    const occupants = Array.from({ length: LIMIT }, () => direct.semaphorePrefix(prefix, LIMIT));
    for (const occupant of occupants) await occupant.acquire();
    const observer = direct.semaphorePrefix(prefix, LIMIT);
    let inside = 0;
    let mostInside = 0;
    let full: () => void = () => undefined;
    const onceFull = new Promise<void>((resolve) => (full = resolve));

    const takeTurn = (): Promise<bigint> =>
      // With the default TTL there would be more renewals than anything else.
      behind
        .semaphoreOpts({ prefix, limit: LIMIT, sessionTTL: "2m" })
        .run(async ({ fencingToken }) => {
          inside += 1;
          mostInside = Math.max(mostInside, inside);
          // The first ones stay until all slots are taken.
          if (inside === LIMIT) full();
          await onceFull;
          // And all stay long enough for one more to come, if it may.
          await behind.kv.get(`${prefix}/.lock`);
          inside -= 1;
          return fencingToken;
        });
    const turns: Promise<bigint>[] = [];
    while (turns.length < COUNT) {
      // Not all at once: on a slow machine some would not get into the queue in time.
      turns.push(...Array.from({ length: WAVE }, takeTurn));
      await inQueue(observer, turns.length);
    }
    await Promise.all(occupants.map((occupant) => occupant.release()));

    const tokens = await Promise.all(turns);
    expect(new Set(tokens).size).toBe(COUNT);
    expect(mostInside).toBe(LIMIT);
    expect(proxy.mostConnections).toBeLessThanOrEqual(10);
    expect(proxy.mostBlockingQueries).toBeLessThanOrEqual(MOST_QUERIES);
    expect(await observer.inspect()).toMatchObject({ holders: [], waiters: [] });
  },
);

test("a holder and waiters of one client have two blocking queries, from the first to the last", async () => {
  const { prefix, proxy, behind, direct } = await scene();
  const observer = direct.semaphorePrefix(prefix, 1);
  const options = { prefix, limit: 1, sessionName: prefix };
  const holder = behind.semaphoreOpts(options);
  await holder.acquire();
  expect(proxy.seen("blocking query")).toEqual([]);
  // On the lock entry, and on its own.
  await underWay(proxy, MOST_QUERIES);

  const waiters = Array.from({ length: 3 }, () => behind.semaphoreOpts(options));
  const attempts = waiters.map((waiter) => waiter.acquire());
  await inQueue(observer, waiters.length);
  // The waiters need one on the lock entry, so that the holder's entry is checked without one.
  const checks = proxy.seen("holders check").length;
  await eventually(
    () => Promise.resolve(proxy.seen("holders check").length),
    (count) => count >= checks + 2,
  );
  await underWay(proxy, MOST_QUERIES);

  await holder.release();
  // It goes on for those who are there still,
  await Promise.race(attempts);
  await underWay(proxy, MOST_QUERIES);
  await Promise.all(
    attempts.map(async (attempt) => {
      await (await attempt).release();
    }),
  );
  const lastReleasedAt = performance.now();
  expect(proxy.mostBlockingQueries).toBe(MOST_QUERIES);

  // and for nobody after that, not even for the sessions that are kept a few seconds longer.
  await underWay(proxy, 0);
  await consul("PUT", `/v1/kv/${prefix}/another`, "a change that nobody is to hear of");
  await eventually(
    () => sessionsNamed(prefix),
    (sessions) => sessions.length === 0,
  );
  const LINGER_MS = 1_000;
  const reads = proxy.requests.filter(({ path }) => !path.startsWith("/v1/session/"));
  expect(reads.at(-1)?.at).toBeLessThan(lastReleasedAt + LINGER_MS);
});

test("a waiter is handed the slot by a release of its own client, in the same write", async () => {
  const { prefix, proxy, behind } = await scene();
  const [one, two] = [behind.semaphorePrefix(prefix, 1), behind.semaphorePrefix(prefix, 1)];
  const first = await one.acquire();
  const attempt = two.acquire();
  await inQueue(one, 1);
  // The holder watches the lock entry, and the waiter does.
  await eventually(
    () => Promise.resolve(pendingOn(proxy, `${prefix}/.lock`)),
    (queries) => queries === 2,
  );

  await one.release();

  const second = await attempt;
  expect(second.fencingToken).toBeGreaterThan(first.fencingToken);
  expect(proxy.seen("handover")).toHaveLength(1);
  expect(proxy.seen("join in turn")).toEqual([]);
  expect(await lockBelow(prefix)).toEqual({
    value: `{"Limit":1,"Holders":{"${second.session}":true}}`,
    modifyIndex: second.fencingToken,
  });
  await two.release();
});

/** How many blocking queries on a key wait for their answers. */
function pendingOn(proxy: Proxy, key: string): number {
  return proxy.pending("blocking query").filter(({ path }) => path.startsWith(`/v1/kv/${key}?`))
    .length;
}

test("each waiter waits for the one right ahead, and the first in line for the lock entry", async () => {
  const { prefix, proxy, direct } = await scene();
  const occupant = direct.semaphorePrefix(prefix, 1);
  await occupant.acquire();
  const waiters: Semaphore[] = [];
  const attempts: Promise<SemaphoreSlot>[] = [];
  while (waiters.length < 4) {
    const waiter = connect({ address: proxy.address }).semaphorePrefix(prefix, 1);
    waiters.push(waiter);
    attempts.push(waiter.acquire());
    await inQueue(occupant, waiters.length);
  }
  const [first = "", second = "", third = ""] = await waitersOf(occupant);

  // Those behind look up now and then, in between.
  const keys = [".lock", first, second, third];
  await eventually(
    () => Promise.resolve(keys.map((key) => pendingOn(proxy, `${prefix}/${key}`))),
    (queries) => queries.every((count) => count === 1),
  );
  expect(proxy.underWay("blocking query")).toBe(keys.length);
  // Whoever came to an empty queue read the prefix before it had its entry; all read it with that.
  const readings = proxy.seen("prefix reading").length;
  expect(readings).toBeLessThanOrEqual(2 * waiters.length);

  await occupant.release();
  for (const [place, attempt] of attempts.entries()) {
    const slot = await attempt;
    // The one behind it has seen that its turn has come, and not just its end.
    if (place + 1 < attempts.length) {
      await eventually(
        () => Promise.resolve(pendingOn(proxy, `${prefix}/.lock`)),
        (queries) => queries > 0,
      );
    }
    // Those further back look up meanwhile, for holders that are dead. One that has left is not.
    await pause(300);
    await slot.release();
  }

  // No turn has cost another reading.
  const inTheQueue = proxy.seen("prefix reading").filter((request) => !REQUESTS.leave(request));
  expect(inTheQueue).toHaveLength(readings);
  expect(proxy.seen("join in turn")).toHaveLength(waiters.length);
});

test("who was slow once, and is behind one that is dead, is not passed for ever", async () => {
  const { prefix, proxy, behind, direct } = await scene();
  const occupant = connect().semaphorePrefix(prefix, 1);
  await occupant.acquire();
  const dead = await makeSession();
  await consul("PUT", `/v1/kv/${prefix}/${dead}?acquire=${dead}&flags=${FLAGS}`);
  const slow = behind.semaphorePrefix(prefix, 1);
  const slowTurn = takeTurn(slow);
  await inQueue(occupant, 2);
  const busy = direct.semaphorePrefix(prefix, 1);
  const firstTurn = takeTurn(busy);
  await inQueue(occupant, 3);

  // Its network is silent when it could have its turn, so that another goes first.
  let recover: () => void = () => undefined;
  const recovered = new Promise<void>((resolve) => (recover = resolve));
  proxy.decide = async (): Promise<Fate> => {
    await recovered;
    return "pass";
  };
  await occupant.release();
  await firstTurn;
  proxy.heal();
  recover();
  const recoveredAt = performance.now();
  const served = vi.fn();
  const over = slowTurn.then(served);
  over.catch(() => undefined);
  // The other comes again and again, and leaves no time in between.
  while (served.mock.calls.length === 0 && performance.now() < recoveredAt + FOUR_PASSES_MS) {
    await busy.run(() => pause(20));
  }

  expect(served).toHaveBeenCalled();
  await over;
});

test("who leaves the queue is in nobody's way", async () => {
  const { prefix, behind, direct } = await scene();
  const [occupant, firstInLine] = [
    direct.semaphorePrefix(prefix, 1),
    connect().semaphorePrefix(prefix, 1),
  ];
  await occupant.acquire();
  const firstTurn = firstInLine.acquire();
  await inQueue(occupant, 1);
  const controller = new AbortController();
  const leaving = connect().semaphorePrefix(prefix, 1).acquire(controller.signal);
  leaving.catch(() => undefined);
  await inQueue(occupant, 2);
  const last = behind.semaphorePrefix(prefix, 1);
  const lastTurn = last.acquire();
  await inQueue(occupant, 3);

  controller.abort();
  await expect(leaving).rejects.toMatchObject({ name: "AbortError" });
  await inQueue(occupant, 2);
  await occupant.release();
  await (await firstTurn).release();
  const releasedAt = performance.now();
  expect((await lastTurn).held).toBe(true);

  expect(performance.now() - releasedAt).toBeLessThan(SHORTEST_GRACE_MS);
  await last.release();
});

test("the slot of a holder that has died is taken within a second", async () => {
  const ROUNDS = 5;
  for (let round = 0; round < ROUNDS; round += 1) {
    const prefix = freshPrefix();
    const holder = await connect().semaphorePrefix(prefix, 1).acquire();
    const waiter = connect().semaphorePrefix(prefix, 1);
    const attempt = waiter.acquire();
    await inQueue(waiter, 1);
    // At any time between two checks.
    await pause(1_000 * Math.random());

    await consul("PUT", `/v1/session/destroy/${holder.session}`);
    const diedAt = performance.now();
    expect((await attempt).held).toBe(true);

    expect(performance.now() - diedAt).toBeLessThan(1_000 + LATE_MS);
    await waiter.release();
  }
});

test("and by the first in line, also where the second is the first to notice", async () => {
  const { prefix, proxy, behind, direct } = await scene();
  const holder = await connect().semaphorePrefix(prefix, 1).acquire();
  const [first, second] = [behind.semaphorePrefix(prefix, 1), direct.semaphorePrefix(prefix, 1)];
  const firstTurn = takeTurn(first);
  await inQueue(first, 1);
  await pause(500);
  const secondTurn = takeTurn(second);
  await inQueue(first, 2);
  // The first in line has only just seen that the holder is alive; the second is about to look.
  await eventually(
    () => Promise.resolve(proxy.seen("holders check").length),
    (count) => count === 2,
  );

  await consul("PUT", `/v1/session/destroy/${holder.session}`);

  expect(await firstTurn).toBeLessThan(await secondTurn);
});

/** Resolves to the fencing token of the slot. */
async function takeTurn(sem: Semaphore): Promise<bigint> {
  return await sem.run(({ fencingToken }) => fencingToken);
}

interface Served {
  readonly session: string;
  readonly fencingToken: bigint;
  readonly at: number;
}

/** Waits in the queue, and gives the slot back at once. */
async function passThrough(sem: Semaphore): Promise<Served> {
  return await sem.run(({ session, fencingToken }) => ({
    session,
    fencingToken,
    at: performance.now(),
  }));
}

/** So many waiters of each client, all on their way at the same time. */
function passAllThrough(
  clients: readonly ConsulClient[],
  prefix: string,
  { limit, each }: { readonly limit: number; readonly each: number },
): Promise<Served>[] {
  return Array.from({ length: each }, () => clients)
    .flat()
    .map((client) => passThrough(client.semaphorePrefix(prefix, limit)));
}

function inOrderOfTokens(served: readonly Served[]): readonly Served[] {
  return served.toSorted((a, b) => Number(a.fencingToken - b.fencingToken));
}

interface Service {
  /** The sessions that wait, in the order of their arrival. */
  readonly arrivals: readonly string[];
  /** When the first slot came free. */
  readonly begunAt: number;
  readonly served: readonly Served[];
}

/** In which order those who wait at two clients are served, each by its place in the queue. */
async function serve(limit: number, each: number): Promise<Service> {
  const prefix = freshPrefix();
  const [occupier, ...clients] = [connect(), connect(), connect()];
  const occupants = Array.from({ length: limit }, () => occupier.semaphorePrefix(prefix, limit));
  for (const occupant of occupants) await occupant.acquire();
  const observer = occupier.semaphorePrefix(prefix, limit);
  const turns = passAllThrough(clients, prefix, { limit, each });
  await inQueue(observer, turns.length);
  const { waiters } = await observer.inspect();
  const arrivals = waiters
    .toSorted((a, b) => Number(a.createIndex - b.createIndex))
    .map(({ session }) => session);
  const begunAt = performance.now();
  for (const occupant of occupants) await occupant.release();
  return { arrivals, begunAt, served: inOrderOfTokens(await Promise.all(turns)) };
}

/**
 * Whether nothing stood still for so long that somebody's turn was over: who does not move then is
 * passed, as it should be, and the order says nothing.
 */
function isSteady({ begunAt, served }: Service): boolean {
  return served.every(
    ({ at }, place) => at - (served[place - 1]?.at ?? begunAt) < SHORTEST_GRACE_MS / 2,
  );
}

/** How many who came before were still waiting at each turn, in the order of the turns. */
function passedAtEachTurn({ arrivals, served }: Service): readonly number[] {
  const left = [...arrivals];
  return served.map(({ session }) => {
    const place = left.indexOf(session);
    expect(place).toBeGreaterThanOrEqual(0);
    left.splice(place, 1);
    return place;
  });
}

/** As many as there are slots have their turn at the same time. */
function isInOrder(service: Service, limit: number): boolean {
  return passedAtEachTurn(service).every((passed) => passed < limit);
}

test.each([1, 2])(
  "waiters of two clients are served in the order of their arrival (limit %i)",
  async (limit) => {
    const EACH = 6;
    let service = await serve(limit, EACH);
    for (let tries = 1; tries < 40 && !isSteady(service); tries += 1) {
      service = await serve(limit, EACH);
    }
    expect(isSteady(service), "the machine stood still in each of 40 tries").toBe(true);

    expect(service.served).toHaveLength(service.arrivals.length);
    expect(isInOrder(service, limit)).toBe(true);
  },
);

/** What a fleet has done, one waiter a client. */
interface FleetService extends Service {
  /** Its requests from the moment when all of it waited until the last turn was over. */
  readonly requests: readonly SeenRequest[];
}

/** Each client waits, has its turn and comes again, so many times. */
async function serveFleet(size: number, limit: number, turns: number): Promise<FleetService> {
  const { prefix, proxy, direct } = await scene();
  const occupants = Array.from({ length: limit }, () => direct.semaphorePrefix(prefix, limit));
  for (const occupant of occupants) await occupant.acquire();
  const clients = Array.from({ length: size }, () => connect({ address: proxy.address }));
  const arrivals = new Map<string, bigint>();
  const takeTurns = async (client: ConsulClient): Promise<Served[]> => {
    const sem = client.semaphorePrefix(prefix, limit);
    const served: Served[] = [];
    while (served.length < turns) {
      await sem.run(async ({ session, fencingToken }) => {
        const at = performance.now();
        // Sessions are used again, but each turn has an entry of its own.
        const turn = `${session} ${served.length}`;
        const { value: entry } = await direct.kv.get(`${prefix}/${session}`);
        arrivals.set(turn, entry?.createIndex ?? 0n);
        served.push({ session: turn, fencingToken, at });
      });
    }
    return served;
  };
  const all = clients.map(takeTurns);
  await inQueue(direct.semaphorePrefix(prefix, limit), size);
  const before = proxy.requests.length;
  const begunAt = performance.now();
  await Promise.all(occupants.map((occupant) => occupant.release()));
  const served = inOrderOfTokens((await Promise.all(all)).flat());
  const requests = proxy.requests.slice(before);
  const inOrder = [...arrivals].sort(([, a], [, b]) => Number(a - b));
  return { arrivals: inOrder.map(([turn]) => turn), begunAt, served, requests };
}

test(
  "in a fleet each has its turn, in the order of arrival, for a few requests",
  { timeout: CROWD_MS },
  async () => {
    const [SIZE, LIMIT, TURNS] = [30, 2, 10];
    const measure = async () => {
      const service = await serveFleet(SIZE, LIMIT, TURNS);
      const { requests, served } = service;
      const found = {
        turns: served.length,
        inOrder: isInOrder(service, LIMIT),
        requests: requests.length / served.length,
        readings: requests.filter(REQUESTS["prefix reading"]).length / served.length,
      };
      return { isSteady: isSteady(service), found };
    };
    let service = await measure();
    const isGood = ({ found }: typeof service): boolean =>
      found.inOrder && found.readings <= 1.2 && found.requests <= 12;
    // On a machine that stood still some have been passed, and whoever passes others reads first.
    for (let tries = 1; tries < 10 && !service.isSteady && !isGood(service); tries += 1) {
      service = await measure();
    }

    const { found } = service;
    expect(found).toMatchObject({ turns: SIZE * TURNS, inOrder: true });
    expect(found.readings).toBeLessThanOrEqual(1.2);
    expect(found.requests).toBeLessThanOrEqual(12);
  },
);

test("a dead waiter in front holds up those behind it for a moment, and only once", async () => {
  const EACH = 5;
  const prefix = freshPrefix();
  const [occupier, ...clients] = [connect(), connect(), connect()];
  const occupant = occupier.semaphorePrefix(prefix, 1);
  await occupant.acquire();
  // It has a live session, as that of a process has that was killed a moment ago, and never moves.
  const dead = await makeSession();
  await consul("PUT", `/v1/kv/${prefix}/${dead}?acquire=${dead}&flags=${FLAGS}`);
  const turns = passAllThrough(clients, prefix, { limit: 1, each: EACH });
  expect((await inQueue(occupant, 1 + turns.length))[0]).toBe(dead);

  await occupant.release();
  const releasedAt = performance.now();
  const [first, ...others] = inOrderOfTokens(await Promise.all(turns));

  const firstAt = first?.at ?? Infinity;
  expect(firstAt - releasedAt).toBeGreaterThan(SHORTEST_GRACE_MS / 2);
  expect(firstAt - releasedAt).toBeLessThan(2_000);
  // If each of them had waited like the first, they would have needed longer.
  const lastAt = others.at(-1)?.at ?? Infinity;
  expect(lastAt - firstAt).toBeLessThan(others.length * SHORTEST_GRACE_MS);
  expect(await waitersOf(occupant)).toEqual([dead]);
});
