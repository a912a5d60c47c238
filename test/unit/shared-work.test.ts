// What serves many callers runs in no caller's async context: otherwise the trace of one request would
// never end, and would hold what belongs to others.
import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";

import { beforeEach, describe, expect, test, vi } from "vitest";

import type { Semaphore } from "../../src/index.js";
import { Scene } from "./client-of-fake.js";
import { FakeTime } from "./fake-time.js";
import { answerLost, leaderless } from "./faults.js";
import { valueOf, Watched } from "./outcome.js";
import { rejectionOf } from "./rejection.js";
import type { Sent, Step } from "./sent.js";

const PREFIX = "jobs";

const storage = new AsyncLocalStorage<string>();

let time: FakeTime;
let scene: Scene;
/** In whose context each request was sent. */
let contexts: Map<Sent, string | undefined>;

beforeEach(() => {
  time = new FakeTime();
  timersKeepTheirContext();
  scene = new Scene();
  contexts = new Map();
  scene.onRequest = (request) => {
    contexts.set(request, storage.getStore());
  };
});

/** As Node's do, and those of a test runner do not. */
function timersKeepTheirContext(): void {
  const { setTimeout: setFakeTimeout } = globalThis;
  vi.spyOn(globalThis, "setTimeout").mockImplementation((call: () => void, ms?: number) =>
    setFakeTimeout(AsyncResource.bind(call), ms),
  );
}

const semaphore = (limit = 1): Semaphore => scene.client.semaphorePrefix(PREFIX, limit);

/** Whose context the requests of these kinds were sent in. */
function contextsOf(...steps: readonly Step[]): readonly (string | undefined)[] {
  const found = [...contexts].filter(([{ step }]) => steps.includes(step));
  expect(found.map(([{ step }]) => step)).toEqual(expect.arrayContaining([...new Set(steps)]));
  return [...new Set(found.map(([, context]) => context))];
}

/** Whether a request is one that serves holders and waiters. */
const isShared = (request: Sent): boolean =>
  request.isBlocking ||
  ["renew", "check holders", "read lock", "read entry", "read session"].includes(request.step);

function expectSharedWorkInNoContext(): void {
  const found = [...contexts].filter(([request]) => isShared(request));
  expect(found.length).toBeGreaterThan(0);
  for (const [{ step }, context] of found) expect([step, context]).toEqual([step, undefined]);
}

const wait = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

/** Calls in the context of a caller of that name. */
const as = <Result>(name: string, call: () => Promise<Result>): Promise<Result> =>
  storage.run(name, call);

test("timers and requests of the test itself keep their context", async () => {
  const seen = new Watched(
    as("the caller", async () => {
      await wait(10);
      return storage.getStore();
    }),
  );
  await time.pass(10);
  expect(valueOf(seen)).toBe("the caller");
  await as("the caller", () => scene.client.kv.get("a"));
  expect([...contexts.values()]).toEqual(["the caller"]);
});

