// A process that restarts with its session finds its slot waiting for it, and never has more of it
// than the one slot.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

import { expect, inject, onTestFinished, test } from "vitest";

import { SEMAPHORE_FLAG_VALUE, type SemaphoreSlot } from "../../src/index.js";
import {
  abortWithin,
  connect,
  consul,
  eventually,
  freshPrefix,
  keysBelow,
  lockBelow,
  makeSession,
} from "./fixture.js";
import { Proxy, REQUESTS, type Fate, type RequestKind } from "./proxy.js";

/** How long "at once" may take on a busy machine. */
const AT_ONCE_MS = 5_000;

interface Abandoned {
  readonly session: string;
  readonly fencingToken: bigint;
}

/** A session that holds a slot for a process which is no more: it neither renews nor watches. */
async function abandonedSlot(
  prefix: string,
  { limit = 1, ttl = "60s" }: { limit?: number; ttl?: string | null } = {},
): Promise<Abandoned> {
  const session = await makeSession({ ttl });
  const flags = `flags=${SEMAPHORE_FLAG_VALUE}`;
  const { holders } = await connect().semaphorePrefix(prefix, limit).inspect();
  const all = [...holders.map((holder) => holder.session), session].sort();
  const lock = { Limit: limit, Holders: Object.fromEntries(all.map((holder) => [holder, true])) };
  await consul("PUT", `/v1/kv/${prefix}/${session}?acquire=${session}&${flags}`);
  await consul("PUT", `/v1/kv/${prefix}/.lock?${flags}`, JSON.stringify(lock));
  return { session, fencingToken: (await lockBelow(prefix)).modifyIndex };
}

/** Waits in the queue, and is counted there. */
async function enqueue(
  prefix: string,
  { limit = 1, places = 1 } = {},
): Promise<{ attempt: Promise<SemaphoreSlot>; release: () => Promise<void> }> {
  const sem = connect().semaphorePrefix(prefix, limit);
  const attempt = sem.acquire();
  attempt.catch(() => undefined);
  await eventually(
    () => sem.inspect(),
    ({ waiters }) => waiters.length === places,
  );
  return { attempt, release: () => sem.release() };
}

async function holdersOf(prefix: string): Promise<string[]> {
  const { holders } = await connect().semaphorePrefix(prefix, 1).inspect();
  return holders.map(({ session }) => session);
}

/** Acquires with a session of its user's, prints its token and holds: ADDRESS PREFIX SESSION */
const HOLDS = `
  import { ConsulClient } from "./src/index.ts";
  const [address, prefix, session] = process.argv.slice(1);
  const slot = await new ConsulClient({ address })
    .semaphoreOpts({ prefix, limit: 1, session }).acquire();
  process.stdout.write(slot.fencingToken + "\\n");
`;

/** A process that has a slot; what it was given is its token. */
async function startHolder(
  prefix: string,
  session: string,
): Promise<{ readonly fencingToken: bigint; readonly kill: () => Promise<void> }> {
  const child = spawn(
    process.execPath,
    [
      ...["--no-deprecation", "--import", "tsx", "--input-type=module", "--eval", HOLDS, "--"],
      ...[inject("consulAddress"), prefix, session],
    ],
    { cwd: join(import.meta.dirname, "..", ".."), stdio: ["ignore", "pipe", "inherit"] },
  );
  const exit = once(child, "exit");
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await exit;
  };
  onTestFinished(kill);
  const output = await new Promise<string>((resolve, reject) => {
    child.stdout.once("data", (chunk: Buffer) => {
      resolve(chunk.toString());
    });
    child.once("exit", () => {
      reject(new Error("it ended without a slot"));
    });
  });
  return { fencingToken: BigInt(output.trim()), kill };
}

