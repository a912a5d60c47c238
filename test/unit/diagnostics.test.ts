// What the library tells on its diagnostics channels.
import { channel, subscribe, unsubscribe } from "node:diagnostics_channel";

import { expect, onTestFinished, test, vi } from "vitest";

import { SemaphoreLostError, type Semaphore, type SemaphoreSlot } from "../../src/index.js";
import { Scene } from "./client-of-fake.js";
import { silent } from "./faults.js";
import { reachableText } from "./reachable-text.js";
import { rejectionOf } from "./rejection.js";

const TOKEN = "a-token-that-nobody-sees";
const PREFIX = "jobs";
const TRACED = ["acquire", "wait", "held", "release", "renew"] as const;
const PHASES = ["start", "end", "asyncStart", "asyncEnd", "error"] as const;

/** All that is told from now on: `channel phase`, with a copy of what it said at that moment. */
function listen(): [string, object][] {
  const told: [string, object][] = [];
  const hear = (name: string, shown: string): void => {
    const listener = (message: unknown): void => {
      if (typeof message === "object" && message !== null) told.push([shown, { ...message }]);
    };
    subscribe(name, listener);
    onTestFinished(() => {
      unsubscribe(name, listener);
    });
  };
  for (const name of TRACED) {
    for (const phase of PHASES) {
      hear(`tracing:consul-semaphore:${name}:${phase}`, `${name} ${phase}`);
    }
  }
  hear("consul-semaphore:lost", "lost");
  return told;
}

const names = (told: readonly [string, object][]): readonly string[] => told.map(([name]) => name);

const ended = async ({ signal }: SemaphoreSlot): Promise<void> => {
  if (signal.aborted) return;
  await new Promise((resolve) => {
    signal.addEventListener("abort", resolve, { once: true });
  });
};

const inQueue = async (sem: Semaphore, count: number): Promise<void> => {
  while ((await sem.inspect()).waiters.length < count) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
};

test("a slot that is free is told of from the call to the release", async () => {
  const { client } = new Scene({ token: TOKEN });
  const told = listen();
  const sem = client.semaphorePrefix(PREFIX, 2);
  const { session, fencingToken } = await sem.acquire();
  await sem.release();
  expect(names(told)).toEqual([
    ...["acquire start", "acquire end", "held start", "held end"],
    ...["acquire asyncStart", "acquire asyncEnd"],
    ...["held asyncStart", "held asyncEnd"],
    ...["release start", "release end", "release asyncStart", "release asyncEnd"],
  ]);
  expect(told[0]?.[1]).toEqual({ prefix: PREFIX, limit: 2, call: "acquire" });
  expect(told[2]?.[1]).toEqual({ prefix: PREFIX, limit: 2, session, fencingToken });
  expect(told[5]?.[1]).toMatchObject({ call: "acquire", session, fencingToken });
  expect(told.at(-1)?.[1]).toMatchObject({ prefix: PREFIX, limit: 2, session, fencingToken });
  expect(reachableText(told)).not.toContain(TOKEN);
});

test("a wait in the queue is told of, and how it went on", async () => {
  const { client } = new Scene();
  const [one, other] = [client.semaphorePrefix(PREFIX, 1), client.semaphorePrefix(PREFIX, 1)];
  await one.acquire();
  const told = listen();
  const next = other.acquire();
  await inQueue(one, 1);
  expect(names(told).filter((name) => name.startsWith("wait"))).toEqual(["wait start", "wait end"]);
  await one.release();
  const { session } = await next;
  expect(told.find(([name]) => name === "wait start")?.[1]).toEqual({
    ...{ prefix: PREFIX, limit: 1, where: "consul", session },
  });
  expect(names(told)).toContain("wait asyncEnd");
  await other.release();
});

test("a wait of a run in memory is told of", async () => {
  const { client } = new Scene();
  const sem = client.semaphorePrefix(PREFIX, 1);
  const told = listen();
  const sessions = await Promise.all([1, 2].map(() => sem.run(({ session }) => session)));
  const waits = told.filter(([name]) => name.startsWith("wait"));
  expect(waits.map(([name]) => name)).toEqual([
    ...["wait start", "wait end", "wait asyncStart", "wait asyncEnd"],
  ]);
  expect(waits[0]?.[1]).toEqual({ prefix: PREFIX, limit: 1, where: "memory" });
  const acquired = told.filter(([name]) => name === "acquire asyncEnd");
  expect(acquired.map(([, event]) => event)).toMatchObject(
    sessions.map((session) => ({ call: "run", session })),
  );
});