describe("the watches and renewals", () => {
  test("of a holder run in no caller's context", async () => {
    const sem = semaphore();
    await as("the holder", () => sem.acquire());
    await time.pass(60_000);
    await as("the holder", () => sem.release());
    contextsOf("watch lock", "watch entry", "renew");
    expectSharedWorkInNoContext();
  });

  test("of many holders run in no caller's context, whichever of them stays", async () => {
    const sems = [1, 2, 3].map(() => semaphore(3));
    for (const [i, sem] of sems.entries()) await as(`holder ${i}`, () => sem.acquire());
    await time.pass(20_000);
    await as("holder 0", () => sems[0]?.release() ?? Promise.resolve());
    await time.pass(20_000);
    contextsOf("watch lock", "check holders", "renew");
    expectSharedWorkInNoContext();
  });

  test("of a waiter run in no caller's context, first in line and behind others", async () => {
    const held = scene.newClient().semaphorePrefix(PREFIX, 1);
    await held.acquire();
    const first = as("first", () => semaphore().acquire());
    await time.pass(5_000);
    const elsewhere = scene.newClient().semaphorePrefix(PREFIX, 1).acquire();
    const second = as("second", () =>
      scene
        .newClient()
        .semaphorePrefix(PREFIX, 1)
        .run(() => undefined),
    );
    await time.pass(20_000);
    await held.release();
    const slot = await first;
    await time.pass(5_000);
    await as("first", () => slot.release());
    await time.pass(5_000);
    await (await elsewhere).release();
    await time.pass(5_000);
    await second;
    contextsOf("watch lock", "watch entry", "check holders", "renew");
    expectSharedWorkInNoContext();
  });

  test("of a slot that was passed on run in no caller's context", async () => {
    const [first, second] = [semaphore(), semaphore()];
    await as("first", () => first.acquire());
    const next = as("second", () => second.acquire());
    await time.pass(5_000);
    await as("first", () => first.release());
    await next;
    contexts.clear();
    await time.pass(30_000);
    contextsOf("watch lock", "watch entry", "renew");
    expectSharedWorkInNoContext();
  });

  test("run in no caller's context after failures either", async () => {
    const sem = semaphore();
    await as("the holder", () => sem.acquire());
    await time.pass(5_000);
    scene.always((request) => isShared(request), leaderless);
    await time.pass(10_000);
    scene.heal();
    await time.pass(20_000);
    expectSharedWorkInNoContext();
    await as("the holder", () => sem.release());
  });
});

describe("a reading that several callers share", () => {
  test("runs in no caller's context", async () => {
    const slots = ["a", "b"].map((name) => as(name, () => semaphore(2).acquire()));
    await Promise.all(slots);
    expect(contextsOf("read prefix")).toEqual([undefined]);
  });
});

describe("a session that is kept", () => {
  test("is renewed and ended in no caller's context", async () => {
    await as("the caller", () => semaphore().run(() => undefined));
    await time.pass(10_000);
    expect(contextsOf("destroy session")).toEqual([undefined]);
  });
});

describe("cleaning up behind a caller", () => {
  test("runs in no caller's context once the caller is gone", async () => {
    await scene.newClient().semaphorePrefix(PREFIX, 1).acquire();
    const stop = new AbortController();
    const waiting = rejectionOf(as("the caller", () => semaphore().acquire(stop.signal)));
    await time.pass(1_000);
    scene.always("delete entry", leaderless);
    stop.abort(new Error("enough"));
    await time.pass(100);
    await waiting;
    contexts.clear();
    await time.pass(5_000);
    expect(contextsOf("delete entry")).toEqual([undefined]);
    scene.heal();
    await time.pass(5_000);
    expect(contextsOf("destroy session")).toEqual([undefined]);
  });

  test("searches for late sessions in no caller's context", async () => {
    scene.next("create session", answerLost);
    const sem = semaphore();
    const acquiring = as("the caller", () => sem.acquire());
    await time.pass(500);
    await acquiring;
    contexts.clear();
    await time.pass(2_000);
    expect(contextsOf("list sessions")).toEqual([undefined]);
  });
});

describe("the callers' own work", () => {
  test("goes on in their contexts after each call", async () => {
    const seen: (string | undefined)[] = [];
    const note = (): void => void seen.push(storage.getStore());
    const caller = async (sem: Semaphore): Promise<void> => {
      await sem.acquire();
      note();
      await wait(1_000);
      await sem.release();
      note();
      await sem.run(async () => {
        note();
        await wait(1_000);
        note();
      });
      note();
      (await sem.tryAcquire())?.signal.addEventListener("abort", note);
      note();
      await sem.release();
      note();
    };
    const calls = ["a", "b", "c"].map((name) => as(name, () => caller(semaphore())));
    await time.pass(60_000);
    await Promise.all(calls);
    expect(seen).toHaveLength(3 * 8);
    for (const name of ["a", "b", "c"]) expect(seen.filter((it) => it === name)).toHaveLength(8);
  });

  test("has its requests in their contexts: they are part of its trace", async () => {
    await as("the caller", () => semaphore().run(() => undefined));
    expect(contextsOf("create session", "enter and join")).toEqual(["the caller"]);
  });
});
