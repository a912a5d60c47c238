// One semaphore for a whole service: many runs at once, and a limit that changes, on a real Consul.
import { expect, test } from "vitest";

import { SemaphoreTimeoutError } from "../../src/index.js";
import { rejectionOf } from "../unit/rejection.js";
import { connect, eventually, expectNothingLeft, freshPrefix, sessionsNamed } from "./fixture.js";

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test("500 runs at once of one semaphore are as many sessions as there are slots", async () => {
  const prefix = freshPrefix();
  const client = connect();
  const sem = client.semaphoreOpts({ prefix, limit: 3, sessionName: prefix });
  let atWork = 0;
  let most = 0;
  let mostSessions = 0;
  /** Of each session, in the order in which it had its slots. */
  const tokens = new Map<string, bigint[]>();
  await Promise.all(
    Array.from({ length: 500 }, async (_, i) =>
      sem.run(async ({ session, fencingToken }) => {
        tokens.set(session, [...(tokens.get(session) ?? []), fencingToken]);
        most = Math.max(most, (atWork += 1));
        if (i % 100 === 50) {
          mostSessions = Math.max(mostSessions, (await sessionsNamed(prefix)).length);
        }
        await pause(10);
        atWork -= 1;
      }),
    ),
  );
  // Those of two sessions, which hold side by side, may be heard of in another order: a write whose
  // answer takes more than 100 ms is not waited for.
  for (const own of tokens.values()) {
    expect(own).toEqual(own.toSorted((a, b) => (a < b ? -1 : 1)));
  }
  expect(new Set([...tokens.values()].flat()).size).toBe(500);
  expect(most).toBe(3);
  expect(mostSessions).toBe(3);
  await client.close();
  await expectNothingLeft(prefix);
});

test("a process with many calls does not keep out another with a single call", async () => {
  const prefix = freshPrefix();
  const [busy, other] = [
    connect().semaphorePrefix(prefix, 1),
    connect().semaphorePrefix(prefix, 1),
  ];
  let done = 0;
  const crowd = Array.from({ length: 40 }, () =>
    busy.run(async () => {
      await pause(25);
      done += 1;
    }),
  );
  await eventually(
    () => Promise.resolve(done),
    (count) => count >= 5,
  );
  const before = done;
  await other.run(() => undefined);
  // The one at work, and at most one that was passed its slot before the newcomer was seen.
  expect(done - before).toBeLessThanOrEqual(3);
  await Promise.all(crowd);
});

test("a run is told how things stand when its time is over", async () => {
  const prefix = freshPrefix();
  const sem = connect().semaphorePrefix(prefix, 1);
  const slot = await sem.acquire();
  const failure = await rejectionOf(sem.run(() => undefined, { timeout: "300ms" }));
  expect(failure).toBeInstanceOf(SemaphoreTimeoutError);
  expect(failure).toMatchObject({
    message: `no slot of ${JSON.stringify(prefix)} within 300ms: 1 of 1 held, 0 ahead`,
    ...{ prefix, held: 1, limit: 1, ahead: 0 },
  });
  expect(await connect().semaphorePrefix(prefix, 1).tryAcquire({ timeout: 0 })).toBeNull();
  await slot.release();
});

test("a limit that is raised lets waiters of all processes in within a second, also runs in memory", async () => {
  const prefix = freshPrefix();
  const options = { prefix, limit: 1, adoptLimit: true };
  const one = connect().semaphoreOpts(options);
  let atWork = 0;
  const leave = new AbortController();
  const left = new Promise((resolve) => {
    leave.signal.addEventListener("abort", resolve);
  });
  const work = async (): Promise<void> => {
    atWork += 1;
    await left;
  };
  const runs = [1, 2, 3].map(() => one.run(work));
  await eventually(
    () => Promise.resolve(atWork),
    (count) => count === 1,
  );
  // Each in a client of its own, as in a process of its own.
  runs.push(...[1, 2, 3].map(() => connect().semaphoreOpts(options).run(work)));
  await eventually(
    () => one.inspect(),
    ({ waiters }) => waiters.length === 3,
  );
  await connect().semaphoreOpts(options).resize(6);
  await eventually(
    () => Promise.resolve(atWork),
    (count) => count === 6,
    1_000,
  );
  expect(one.limit).toBe(6);
  await one.resize(1);
  expect((await one.inspect()).holders).toHaveLength(6);
  leave.abort();
  await Promise.all(runs);
});

test("a drain leaves slots to those who work in them", async () => {
  const prefix = freshPrefix();
  const client = connect();
  const sem = client.semaphoreOpts({ prefix, limit: 1, sessionName: prefix });
  let isDone = false;
  const running = sem.run(async () => {
    await pause(600);
    isDone = true;
  });
  await eventually(
    () => sem.inspect(),
    ({ holders }) => holders.length === 1,
  );
  const next = connect()
    .semaphorePrefix(prefix, 1)
    .run(() => isDone);
  await client.close({ drain: "10s" });
  await running;
  expect(await next).toBe(true);
});