test.each(["acquire", "tryAcquire", "run"] as const)(
  "what %s rejects with is told",
  async (call) => {
    const { client } = new Scene();
    const [one, other] = [client.semaphorePrefix(PREFIX, 1), client.semaphorePrefix(PREFIX, 1)];
    await one.acquire();
    const told = listen();
    const stop = new AbortController();
    const calls = {
      acquire: () => other.acquire(stop.signal),
      tryAcquire: () => other.tryAcquire(stop.signal),
      run: () => other.run(() => undefined, stop.signal),
    };
    const attempt = rejectionOf(calls[call]());
    await inQueue(one, 1);
    const reason = new Error("enough");
    stop.abort(reason);
    expect(await attempt).toBe(reason);
    for (const name of ["acquire error", "wait error"]) {
      expect(told.find(([what]) => what === name)?.[1]).toMatchObject({ error: reason });
    }
    expect(told.find(([what]) => what === "acquire start")?.[1]).toMatchObject({ call });
    await one.release();
  },
);

test("a loss is told, and why", async () => {
  const { client, consul } = new Scene();
  const told = listen();
  const sem = client.semaphorePrefix(PREFIX, 1);
  const slot = await sem.acquire();
  consul.destroySession(slot.session);
  await ended(slot);
  const error: unknown = slot.signal.reason;
  expect(error).toBeInstanceOf(SemaphoreLostError);
  const { session, fencingToken } = slot;
  const event = { prefix: PREFIX, limit: 1, session, fencingToken, error };
  expect(told.slice(-4)).toEqual([
    ["lost", event],
    ["held error", event],
    ["held asyncStart", event],
    ["held asyncEnd", event],
  ]);
  await sem.release();
  expect(names(told).filter((name) => name === "lost" || name === "held asyncEnd")).toHaveLength(2);
});

test("renewals are told, and those that fail", async () => {
  const { client, consul } = new Scene();
  const told = listen();
  const session = await client.session.create({ ttl: "400ms", behavior: "delete" });
  // The TTL of a session of one's own is learnt by renewing it.
  const sem = client.semaphoreOpts({ prefix: PREFIX, limit: 1, session });
  await sem.acquire();
  while (!names(told).includes("renew asyncEnd")) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  expect(told.find(([name]) => name === "renew start")?.[1]).toEqual({ session, ttl: 400 });
  consul.loseLeader();
  while (!names(told).includes("renew error")) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  expect(told.find(([name]) => name === "renew error")?.[1]).toMatchObject({
    error: { code: "CONSUL_STATUS", status: 500 },
  });
  consul.electLeader();
  await sem.release();
});

test("a renewal that is cut off by the end of the session has not failed", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const scene = new Scene();
  const told = listen();
  const sem = scene.client.semaphoreOpts({ prefix: PREFIX, limit: 1, sessionTTL: "1s" });
  await sem.acquire();
  scene.always("renew", silent);
  await vi.advanceTimersByTimeAsync(260);
  expect(names(told)).toContain("renew start");
  expect(names(told)).not.toContain("renew asyncEnd");
  await sem.release();
  await scene.client.close();
  expect(names(told)).toContain("renew asyncEnd");
  expect(names(told)).not.toContain("renew error");
});

test("who listens to one of them only hears it, and where nobody does nothing is told", async () => {
  const { client } = new Scene();
  const heard: unknown[] = [];
  const listener = (event: unknown): void => void heard.push(event);
  subscribe("tracing:consul-semaphore:held:asyncEnd", listener);
  const sem = client.semaphorePrefix(PREFIX, 1);
  await sem.acquire();
  await sem.release();
  expect(heard).toHaveLength(1);
  unsubscribe("tracing:consul-semaphore:held:asyncEnd", listener);
  expect(channel("tracing:consul-semaphore:held:start").hasSubscribers).toBe(false);
  await sem.acquire();
  await sem.release();
  expect(heard).toHaveLength(1);
});

test("each event can be written as JSON, with the slot and the error that it has", async () => {
  const { client, consul } = new Scene();
  const written: string[] = [];
  const log = (event: unknown): void => void written.push(JSON.stringify(event));
  const channels = TRACED.flatMap((name) =>
    PHASES.map((phase) => `tracing:consul-semaphore:${name}:${phase}`),
  );
  for (const name of [...channels, "consul-semaphore:lost"]) {
    subscribe(name, log);
    onTestFinished(() => {
      unsubscribe(name, log);
    });
  }
  const sem = client.semaphorePrefix(PREFIX, 1);
  const slot = await sem.acquire();
  const token = String(slot.fencingToken);
  expect(JSON.parse(written.at(-1) ?? "")).toMatchObject({
    ...{ call: "acquire", fencingToken: token },
    result: { prefix: PREFIX, limit: 1, fencingToken: token, held: true },
  });
  consul.destroySession(slot.session);
  await ended(slot);
  expect(JSON.parse(written.at(-1) ?? "")).toMatchObject({
    ...{ prefix: PREFIX, fencingToken: token },
    error: { name: "SemaphoreLostError", reason: "session-invalidated", prefix: PREFIX },
  });
  await sem.release();
  await rejectionOf(sem.acquire(AbortSignal.abort(new Error("enough"))));
  expect(JSON.parse(written.at(-1) ?? "")).toMatchObject({
    error: { name: "Error", message: "enough" },
  });
});
