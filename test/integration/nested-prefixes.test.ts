// A semaphore at a prefix, and another below it, with one session of the user's: each knows its own
// entries from the other's.
import { setTimeout as pause } from "node:timers/promises";

import { expect, test, type TestContext } from "vitest";

import type { Semaphore } from "../../src/index.js";
import { abortWithin, connect, consul, eventually, freshPrefix, makeSession } from "./fixture.js";
import type { Ending } from "./proxy.js";

/** Promised is a second, on a machine that is not busy. */
const TOLD_WITHIN_MS = 5_000;
/** A slot that is released sooner is not watched at all. */
const WATCHED_AFTER_MS = 500;

const PLACES = ["outer", "inner"] as const;
type Place = (typeof PLACES)[number];

async function nested(below: string, ending: Ending) {
  const prefix = freshPrefix(ending);
  const session = await makeSession({}, ending);
  const client = connect({}, ending);
  const prefixes = { outer: prefix, inner: `${prefix}/${below}` };
  const at = (place: Place): Semaphore =>
    client.semaphoreOpts({ prefix: prefixes[place], limit: 1, session });
  return { prefixes, session, semaphores: { outer: at("outer"), inner: at("inner") } };
}

async function sessionsAt(semaphore: Semaphore) {
  const { holders, waiters } = await semaphore.inspect();
  const ids = (contenders: typeof holders): string[] => contenders.map(({ session }) => session);
  return { holders: ids(holders), waiters: ids(waiters) };
}

const CASES = ["in", ".lock", "in/deeper"].flatMap((below) =>
  PLACES.flatMap((place) =>
    // `consul kv delete` of the entry, and with `-recurse` of all whose key begins as its key does.
    ["", "?recurse"].map((recurse) => ({ below, place, recurse })),
  ),
);

test.concurrent.for(CASES)(
  "a holder whose $place entry is deleted ($recurse) hears of it, with the inner prefix at $below, and the other keeps its slot",
  async ({ below, place, recurse }, context: TestContext) => {
    const { prefixes, session, semaphores } = await nested(below, context);
    const slots = {
      outer: await semaphores.outer.acquire(),
      inner: await semaphores.inner.acquire(),
    };
    const next = connect({}, context).semaphorePrefix(prefixes[place], 1).acquire();
    await pause(WATCHED_AFTER_MS);

    await consul("DELETE", `/v1/kv/${prefixes[place]}/${session}${recurse}`);

    expect(await abortWithin(slots[place].signal, TOLD_WITHIN_MS)).toMatchObject({
      reason: "session-invalidated",
    });
    const successor = await next;
    const other = place === "outer" ? "inner" : "outer";
    expect(slots[other].held).toBe(true);
    expect(await sessionsAt(semaphores[other])).toEqual({ holders: [session], waiters: [] });
    expect(await sessionsAt(semaphores[place])).toEqual({
      holders: [successor.session],
      waiters: [],
    });
    await successor.release();
    await semaphores.outer.release();
    await semaphores.inner.release();
  },
);

test.concurrent.for(PLACES)(
  "a waiter whose %s entry is deleted enters again",
  async (place, context) => {
    const { prefixes, session, semaphores } = await nested("in", context);
    const other = place === "outer" ? "inner" : "outer";
    const held = await semaphores[other].acquire();
    const occupant = connect({}, context).semaphorePrefix(prefixes[place], 1);
    await occupant.acquire();
    const waiting = semaphores[place].acquire();
    const isWaiting = (): Promise<unknown> =>
      eventually(
        () => sessionsAt(occupant),
        ({ waiters }) => waiters.includes(session),
      );
    await isWaiting();

    await consul("DELETE", `/v1/kv/${prefixes[place]}/${session}`);

    await occupant.release();
    expect((await waiting).session).toBe(session);
    expect(held.held).toBe(true);
    await semaphores[place].release();
    await semaphores[other].release();
  },
);

test("all that is below the inner prefix is deleted", async (context) => {
  const { prefixes, session, semaphores } = await nested("in", context);
  const outer = await semaphores.outer.acquire();
  const inner = await semaphores.inner.acquire();
  await pause(WATCHED_AFTER_MS);

  await consul("DELETE", `/v1/kv/${prefixes.inner}?recurse`);

  expect(await abortWithin(inner.signal, TOLD_WITHIN_MS)).toMatchObject({
    reason: "holder-removed",
  });
  expect(outer.held).toBe(true);
  expect(await sessionsAt(semaphores.outer)).toEqual({ holders: [session], waiters: [] });
  await semaphores.inner.release();
  await (await semaphores.inner.acquire()).release();
  await semaphores.outer.release();
});
