// What the Go original's own tests show (`semaphore_test.go`), shown here of this library.
import { expect, inject, test } from "vitest";

import {
  ConsulClient,
  SemaphoreConflictError,
  SemaphoreHeldError,
  SemaphoreInUseError,
  SemaphoreLimitConflictError,
  SemaphoreLostError,
  SemaphoreNotHeldError,
  SemaphoreReleasedError,
  type Semaphore,
} from "../../src/index.js";
import { abortWithin, connect, consul, freshPrefix, keysBelow, makeSession } from "./fixture.js";
import { Proxy, type Fate } from "./proxy.js";

async function semaphoreWithSession(
  client: ConsulClient,
  prefix: string,
  limit: number,
): Promise<Semaphore> {
  return client.semaphoreOpts({ prefix, limit, session: await makeSession() });
}

test("acquires and releases, each once", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const sem = await semaphoreWithSession(client, prefix, 2);

  await expect(sem.release()).rejects.toThrow(SemaphoreNotHeldError);

  const slot = await sem.acquire();
  expect(slot.held).toBe(true);
  expect(sem.isHeld).toBe(true);
  expect(slot.signal.aborted).toBe(false);
  await expect(sem.acquire()).rejects.toThrow(SemaphoreHeldError);
  expect(slot.held).toBe(true);

  await sem.release();
  await expect(sem.release()).rejects.toThrow("Semaphore not held");
  expect(sem.isHeld).toBe(false);
  expect(slot.held).toBe(false);
  expect(slot.signal.reason).toBeInstanceOf(SemaphoreReleasedError);
  expect(await keysBelow(prefix)).toEqual([`${prefix}/.lock`]);
});

test("tells the holder within a second that its session was destroyed", async () => {
  const client = connect();
  const sem = client.semaphorePrefix(freshPrefix(), 2);
  const slot = await sem.acquire();

  await client.session.destroy(slot.session);

  const reason = await abortWithin(slot.signal, 1_000);
  expect(reason).toBeInstanceOf(SemaphoreLostError);
  expect(reason).toMatchObject({ code: "SEMAPHORE_LOST", reason: "session-invalidated" });
  expect(slot.held).toBe(false);
});

test("tells the holder within a second that the tree was deleted", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const slot = await (await semaphoreWithSession(client, prefix, 2)).acquire();

  await consul("DELETE", `/v1/kv/${prefix}/?recurse`);

  expect(await abortWithin(slot.signal, 1_000)).toMatchObject({ reason: "holder-removed" });
});

test("tells the holder within a second that its contender entry was deleted", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const slot = await (await semaphoreWithSession(client, prefix, 2)).acquire();

  await consul("DELETE", `/v1/kv/${prefix}/${slot.session}`);

  expect(await abortWithin(slot.signal, 1_000)).toMatchObject({ reason: "session-invalidated" });
});

test("tells the holder within a second that somebody took it out of the holders", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const slot = await (await semaphoreWithSession(client, prefix, 2)).acquire();

  await consul(
    "PUT",
    `/v1/kv/${prefix}/.lock?flags=16210313421097356768`,
    '{"Limit":2,"Holders":{}}',
  );

  expect(await abortWithin(slot.signal, 1_000)).toMatchObject({ reason: "holder-removed" });
});

test("tells each holder of a client within a second, also one that came later", async () => {
  const prefix = freshPrefix();
  const proxy = await Proxy.start();
  const client = connect({ address: proxy.address });
  const [one, two] = [client.semaphorePrefix(prefix, 2), client.semaphorePrefix(prefix, 2)];
  const first = await one.acquire();
  // The first is watched by now: the lock entry, and its own.
  await expect.poll(() => proxy.underWay("blocking query")).toBe(2);
  const second = await two.acquire();
  await new Promise((resolve) => setTimeout(resolve, 500));

  await client.session.destroy(second.session);

  expect(await abortWithin(second.signal, 1_000)).toMatchObject({ reason: "session-invalidated" });
  expect(first.held).toBe(true);
  await client.session.destroy(first.session);
  expect(await abortWithin(first.signal, 1_000)).toMatchObject({ reason: "session-invalidated" });
});

test("after a loss acquires again at once, and clears away first what is left", async () => {
  const prefix = freshPrefix();
  const session = await makeSession();
  const client = connect();
  const sem = client.semaphoreOpts({ prefix, limit: 1, session });
  const slot = await sem.acquire();
  // Whoever is thrown out of the lock still has its contender entry.
  await consul(
    "PUT",
    `/v1/kv/${prefix}/.lock?flags=16210313421097356768`,
    '{"Limit":1,"Holders":{}}',
  );
  expect(await abortWithin(slot.signal, 1_000)).toBeInstanceOf(SemaphoreLostError);
  expect(sem.isHeld).toBe(false);

  const next = await sem.acquire();

  expect(next.fencingToken).toBeGreaterThan(slot.fencingToken);
  expect(slot.signal.reason).toBeInstanceOf(SemaphoreLostError);
  expect((await sem.inspect()).holders).toMatchObject([{ session }]);
  await sem.release();
  expect(await keysBelow(prefix)).toEqual([`${prefix}/.lock`]);
});

test("after a loss there is nothing to release, of which release does not complain", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const sem = client.semaphorePrefix(prefix, 1);
  const slot = await sem.acquire();
  await client.session.destroy(slot.session);
  await abortWithin(slot.signal, 1_000);

  expect(sem.isHeld).toBe(false);
  await sem.release();
  await sem.release();
  await slot.release();
  expect(slot.signal.reason).toBeInstanceOf(SemaphoreLostError);

  const next = await sem.acquire();
  expect(next.session).not.toBe(slot.session);
  await slot.release();
  expect(next.held).toBe(true);
  await sem.release();
  await expect(sem.release()).rejects.toThrow(SemaphoreNotHeldError);
});

