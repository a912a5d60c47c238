// Any number of runs of one semaphore at once: as many contend in Consul as there are slots.
import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe, unsubscribe } from "node:diagnostics_channel";

import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";

import type { Semaphore, SemaphoreOptions, SemaphoreSlot } from "../../../src/index.js";
import { Scene } from "../client-of-fake.js";
import { FakeTime } from "../fake-time.js";
import { answerLost, forbidden, leaderless, silent } from "../faults.js";
import { messageOf, valueOf, Watched } from "../outcome.js";

const PREFIX = "jobs";

let time: FakeTime;
let scene: Scene;

beforeEach(() => {
  time = new FakeTime();
  scene = new Scene();
});

const semaphore = (given: Partial<SemaphoreOptions> = {}, client = scene.client): Semaphore =>
  client.semaphoreOpts({ prefix: PREFIX, limit: 1, ...given });

const wait = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

/** Runs a number of functions at once that take some time each, and notes what they meet. */
class Crew {
  readonly order: number[] = [];
  readonly tokens: bigint[] = [];
  readonly sessions = new Set<string>();
  most = 0;
  #inside = 0;

  start(sem: Semaphore, count: number, ms: number): readonly Watched<number>[] {
    return Array.from(
      { length: count },
      (_, i) =>
        new Watched(
          sem.run(async (slot) => {
            this.order.push(i);
            this.tokens.push(slot.fencingToken);
            this.sessions.add(slot.session);
            this.most = Math.max(this.most, (this.#inside += 1));
            expect(slot.held).toBe(true);
            await wait(ms);
            expect(slot.held).toBe(true);
            this.#inside -= 1;
            return i;
          }),
        ),
    );
  }
}

describe("many runs at once", () => {
  test("contend while one that has lost its slot works on", async () => {
    const sem = semaphore();
    const session: string[] = [];
    const lost = new Watched(
      sem.run(async (slot) => {
        session.push(slot.session);
        await wait(120_000);
      }),
    );
    await time.pass(1_000);
    const next = new Watched(sem.run((slot) => slot.held));
    await time.pass(1_000);
    scene.consul.destroySession(session[0] ?? "");
    await time.pass(1_000);
    expect(valueOf(next)).toBe(true);
    const more = new Crew();
    const others = more.start(sem, 5, 100);
    await time.pass(2_000);
    expect(others.map(valueOf)).toEqual([0, 1, 2, 3, 4]);
    expect(more.most).toBe(1);
    await time.pass(120_000);
    expect(lost.outcome).toMatchObject({ error: { reason: "session-invalidated" } });
    const last = new Watched(sem.run(() => true));
    await time.pass(1_000);
    expect(valueOf(last)).toBe(true);
  });

  test("all have their turn in the order of their calls, with no more at work than there are slots", async () => {
    const crew = new Crew();
    const runs = crew.start(semaphore({ limit: 3 }), 50, 100);
    await time.pass(50 * 100);
    expect(runs.map(valueOf)).toEqual(runs.map((_, i) => i));
    expect(crew.most).toBe(3);
    expect(crew.order).toEqual(crew.order.toSorted((a, b) => a - b));
    expect(new Set(crew.tokens).size).toBe(50);
    expect(scene.left).toHaveLength(3);
  });

  test("are as many sessions and entries as there are slots", async () => {
    const crew = new Crew();
    const sem = semaphore({ limit: 2 });
    const runs = crew.start(sem, 500, 1_000);
    await time.pass(10_500);
    expect(scene.contenders(PREFIX)).toHaveLength(2);
    expect(scene.consul.sessions).toHaveLength(2);
    expect(crew.sessions.size).toBe(2);
    expect(runs.filter(({ outcome }) => outcome !== undefined)).toHaveLength(20);
    expect((await sem.inspect()).waiters).toEqual([]);
  });

  test("pass their slot on by one write, with a greater token", async () => {
    const crew = new Crew();
    const runs = crew.start(semaphore({ limit: 2 }), 100, 0);
    await time.pass(100);
    expect(runs.map(valueOf)).toHaveLength(100);
    expect(crew.tokens).toEqual(crew.tokens.toSorted((a, b) => (a < b ? -1 : 1)));
    expect(scene.of("create session")).toHaveLength(2);
    expect(scene.of((it) => it.path === "/v1/txn").length).toBeLessThan(110);
    expect(scene.sent.length).toBeLessThan(120);
  });

  test("end the signal of a slot that was passed on before the next has it", async () => {
    const sem = semaphore();
    const slots: SemaphoreSlot[] = [];
    const run = () =>
      sem.run((slot) => {
        expect(slots.every(({ held }) => !held)).toBe(true);
        slots.push(slot);
      });
    await Promise.all([run(), run(), run()]);
    for (const { signal } of slots) {
      expect(signal.reason).toMatchObject({ code: "SEMAPHORE_RELEASED" });
    }
    expect(new Set(slots.map(({ session }) => session)).size).toBe(1);
  });

  test("have slots of their own beside that of acquire", async () => {
    const sem = semaphore({ limit: 2 });
    const slot = await sem.acquire();
    const crew = new Crew();
    const runs = crew.start(sem, 5, 100);
    await time.pass(1_000);
    expect(runs.map(valueOf)).toHaveLength(5);
    expect(crew.most).toBe(1);
    expect(slot.held && sem.isHeld).toBe(true);
    await sem.release();
    expect(sem.isHeld).toBe(false);
  });

  test("run each in the async context of its call, to which the events of its slot belong", async () => {
    const storage = new AsyncLocalStorage<number>();
    const heldIn: unknown[] = [];
    const listener = (): void => {
      heldIn.push(storage.getStore());
    };
    subscribe("tracing:consul-semaphore:held:start", listener);
    onTestFinished(() => {
      unsubscribe("tracing:consul-semaphore:held:start", listener);
    });
    const sem = semaphore();
    const seen = await Promise.all(
      [1, 2, 3].map((i) => storage.run(i, () => sem.run(() => storage.getStore()))),
    );
    expect(seen).toEqual([1, 2, 3]);
    expect(heldIn).toEqual([1, 2, 3]);
  });

  test("may be aborted by whoever hears that one begins to wait", async () => {
    const stop = new AbortController();
    const abort = (): void => {
      stop.abort(new Error("not now"));
    };
    const sem = semaphore();
    const first = new Watched(sem.run(() => wait(3_000)));
    await time.settle();
    subscribe("tracing:consul-semaphore:wait:start", abort);
    onTestFinished(() => {
      unsubscribe("tracing:consul-semaphore:wait:start", abort);
    });
    const second = new Watched(sem.run(() => "second", { signal: stop.signal, timeout: 1_000 }));
    await time.pass(5_000);
    expect(messageOf(second)).toBe("not now");
    expect(first.outcome).toMatchObject({ value: undefined });
  });

  test("go on where one fails, or loses its slot", async () => {
    const sem = semaphore();
    const failing = new Watched(sem.run(() => Promise.reject(new Error("it failed"))));
    const losing = new Watched(sem.run(() => wait(2_000)));
    const last = new Watched(sem.run(() => "done"));
    await time.pass(1_000);
    expect(messageOf(failing)).toBe("it failed");
    scene.consul.deleteKey(`${PREFIX}/.lock`);
    await time.pass(1_000);
    expect(losing.outcome).toMatchObject({ error: { reason: "holder-removed" } });
    await time.pass(1_000);
    expect(valueOf(last)).toBe("done");
  });
});

describe("beside others in the fleet", () => {
  test("a process with a hundred calls does not keep out one with a single call", async () => {
    const crew = new Crew();
    crew.start(semaphore(), 100, 100);
    await time.pass(1_050);
    const single = new Watched(semaphore({}, scene.newClient()).run(() => performance.now()));
    await time.pass(400);
    expect(valueOf(single) - time.start).toBeLessThan(1_050 + 300);
  });

  test("two processes with many calls take turns", async () => {
    const [one, other] = [new Crew(), new Crew()];
    one.start(semaphore(), 100, 100);
    other.start(semaphore({}, scene.newClient()), 100, 100);
    await time.pass(10_000);
    expect(one.order.length).toBeGreaterThan(35);
    expect(other.order.length).toBeGreaterThan(35);
  });

  test("a slot is passed on only where a reading of a moment ago shows that nobody waits", async () => {
    const sem = semaphore();
    const first = new Watched(sem.run(() => wait(5_000)));
    const second = new Watched(sem.run(() => performance.now()));
    await time.pass(1_000);
    const other = new Watched(
      semaphore({}, scene.newClient()).run(async () => {
        const now = performance.now();
        await wait(100);
        return now;
      }),
    );
    await time.pass(5_000);
    expect(first.outcome).toBeDefined();
    expect(valueOf(other)).toBeLessThan(valueOf(second));
    expect(scene.of("pass on")).toEqual([]);
  });
});

describe("a run that waits in memory", () => {
  test("is given up by its signal at once, and the others move up", async () => {
    const sem = semaphore();
    const stop = new AbortController();
    const fn = vi.fn();
    const runs = [
      new Watched(sem.run(() => wait(1_000))),
      new Watched(sem.run(fn, { signal: stop.signal })),
      new Watched(sem.run(() => "third")),
    ];
    await time.pass(500);
    const enough = new Error("enough");
    stop.abort(enough);
    await time.settle();
    expect(runs[1]?.outcome).toMatchObject({ error: enough });
    await time.pass(500);
    expect(runs[2]?.outcome).toMatchObject({ value: "third", at: time.start + 1_000 });
    expect(fn).not.toHaveBeenCalled();
  });

  test("is told how things stand when its time is over", async () => {
    const sem = semaphore();
    const runs = [
      new Watched(sem.run(() => wait(60_000))),
      new Watched(sem.run(() => "second")),
      new Watched(sem.run(() => "third", { timeout: "30s" })),
      new Watched(sem.run(() => "fourth", { timeout: 1_500 })),
    ];
    await time.pass(30_000);
    expect(runs[3]?.outcome).toMatchObject({ at: time.start + 1_500 });
    expect(runs[3]?.outcome).toMatchObject({
      error: {
        code: "SEMAPHORE_TIMEOUT",
        message: 'no slot of "jobs" within 1.5s: 1 of 1 held, 2 ahead',
      },
    });
    expect(runs[2]?.outcome).toMatchObject({
      error: { message: 'no slot of "jobs" within 30s: 1 of 1 held, 1 ahead' },
    });
    await time.pass(30_000);
    expect(runs[1]?.outcome).toMatchObject({ value: "second" });
  });

  test("is rejected when the client is closed", async () => {
    const sem = semaphore();
    const running = new Watched(sem.run(() => wait(1_000)));
    const waiting = new Watched(sem.run(() => "never"));
    await time.pass(100);
    const closing = new Watched(scene.client.close({ drain: "5s" }));
    await time.settle();
    expect(waiting.outcome).toMatchObject({ error: { code: "SEMAPHORE_CLOSED", prefix: PREFIX } });
    await time.pass(900);
    expect(running.outcome).toMatchObject({ value: undefined });
    await time.settle();
    expect(closing.outcome).toMatchObject({ at: time.start + 1_000 });
    expect(scene.left).toEqual([]);
  });

  test("has the slot of one before it only where that one's write is known to have come through", async () => {
    const sem = semaphore();
    scene.next("pass on", answerLost);
    const crew = new Crew();
    const runs = crew.start(sem, 3, 100);
    await time.pass(5_000);
    expect(runs.map(valueOf)).toEqual([0, 1, 2]);
    expect(crew.tokens).toEqual(crew.tokens.toSorted((a, b) => (a < b ? -1 : 1)));
    expect(crew.most).toBe(1);
  });

  test("contends itself where the slot cannot be passed on", async () => {
    const crew = new Crew();
    scene.always("pass on", forbidden);
    const runs = crew.start(semaphore(), 3, 100);
    await time.pass(1_000);
    expect(runs.map(valueOf)).toEqual([0, 1, 2]);
    scene.heal();
    scene.always("pass on", leaderless);
    const others = crew.start(semaphore(), 3, 100);
    await time.pass(2_000);
    expect(others.map(valueOf)).toEqual([0, 1, 2]);
  });

  test("learns why it cannot contend, each for itself", async () => {
    scene.always("create session", forbidden);
    const runs = new Crew().start(semaphore(), 3, 100);
    await time.settle();
    for (const { outcome } of runs) {
      expect(outcome).toMatchObject({ error: { code: "SEMAPHORE_SESSION_FAILED" } });
    }
  });
});

describe("with a session of the user's", () => {
  test("runs take turns, with one entry, also with acquire", async () => {
    const session = await scene.client.session.create({ ttl: "15s", behavior: "delete" });
    const sem = semaphore({ limit: 3, session });
    const crew = new Crew();
    const runs = crew.start(sem, 3, 1_000);
    await time.settle();
    const acquiring = new Watched(sem.acquire());
    await time.pass(500);
    expect(scene.contenders(PREFIX)).toHaveLength(1);
    await time.pass(3_000);
    expect(runs.map(valueOf)).toEqual([0, 1, 2]);
    expect(crew.most).toBe(1);
    expect(crew.sessions).toEqual(new Set([session]));
    const slot = valueOf(acquiring);
    expect(slot.held).toBe(true);
    const after = new Watched(sem.run(() => "after"));
    const late = new Watched(sem.run(() => "late", { timeout: 500 }));
    await time.pass(1_000);
    expect(after.outcome).toBeUndefined();
    expect(late.outcome).toMatchObject({ error: { code: "SEMAPHORE_TIMEOUT" } });
    await slot.release();
    await time.pass(100);
    expect(valueOf(after)).toBe("after");
  });
});

test("a loss behind a silent network has the run reject as soon as its function has settled", async () => {
  const sem = semaphore();
  const running = new Watched(sem.run(() => wait(20_000)));
  const next = new Watched(sem.run(() => "next"));
  await time.pass(1_000);
  scene.always(() => true, silent);
  await time.pass(19_000);
  expect(running.outcome).toMatchObject({
    error: { code: "SEMAPHORE_LOST", reason: "session-expired" },
    at: time.start + 20_000,
  });
  scene.heal();
  await time.pass(20_000);
  expect(valueOf(next)).toBe("next");
  await time.pass(20_000);
  expect(scene.left).toEqual([]);
});
