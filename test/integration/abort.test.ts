// How an acquire ends that does not succeed: at once where it was aborted, and clean in every case.
import { getEventListeners } from "node:events";

import { expect, test } from "vitest";

import type { ConsulClient, Semaphore } from "../../src/index.js";
import { connect, consul, eventually, freshPrefix, keysBelow, makeSession } from "./fixture.js";
import { Proxy, type Fate, type SeenRequest } from "./proxy.js";

/** The four requests of an uncontended acquire. */
const STEPS: Readonly<Record<string, (request: SeenRequest) => boolean>> = {
  "session create": ({ path }) => path === "/v1/session/create",
  "contender entry": ({ path }) => path.includes("acquire="),
  "prefix listing": ({ path }) => path.includes("recurse"),
  "lock update": ({ path }) => path.includes("cas="),
};

/** How long "at once" may take, far below the 15 s of a blocking query, far above a busy machine. */
const AT_ONCE_MS = 5_000;

async function rejectionAtOnce(attempt: Promise<unknown>): Promise<unknown> {
  const start = performance.now();
  const reason = await attempt.then(
    () => "no rejection",
    (error: unknown) => error,
  );
  expect(performance.now() - start).toBeLessThan(AT_ONCE_MS);
  return reason;
}

async function occupiedSemaphore(client: ConsulClient, prefix: string): Promise<Semaphore> {
  const holder = client.semaphorePrefix(prefix, 1);
  await holder.acquire();
  return holder;
}

/** The IDs of all sessions of a name, so that one that was left behind is found. */
async function sessionsNamed(name: string): Promise<number> {
  const sessions = await consul("GET", "/v1/session/list");
  return (
    sessions.split(`"Name": "${name}"`).length - 1 + sessions.split(`"Name":"${name}"`).length - 1
  );
}

test("a waiting acquire rejects at once with the signal's reason and leaves nothing", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const holder = await occupiedSemaphore(client, prefix);
  const before = await keysBelow(prefix);
  const controller = new AbortController();
  const sem = client.semaphoreOpts({ prefix, limit: 1, sessionName: prefix });
  const attempt = sem.acquire(controller.signal);
  await eventually(
    () => holder.inspect(),
    ({ waiters }) => waiters.length === 1,
  );

  const reason = new Error("shutting down");
  controller.abort(reason);

  expect(await rejectionAtOnce(attempt)).toBe(reason);
  expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  await eventually(
    () => keysBelow(prefix),
    (keys) => keys.join() === before.join(),
  );
  await eventually(
    () => sessionsNamed(prefix),
    (count) => count === 0,
  );
  expect(sem.isHeld).toBe(false);
  await holder.release();
  await sem.acquire();
  await sem.release();
});

test("with a session of the user's, its contender entry goes and the session stays", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const holder = await occupiedSemaphore(client, prefix);
  const session = await makeSession(client);
  const controller = new AbortController();
  const attempt = client.semaphoreOpts({ prefix, limit: 1, session }).acquire(controller.signal);
  await eventually(
    () => holder.inspect(),
    ({ waiters }) => waiters.length === 1,
  );

  controller.abort();

  expect(await rejectionAtOnce(attempt)).toMatchObject({ name: "AbortError" });
  await eventually(
    () => holder.inspect(),
    ({ waiters }) => waiters.length === 0,
  );
  expect((await client.session.info(session)).value?.id).toBe(session);
  await holder.release();
});

test("a signal that has aborted before costs no request", async () => {
  const proxy = await Proxy.start();
  const sem = connect({ address: proxy.address }).semaphorePrefix(freshPrefix(), 1);
  const reason = new Error("too late");
  await expect(sem.acquire(AbortSignal.abort(reason))).rejects.toBe(reason);
  await expect(sem.tryAcquire(AbortSignal.abort(reason))).rejects.toBe(reason);
  expect(proxy.requests).toEqual([]);
});

test("an acquire that waits for its turn behind another rejects at once too", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const holder = await occupiedSemaphore(client, prefix);
  const sem = client.semaphorePrefix(prefix, 1);
  const first = sem.acquire();
  const controller = new AbortController();
  const second = sem.acquire(controller.signal);
  controller.abort();
  expect(await rejectionAtOnce(second)).toMatchObject({ name: "AbortError" });
  expect(getEventListeners(controller.signal, "abort")).toEqual([]);

  await holder.release();
  expect((await first).held).toBe(true);
  await sem.release();
});

test("tryAcquire rejects when aborted, as acquire does", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const holder = await occupiedSemaphore(client, prefix);
  const controller = new AbortController();
  const sem = client.semaphoreOpts({ prefix, limit: 1, semaphoreWaitTime: "10m" });
  const attempt = sem.tryAcquire(controller.signal);
  await eventually(
    () => holder.inspect(),
    ({ waiters }) => waiters.length === 1,
  );
  controller.abort();
  expect(await rejectionAtOnce(attempt)).toMatchObject({ name: "AbortError" });
  await holder.release();
});

