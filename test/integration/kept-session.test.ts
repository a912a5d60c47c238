// The session of a slot that was given back is there for the next one, for a little while.
import { expect, test } from "vitest";

import {
  connect,
  consul,
  expectNothingLeft,
  expectNothingLeftOnceClosed,
  freshPrefix,
  scene,
  sessionsNamed,
} from "./fixture.js";

test("one slot after another has the same session", async () => {
  const { prefix, proxy, behind } = await scene();
  const options = { prefix, limit: 1, sessionName: prefix };
  const sessions = new Set<string>();
  for (let cycle = 0; cycle < 10; cycle += 1) {
    // Semaphores that ask for the same kind of session share what is kept.
    const sem = behind.semaphoreOpts(options);
    sessions.add((await sem.acquire()).session);
    await sem.release();
  }
  expect(sessions.size).toBe(1);
  expect(proxy.seen("session create")).toHaveLength(1);
  expect(proxy.seen("session destroy")).toEqual([]);
  await expectNothingLeftOnceClosed(behind, prefix);
  expect(proxy.seen("session destroy")).toHaveLength(1);
});

test("slots at the same time have sessions of their own, and the next ones have the same again", async () => {
  const COUNT = 3;
  const { prefix, proxy, behind } = await scene();
  const options = { prefix, limit: COUNT, sessionName: prefix };
  const semaphores = Array.from({ length: COUNT }, () => behind.semaphoreOpts(options));
  const cycle = async (): Promise<string[]> => {
    const slots = await Promise.all(semaphores.map((sem) => sem.acquire()));
    await Promise.all(slots.map((slot) => slot.release()));
    return slots.map(({ session }) => session).sort();
  };
  const first = await cycle();
  expect(new Set(first).size).toBe(COUNT);
  expect(await cycle()).toEqual(first);
  expect(proxy.seen("session create")).toHaveLength(COUNT);
  expect((await sessionsNamed(prefix)).sort()).toEqual(first);
  await expectNothingLeftOnceClosed(behind, prefix);
});

test("whoever asks for another kind of session gets one", async () => {
  const { prefix, behind } = await scene();
  const options = { prefix, limit: 1, sessionName: prefix };
  const kinds = [
    {},
    { sessionTTL: "30s" },
    { sessionChecks: ["serfHealth"] },
    { sessionName: `${prefix} again` },
    { prefix: `${prefix}/below` },
  ];
  const sessions = new Set<string>();
  for (const kind of kinds) {
    const sem = behind.semaphoreOpts({ ...options, ...kind });
    sessions.add((await sem.acquire()).session);
    await sem.release();
  }
  expect(sessions.size).toBe(kinds.length);
  await behind.close();
  expect(await sessionsNamed(prefix)).toEqual([]);
  expect(await sessionsNamed(`${prefix} again`)).toEqual([]);
});

test("another client has nothing of it", async () => {
  const prefix = freshPrefix();
  const options = { prefix, limit: 1 };
  const [one, two] = [connect().semaphoreOpts(options), connect().semaphoreOpts(options)];
  const { session } = await one.acquire();
  await one.release();
  expect((await two.acquire()).session).not.toBe(session);
  await two.release();
});

test("one that an operator has ended costs the next slot nothing but a new one", async () => {
  const { prefix, proxy, behind } = await scene();
  const sem = behind.semaphoreOpts({ prefix, limit: 1, sessionName: prefix });
  const first = await sem.acquire();
  await sem.release();
  await consul("PUT", `/v1/session/destroy/${first.session}`);

  const second = await sem.acquire();

  expect(second.session).not.toBe(first.session);
  expect(second.fencingToken).toBeGreaterThan(first.fencingToken);
  expect(second.held).toBe(true);
  expect(proxy.seen("session create")).toHaveLength(2);
  expect(await sessionsNamed(prefix)).toEqual([second.session]);
  await sem.release();
  await expectNothingLeftOnceClosed(behind, prefix);
});

test("so does it where the semaphore is occupied meanwhile", async () => {
  const { prefix, proxy, behind, direct } = await scene();
  const sem = behind.semaphoreOpts({ prefix, limit: 1, sessionName: prefix });
  const first = await sem.acquire();
  await sem.release();
  const other = direct.semaphorePrefix(prefix, 1);
  await other.acquire();
  await consul("PUT", `/v1/session/destroy/${first.session}`);

  const attempt = sem.acquire();
  await expect.poll(async () => (await other.inspect()).waiters.length).toBe(1);
  await other.release();

  expect((await attempt).session).not.toBe(first.session);
  expect(proxy.seen("session create")).toHaveLength(2);
  await sem.release();
  await expectNothingLeftOnceClosed(behind, prefix);
});

test("none is kept of a slot that was lost, nor of an acquire that was aborted", async () => {
  const { prefix, behind, direct } = await scene();
  const options = { prefix, limit: 1, sessionName: prefix };
  const lost = behind.semaphoreOpts(options);
  const slot = await lost.acquire();
  await consul("DELETE", `/v1/kv/${prefix}/.lock`);
  await expect.poll(() => slot.signal.aborted).toBe(true);
  await lost.release();
  await expectNothingLeft(prefix);

  const holder = direct.semaphorePrefix(prefix, 1);
  await holder.acquire();
  const controller = new AbortController();
  const waiter = behind.semaphoreOpts(options);
  const attempt = waiter.acquire(controller.signal).catch((error: unknown) => error);
  await expect.poll(async () => (await holder.inspect()).waiters.length).toBe(1);
  controller.abort();
  expect(await attempt).toMatchObject({ name: "AbortError" });
  await expect(waiter.release()).rejects.toThrow("Semaphore not held");
  expect(await sessionsNamed(prefix)).toEqual([]);
  await holder.release();
});

test("a client that is closed twice at the same time ends what it kept all the same", async () => {
  const { prefix, behind } = await scene();
  const sem = behind.semaphoreOpts({ prefix, limit: 1, sessionName: prefix });
  await sem.acquire();
  await sem.release();
  await Promise.all([behind.close(), behind.close()]);
  await expectNothingLeft(prefix);
});