test("gives each of 4 contenders for 2 slots its turn", async () => {
  const prefix = freshPrefix();
  let inside = 0;
  let mostInside = 0;
  const contend = async (): Promise<void> => {
    const sem = await semaphoreWithSession(connect(), prefix, 2);
    await sem.acquire();
    inside += 1;
    mostInside = Math.max(mostInside, inside);
    await sem.inspect();
    inside -= 1;
    await sem.release();
  };
  await Promise.all([contend(), contend(), contend(), contend()]);
  expect(mostInside).toBeLessThanOrEqual(2);
  expect(mostInside).toBeGreaterThan(0);
});

test("refuses a prefix that is used with another limit, and leaves nothing there", async () => {
  const client = connect();
  const prefix = freshPrefix();
  expect(() => client.semaphorePrefix(prefix, 0)).toThrow("semaphore limit must be positive");
  const first = client.semaphorePrefix(prefix, 1);
  const slot = await first.acquire();

  const second = await semaphoreWithSession(client, prefix, 2);
  const failure = await second.acquire().catch((error: unknown) => error);

  expect(failure).toBeInstanceOf(SemaphoreLimitConflictError);
  expect(failure).toMatchObject({
    prefix,
    lockLimit: 1,
    localLimit: 2,
  });
  expect(String(failure)).toContain(": semaphore limit conflict (lock: 1, local: 2): ");
  expect(await keysBelow(prefix)).toEqual([`${prefix}/.lock`, `${prefix}/${slot.session}`]);
  await first.release();
});

test("is destroyed when nobody holds it, and not before", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const one = client.semaphorePrefix(prefix, 2);
  const two = client.semaphorePrefix(prefix, 2);
  await one.acquire();
  await two.acquire();

  await expect(one.destroy()).rejects.toThrow(SemaphoreHeldError);
  await one.release();
  await expect(one.destroy()).rejects.toThrow(SemaphoreInUseError);
  await two.release();
  await one.destroy();
  expect(await keysBelow(prefix)).toEqual([]);
  await two.destroy();

  // Now the prefix is free for another limit.
  const three = client.semaphorePrefix(prefix, 3);
  await three.acquire();
  await three.release();
});

test("is not destroyed under somebody who came in between", async () => {
  const proxy = await Proxy.start();
  const prefix = freshPrefix();
  const sem = connect({ address: proxy.address }).semaphorePrefix(prefix, 2);
  const other = connect().semaphorePrefix(prefix, 2);
  await other.acquire();
  await other.release();
  proxy.decide = async ({ method }): Promise<Fate> => {
    // Its listing shows a free semaphore; by the time its delete arrives, it is in use.
    if (method === "DELETE") await other.acquire();
    return "pass";
  };
  await expect(sem.destroy()).rejects.toThrow(SemaphoreInUseError);
  expect(other.isHeld).toBe(true);
  await other.release();
});

test("refuses a key that is a lock of Consul's, and leaves nothing there", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const lockHolder = await makeSession();
  // The flags of Consul's single lock.
  await consul("PUT", `/v1/kv/${prefix}/.lock?acquire=${lockHolder}&flags=3304740253564472344`, "");

  const sem = await semaphoreWithSession(client, `${prefix}/`, 2);
  await expect(sem.acquire()).rejects.toThrow(SemaphoreConflictError);
  await expect(sem.destroy()).rejects.toThrow("Existing key does not match semaphore use");
  await expect(sem.inspect()).rejects.toThrow(SemaphoreConflictError);
  expect(await keysBelow(prefix)).toEqual([`${prefix}/.lock`]);
});

test("tryAcquire waits as long as semaphoreWaitTime, and leaves nothing behind", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const options = { prefix, limit: 2, semaphoreWaitTime: "250ms" };
  const [one, two, three] = [
    client.semaphoreOpts(options),
    client.semaphoreOpts(options),
    client.semaphoreOpts({ ...options, session: await makeSession() }),
  ];
  expect(await one.tryAcquire()).not.toBeNull();
  expect(await two.tryAcquire()).not.toBeNull();
  const before = await keysBelow(prefix);

  const start = performance.now();
  expect(await three.tryAcquire()).toBeNull();
  expect(performance.now() - start).toBeGreaterThanOrEqual(250);
  expect(three.isHeld).toBe(false);
  expect(await keysBelow(prefix)).toEqual(before);

  await two.release();
  const slot = await three.tryAcquire();
  expect(slot?.held).toBe(true);
  await three.release();
  await one.release();
});

test("of as many tries as there are slots, each gets one, though all come at once", async () => {
  const client = connect();
  const options = { prefix: freshPrefix(), limit: 4, semaphoreWaitTime: 0 };
  const semaphores = Array.from({ length: 4 }, () => client.semaphoreOpts(options));
  const slots = await Promise.all(semaphores.map((sem) => sem.tryAcquire()));
  expect(slots.filter((slot) => slot === null)).toEqual([]);
  await Promise.all(semaphores.map((sem) => sem.release()));
});

test("an address may be given by CONSUL_HTTP_ADDR", async () => {
  const { host } = new URL(inject("consulAddress"));
  const before = process.env["CONSUL_HTTP_ADDR"];
  process.env["CONSUL_HTTP_ADDR"] = host;
  try {
    const client = new ConsulClient();
    expect((await client.kv.list("no/such/prefix/")).value).toEqual([]);
    await client.close();
  } finally {
    if (before === undefined) delete process.env["CONSUL_HTTP_ADDR"];
    else process.env["CONSUL_HTTP_ADDR"] = before;
  }
});