test.each([
  ["with a TTL", "60s"],
  ["without a TTL", null],
])("a session %s that is a holder has its slot at once", async (_, ttl) => {
  const prefix = freshPrefix();
  const { session, fencingToken } = await abandonedSlot(prefix, { ttl });
  const sem = connect().semaphoreOpts({ prefix, limit: 1, session });

  const slot = await sem.acquire();

  expect(slot).toMatchObject({ session, held: true });
  expect(slot.fencingToken).toBeGreaterThan(fencingToken);
  expect(await lockBelow(prefix)).toEqual({
    value: `{"Limit":1,"Holders":{"${session}":true}}`,
    modifyIndex: slot.fencingToken,
  });
  await sem.release();
  expect(await keysBelow(prefix)).toEqual([`${prefix}/.lock`]);
  expect((await lockBelow(prefix)).value).toBe('{"Limit":1,"Holders":{}}');
});

test("and does so when its process was killed", async () => {
  const prefix = freshPrefix();
  const session = await makeSession();
  const { fencingToken, kill } = await startHolder(prefix, session);
  expect(await holdersOf(prefix)).toEqual([session]);
  await kill();

  const sem = connect().semaphoreOpts({ prefix, limit: 1, session });
  const slot = await sem.acquire();

  expect(slot.held).toBe(true);
  expect(slot.fencingToken).toBeGreaterThan(fencingToken);
  await sem.release();
});

test("with waiters in the queue it does not go to the end of it", async () => {
  const prefix = freshPrefix();
  const { session, fencingToken } = await abandonedSlot(prefix);
  const waiters = [await enqueue(prefix, { places: 1 }), await enqueue(prefix, { places: 2 })];
  const start = performance.now();

  const sem = connect().semaphoreOpts({ prefix, limit: 1, session });
  const slot = await sem.acquire();

  expect(performance.now() - start).toBeLessThan(AT_ONCE_MS);
  expect(slot.fencingToken).toBeGreaterThan(fencingToken);
  const state = await sem.inspect();
  expect(state.holders.map((holder) => holder.session)).toEqual([session]);
  expect(state.waiters).toHaveLength(2);
  await sem.release();
  await Promise.all(
    waiters.map(async ({ attempt, release }) => {
      expect((await attempt).fencingToken).toBeGreaterThan(slot.fencingToken);
      await release();
    }),
  );
});

test("among other holders it takes no second slot, and no other's", async () => {
  const prefix = freshPrefix();
  const { session } = await abandonedSlot(prefix, { limit: 3 });
  const other = connect().semaphorePrefix(prefix, 3);
  const otherSlot = await other.acquire();

  const resumed = connect().semaphoreOpts({ prefix, limit: 3, session });
  await resumed.acquire();

  expect(await holdersOf(prefix)).toEqual([session, otherSlot.session]);
  const third = connect().semaphoreOpts({ prefix, limit: 3, semaphoreWaitTime: 0 });
  expect((await third.tryAcquire())?.held).toBe(true);
  expect(
    await connect().semaphoreOpts({ prefix, limit: 3, semaphoreWaitTime: 0 }).tryAcquire(),
  ).toBeNull();
  expect(otherSlot.held).toBe(true);
  await third.release();
  await resumed.release();
  expect(await holdersOf(prefix)).toEqual([otherSlot.session]);
  await other.release();
});

test("a slot that is resumed is watched and told of like any other", async () => {
  const prefix = freshPrefix();
  const { session } = await abandonedSlot(prefix);
  const sem = connect().semaphoreOpts({ prefix, limit: 1, session });
  const slot = await sem.acquire();
  await consul("PUT", `/v1/session/destroy/${session}`);
  expect(await abortWithin(slot.signal, 1_000)).toMatchObject({ reason: "session-invalidated" });
  await sem.release();
});

test("of a session that expired meanwhile nothing is resumed", async () => {
  const prefix = freshPrefix();
  const { session } = await abandonedSlot(prefix);
  await consul("PUT", `/v1/session/destroy/${session}`);
  const sem = connect().semaphoreOpts({ prefix, limit: 1, session });
  await expect(sem.acquire()).rejects.toThrow("failed to make contender entry: ");
  const other = connect().semaphorePrefix(prefix, 1);
  expect((await other.acquire()).held).toBe(true);
  await other.release();
});

