// What the semaphores of one client have in common on a prefix, a few connections and one blocking
// query, and in which order they and those of other clients are served.
import { expect, test } from "vitest";

import type { ConsulClient, Semaphore } from "../../src/index.js";
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
import type { Proxy } from "./proxy.js";

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

/** A crowd takes some seconds, and minutes where others keep the machine busy. */
const CROWD_MS = 300_000;

test(
  "300 contenders of one client need few connections and one blocking query",
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
    expect(proxy.mostBlockingQueries).toBe(1);
    expect(await observer.inspect()).toMatchObject({ holders: [], waiters: [] });
  },
);

test("a holder and waiters of one client share a blocking query, from the first to the last", async () => {
  const { prefix, proxy, behind, direct } = await scene();
  const observer = direct.semaphorePrefix(prefix, 1);
  const options = { prefix, limit: 1, sessionName: prefix };
  const holder = behind.semaphoreOpts(options);
  await holder.acquire();
  expect(proxy.seen("blocking query")).toEqual([]);
  // It is the holder's.
  await underWay(proxy, 1);

  const waiters = Array.from({ length: 3 }, () => behind.semaphoreOpts(options));
  const attempts = waiters.map((waiter) => waiter.acquire());
  await inQueue(observer, waiters.length);
  await underWay(proxy, 1);

  await holder.release();
  // It goes on for those who are there still,
  await Promise.race(attempts);
  await underWay(proxy, 1);
  await Promise.all(
    attempts.map(async (attempt) => {
      await (await attempt).release();
    }),
  );
  const lastReleasedAt = performance.now();
  expect(proxy.mostBlockingQueries).toBe(1);

  // and for nobody after that, not even for the sessions that are kept a few seconds longer.
  await underWay(proxy, 0);
  await consul("PUT", `/v1/kv/${prefix}/another`, "a change that nobody is to hear of");
  await eventually(
    () => sessionsNamed(prefix),
    (sessions) => sessions.length === 0,
  );
  const LINGER_MS = 1_000;
  const { at: lastLookAt = Infinity } = proxy.seen("prefix listing").at(-1) ?? {};
  expect(lastLookAt).toBeLessThan(lastReleasedAt + LINGER_MS);
});

/** The index that a blocking query waits on. */
function indexIn(path: string): bigint {
  return BigInt(/[?&]index=(\d+)/.exec(path)?.[1] ?? 0);
}

test("a waiter is handed the slot by a release of its own client, in the same write", async () => {
  const { prefix, proxy, behind } = await scene();
  const [one, two] = [behind.semaphorePrefix(prefix, 1), behind.semaphorePrefix(prefix, 1)];
  const first = await one.acquire();
  const attempt = two.acquire();
  await inQueue(one, 1);
  const [waiter] = (await one.inspect()).waiters;
  // The waiter's own client has to have seen it, too: it waits for what comes after that.
  await eventually(
    () => Promise.resolve(proxy.seen("blocking query").map(({ path }) => indexIn(path))),
    (indexes) => indexes.some((index) => index >= (waiter?.createIndex ?? Infinity)),
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

test.each([1, 2])(
  "waiters of two clients are served in the order of their arrival (limit %i)",
  async (limit) => {
    const EACH = 6;
    let service = await serve(limit, EACH);
    for (let tries = 1; tries < 40 && !isSteady(service); tries += 1) {
      service = await serve(limit, EACH);
    }
    expect(isSteady(service), "the machine stood still in each of 40 tries").toBe(true);

    const left = [...service.arrivals];
    for (const { session } of service.served) {
      // As many as there are slots have their turn at the same time.
      const place = left.indexOf(session);
      expect(place).toBeGreaterThanOrEqual(0);
      expect(place).toBeLessThan(limit);
      left.splice(place, 1);
    }
    expect(left).toEqual([]);
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