test.each(Object.keys(STEPS))(
  "aborted while its %s hangs, it rejects at once and clears away once that is answered",
  async (step) => {
    const isStep = STEPS[step];
    const proxy = await Proxy.start();
    const prefix = freshPrefix();
    const controller = new AbortController();
    let answer: (fate: Fate) => void = () => undefined;
    const arrived = new Promise<void>((resolve) => {
      proxy.decide = (request): Fate | Promise<Fate> => {
        if (!isStep?.(request)) return "pass";
        proxy.decide = () => "pass";
        resolve();
        return new Promise<Fate>((decided) => (answer = decided));
      };
    });
    const sem = connect({ address: proxy.address }).semaphoreOpts({
      prefix,
      limit: 1,
      sessionName: prefix,
    });
    const attempt = sem.acquire(controller.signal);
    attempt.catch(() => undefined);
    await arrived;

    controller.abort();

    expect(await rejectionAtOnce(attempt)).toMatchObject({ name: "AbortError" });
    answer("pass");
    // The next call waits until all is cleared away, so that it finds an empty semaphore.
    await sem.destroy();
    expect(await keysBelow(prefix)).toEqual([]);
    await eventually(
      () => sessionsNamed(prefix),
      (count) => count === 0,
    );
    expect(sem.isHeld).toBe(false);
  },
);

const FAILURES: Readonly<Record<string, string>> = {
  "session create": "failed to create session: ",
  "contender entry": "failed to make contender entry: ",
  "prefix listing": "failed to read prefix: ",
  "lock update": "failed to update lock: ",
};

const fates: Fate[] = ["fail", "lose the answer"];

test.each(Object.keys(STEPS).flatMap((step) => fates.map((fate) => ({ step, fate }))))(
  "when Consul lets its $step down ($fate), it says which and leaves no entry",
  async ({ step, fate }) => {
    const isStep = STEPS[step];
    const proxy = await Proxy.start();
    const prefix = freshPrefix();
    const sem = connect({ address: proxy.address }).semaphorePrefix(prefix, 1);
    proxy.decide = (request) => {
      if (!isStep?.(request)) return "pass";
      proxy.decide = () => "pass";
      return fate;
    };

    const failure = await sem.acquire().catch((error: unknown) => error);

    expect(String(failure)).toContain(FAILURES[step]);
    expect(failure).toMatchObject({
      name: "SemaphoreRequestError",
      cause: {
        name: "ConsulError",
        code: fate === "fail" ? "CONSUL_STATUS" : "CONSUL_UNREACHABLE",
      },
    });
    await eventually(
      async () => (await keysBelow(prefix)).filter((key) => !key.endsWith("/.lock")),
      (keys) => keys.length === 0,
    );
    const { holders } = await sem.inspect();
    expect(holders).toEqual([]);
    await sem.acquire();
    await sem.release();
  },
);

test.each(
  ["contender entry", "prefix listing", "lock update"].flatMap((step) =>
    fates.map((fate) => ({ step, fate })),
  ),
)(
  "and with a session of the user's ($step, $fate) neither holder nor contender stays",
  async ({ step, fate }) => {
    const isStep = STEPS[step];
    const proxy = await Proxy.start();
    const prefix = freshPrefix();
    const client = connect({ address: proxy.address });
    const session = await makeSession(client);
    const sem = client.semaphoreOpts({ prefix, limit: 1, session });
    proxy.decide = (request) => {
      if (!isStep?.(request)) return "pass";
      proxy.decide = () => "pass";
      return fate;
    };
    await expect(sem.acquire()).rejects.toThrow(FAILURES[step]);
    expect(await consul("GET", `/v1/kv/${prefix}/?keys`)).not.toContain(session);
    const lock = await consul("GET", `/v1/kv/${prefix}/.lock?raw`);
    expect(lock).not.toContain(session);
    await sem.acquire();
    await sem.release();
  },
);

test("an acquire that cannot even look whether its swap held takes back what it can", async () => {
  const proxy = await Proxy.start();
  const prefix = freshPrefix();
  const client = connect({ address: proxy.address });
  const session = await makeSession(client);
  const sem = client.semaphoreOpts({ prefix, limit: 1, session });
  proxy.decide = ({ method, path }) => {
    if (path.includes("cas=")) return "lose the answer";
    return method === "GET" && path.includes("/.lock") ? "fail" : "pass";
  };
  await expect(sem.acquire()).rejects.toThrow("failed to update lock: ");
  proxy.decide = () => "pass";
  // It is still in the lock, but without a contender entry it counts as dead.
  expect(await sem.inspect()).toMatchObject({ holders: [], waiters: [] });
  const other = connect().semaphorePrefix(prefix, 1);
  expect((await other.acquire()).held).toBe(true);
  await other.release();
});