test("without its contender entry it takes the slot up again, if nobody else has", async () => {
  const prefix = freshPrefix();
  const { session, fencingToken } = await abandonedSlot(prefix);
  await consul("DELETE", `/v1/kv/${prefix}/${session}`);
  const sem = connect().semaphoreOpts({ prefix, limit: 1, session });
  const slot = await sem.acquire();
  expect(slot.fencingToken).toBeGreaterThan(fencingToken);
  expect(await holdersOf(prefix)).toEqual([session]);
  await sem.release();
  expect((await lockBelow(prefix)).value).toBe('{"Limit":1,"Holders":{}}');
});

test("without its contender entry its slot may go to another, and then it waits", async () => {
  const prefix = freshPrefix();
  const { session } = await abandonedSlot(prefix);
  const waiter = await enqueue(prefix);
  await consul("DELETE", `/v1/kv/${prefix}/${session}`);
  const waiterSlot = await waiter.attempt;

  const sem = connect().semaphoreOpts({ prefix, limit: 1, session });
  const attempt = sem.acquire();
  const { holders } = await eventually(
    () => sem.inspect(),
    ({ waiters }) => waiters.length === 1,
  );
  expect(holders.map((holder) => holder.session)).toEqual([waiterSlot.session]);
  await waiter.release();
  const slot = await attempt;
  expect(slot.session).toBe(session);
  expect(slot.fencingToken).toBeGreaterThan(waiterSlot.fencingToken);
  expect(waiterSlot.held).toBe(false);
  await sem.release();
});

test("without its contender entry it is never one holder too many, where the limit was lowered", async () => {
  const proxy = await Proxy.start();
  const prefix = freshPrefix();
  const { session } = await abandonedSlot(prefix, { limit: 2 });
  const other = connect().semaphorePrefix(prefix, 2);
  const otherSlot = await other.acquire();
  await consul("DELETE", `/v1/kv/${prefix}/${session}`);
  await other.resize(1);
  const seen: string[][] = [];
  proxy.decide = async (): Promise<Fate> => {
    seen.push(await holdersOf(prefix));
    return "pass";
  };

  const sem = connect({ address: proxy.address }).semaphoreOpts({ prefix, limit: 1, session });
  const attempt = sem.acquire();
  await eventually(
    () => sem.inspect(),
    ({ waiters }) => waiters.length === 1,
  );

  expect(seen).toEqual(seen.map(() => [otherSlot.session]));
  expect(seen.length).toBeGreaterThan(0);
  await other.release();
  expect((await attempt).session).toBe(session);
  await sem.release();
});

test("of two that race for a slot whose contender entry was gone, one gets it", async () => {
  const client = connect();
  for (let round = 0; round < 20; round += 1) {
    const prefix = freshPrefix();
    const { session } = await abandonedSlot(prefix);
    const resuming = client.semaphoreOpts({ prefix, limit: 1, session });
    const rival = connect().semaphorePrefix(prefix, 1);
    const rivalry = rival.acquire();
    await eventually(
      () => rival.inspect(),
      ({ waiters }) => waiters.length === 1,
    );
    let inside = 0;
    const enterAndLeave = async (
      attempt: Promise<SemaphoreSlot>,
      release: () => Promise<void>,
    ): Promise<void> => {
      const slot = await attempt;
      inside += 1;
      expect(inside).toBe(1);
      expect(await holdersOf(prefix)).toEqual([slot.session]);
      inside -= 1;
      await release();
    };

    // The rival's look is woken by the very change that makes room for both.
    const gone = consul("DELETE", `/v1/kv/${prefix}/${session}`);
    const resumption = resuming.acquire();
    await gone;

    await Promise.all([
      enterAndLeave(rivalry, () => rival.release()),
      enterAndLeave(resumption, () => resuming.release()),
    ]);
    expect((await lockBelow(prefix)).value).toBe('{"Limit":1,"Holders":{}}');
  }
});

test.each([
  ["is about to join, as a rule at once", "join"],
  ["waits in the queue", "join in turn"],
] as const)(
  "a rival that has seen it dead for a moment, and %s, does not take its slot after it resumed",
  async (_, kind) => {
    const proxy = await Proxy.start();
    if (kind === "join in turn") proxy.bar("join at once");
    const prefix = freshPrefix();
    const { session } = await abandonedSlot(prefix);
    await consul("DELETE", `/v1/kv/${prefix}/${session}`);
    const rival = connect({ address: proxy.address }).semaphorePrefix(prefix, 1);
    const resuming = connect().semaphoreOpts({ prefix, limit: 1, session });
    let slot: SemaphoreSlot | undefined;
    // The rival has read a lock with a dead holder, and is about to swap.
    proxy.decide = async (request): Promise<Fate> => {
      if (!REQUESTS[kind](request)) return "pass";
      proxy.heal();
      slot = await resuming.acquire();
      return "pass";
    };

    const rivalry = rival.acquire();
    await eventually(
      () => rival.inspect(),
      ({ waiters }) => slot !== undefined && waiters.length === 1,
    );

    expect(await holdersOf(prefix)).toEqual([session]);
    expect(slot?.held).toBe(true);
    expect(proxy.seen(kind)).toHaveLength(1);
    await resuming.release();
    await rivalry;
    await rival.release();
  },
);

const MOMENTS: readonly RequestKind[] = ["session renewal", "contender entry", "join in turn"];

test.each(
  MOMENTS.flatMap((moment) =>
    (["pass", "lose the answer"] as const).flatMap((fate) =>
      [true, false].map((entered) => ({ moment, fate, entered })),
    ),
  ),
)(
  "aborted during its $moment ($fate; contender entry there: $entered) it leaves the slot as it was",
  async ({ moment, fate, entered }) => {
    const proxy = await Proxy.start();
    const prefix = freshPrefix();
    const { session } = await abandonedSlot(prefix);
    if (!entered) await consul("DELETE", `/v1/kv/${prefix}/${session}`);
    const controller = new AbortController();
    const reason = new Error("shutting down again");
    proxy.decide = (request) => {
      if (!REQUESTS[moment](request)) return "pass";
      proxy.heal();
      controller.abort(reason);
      return fate;
    };
    const sem = connect({ address: proxy.address }).semaphoreOpts({ prefix, limit: 1, session });

    await expect(sem.acquire(controller.signal)).rejects.toBe(reason);

    // The next call waits until all is cleared away.
    await expect(sem.release()).rejects.toThrow("Semaphore not held");
    const holders = entered ? [session] : [];
    expect(await holdersOf(prefix)).toEqual(holders);
    if (entered) {
      expect((await lockBelow(prefix)).value).toBe(`{"Limit":1,"Holders":{"${session}":true}}`);
    }
    const other = connect().semaphoreOpts({ prefix, limit: 1, semaphoreWaitTime: 0 });
    if (entered) expect(await other.tryAcquire()).toBeNull();
    const slot = await sem.acquire();
    expect(slot.session).toBe(session);
    await sem.release();
    expect((await lockBelow(prefix)).value).toBe('{"Limit":1,"Holders":{}}');
  },
);

test("a refusal while it resumes leaves the slot as it was, too", async () => {
  const proxy = await Proxy.start();
  const prefix = freshPrefix();
  const { session } = await abandonedSlot(prefix);
  const before = await lockBelow(prefix);
  const sem = connect({ address: proxy.address }).semaphoreOpts({ prefix, limit: 1, session });
  proxy.afflict("refuse", "join");
  await expect(sem.acquire()).rejects.toThrow("failed to update lock: ");
  expect(await lockBelow(prefix)).toEqual(before);
  expect(await holdersOf(prefix)).toEqual([session]);
  proxy.heal();
  expect((await sem.acquire()).held).toBe(true);
  await sem.release();
});

test("a resumption whose answer is lost is settled like any other swap", async () => {
  const proxy = await Proxy.start();
  const prefix = freshPrefix();
  const { session, fencingToken } = await abandonedSlot(prefix);
  const sem = connect({ address: proxy.address }).semaphoreOpts({ prefix, limit: 1, session });
  proxy.afflict("lose the answer", "join", 2);
  const slot = await sem.acquire();
  expect(proxy.seen("join")).toHaveLength(3);
  expect(slot.fencingToken).toBeGreaterThan(fencingToken);
  expect(await lockBelow(prefix)).toEqual({
    value: `{"Limit":1,"Holders":{"${session}":true}}`,
    modifyIndex: slot.fencingToken,
  });
  await sem.release();
});
