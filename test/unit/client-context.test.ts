// What the semaphores of a client share, and what is left of that when they are gone.
import { describe, expect, test, vi } from "vitest";

import { contextOf, type ClientContext } from "../../src/client-context.js";
import { ConsulClient, Semaphore, SemaphoreOptionsError } from "../../src/index.js";
import { Scene } from "./client-of-fake.js";
import { after } from "./failures.js";
import { FakeTime } from "./fake-time.js";
import { answerLate, silent } from "./faults.js";
import { Watched } from "./outcome.js";
import { rejectionOf } from "./rejection.js";

const newContext = (): ClientContext => contextOf(new ConsulClient());

describe("the queue of a prefix", () => {
  test.each([
    ["the same name", "jobs", {}, true],
    ["a name that comes to the same", "jobs//", {}, true],
    ["another name", "other", {}, false],
    ["another namespace", "jobs", { namespace: "team-a" }, false],
    ["another partition", "jobs", { partition: "west" }, false],
  ])("is shared by %s: %s %o", (_, name, scope, isSame) => {
    const shared = newContext();
    const one = shared.queue("jobs", {});
    expect(shared.queue(name, scope) === one).toBe(isSame);
  });

  test("is not shared by two clients", () => {
    expect(newContext().queue("jobs", {})).not.toBe(newContext().queue("jobs", {}));
  });
});

describe("semaphores that nobody uses", () => {
  test("send nothing, whatever their number, and leave no timer", async () => {
    const time = new FakeTime();
    const scene = new Scene();
    const many = Array.from({ length: 1_000 }, (_, i) =>
      scene.client.semaphorePrefix(`jobs/${i}`, 1),
    );
    await time.pass(60_000);
    expect(many.every(({ isHeld }) => !isHeld)).toBe(true);
    expect(scene.sent).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("the end of a client", () => {
  test("is waited for by whatever is under way, but for so long only", async () => {
    const time = new FakeTime();
    const context = newContext();
    context.track(after(300, "done"));
    context.track(after(200, undefined).then(() => Promise.reject(new Error("it failed"))));
    const ended = new Watched(context.end(5_000));
    await time.pass(299);
    expect(ended.outcome).toBeUndefined();
    await time.pass(1);
    expect(ended.outcome).toEqual({ value: undefined, at: time.start + 300 });
    context.track(after(60_000, undefined));
    const next = new Watched(context.end(5_000));
    await time.pass(5_000);
    expect(next.outcome).toMatchObject({ at: time.start + 5_300 });
  });

  test("releases what is held, ends what waits, and destroys idle sessions", async () => {
    const time = new FakeTime();
    const scene = new Scene();
    const [held, idle, waiting] = [1, 2, 3].map(() => scene.client.semaphorePrefix("jobs", 1));
    await idle?.run(() => undefined);
    const other = scene.newClient().semaphorePrefix("others", 1);
    await other.acquire();
    const slot = await held?.acquire();
    const wait = new Watched<unknown>(waiting?.acquire() ?? Promise.resolve());
    const elsewhere = new Watched(scene.client.semaphorePrefix("others", 1).acquire());
    await time.pass(1_000);
    const closing = new Watched(scene.client.close());
    expect(slot?.held).toBe(false);
    await time.settle();
    expect(closing.outcome).toMatchObject({ value: undefined });
    for (const { outcome } of [wait, elsewhere]) {
      expect(outcome).toMatchObject({ error: { code: "SEMAPHORE_CLOSED" } });
    }
    expect(scene.consul.sessions).toHaveLength(1);
    expect(vi.getTimerCount()).toBeGreaterThan(0);
  });

  test("waits for a write that is under way, and takes back what it got", async () => {
    const time = new FakeTime();
    const scene = new Scene();
    const sem = scene.client.semaphorePrefix("jobs", 1);
    scene.next("enter and join", answerLate(500));
    const acquiring = new Watched(sem.acquire());
    await time.pass(100);
    const closing = new Watched(scene.client.close());
    await time.pass(100);
    expect(acquiring.outcome).toMatchObject({ error: { code: "SEMAPHORE_CLOSED" } });
    expect(closing.outcome).toBeUndefined();
    await time.pass(300);
    expect(closing.outcome).toMatchObject({ value: undefined });
    expect(scene.left).toEqual([]);
    expect(scene.lock("jobs")?.holders).toEqual([]);
  });

  test.each<[string, (sem: Semaphore) => Promise<unknown>]>([
    ["inspect", (sem) => sem.inspect()],
    ["destroy", (sem) => sem.destroy()],
    ["resize", (sem) => sem.resize(2)],
  ])("has a request of %s that is under way reject as those after it", async (_, call) => {
    const time = new FakeTime();
    const scene = new Scene();
    scene.always(() => true, silent);
    const calling = new Watched(call(scene.client.semaphorePrefix("jobs", 1)));
    await time.pass(100);
    expect(scene.open).toHaveLength(1);
    const closing = scene.client.close();
    await time.pass(10_000);
    await closing;
    expect(calling.outcome).toMatchObject({ error: { code: "SEMAPHORE_CLOSED", prefix: "jobs" } });
  });

  test("refuses all that comes after", async () => {
    const scene = new Scene();
    const sem = scene.client.semaphorePrefix("jobs", 1);
    await scene.client.close();
    for (const call of [
      ...[sem.acquire(), sem.tryAcquire(), sem.run(() => undefined)],
      ...[sem.inspect(), sem.destroy(), sem.resize(2)],
    ]) {
      expect(await rejectionOf(call)).toMatchObject({ code: "SEMAPHORE_CLOSED" });
    }
    await scene.client.close();
    expect(scene.sent).toEqual([]);
  });

  test("takes no longer than 6 s where nobody answers", async () => {
    const time = new FakeTime();
    const scene = new Scene();
    const [held, idle] = [
      scene.client.semaphorePrefix("a", 1),
      scene.client.semaphorePrefix("b", 1),
    ];
    await held.acquire();
    await idle.run(() => undefined);
    scene.always(() => true, silent);
    const closing = new Watched(scene.client.close());
    await time.pass(6_000);
    expect(closing.outcome).toMatchObject({ value: undefined });
  });
});

test.each([undefined, "http://127.0.0.1:8500", {}, null])("%j is no client", (client) => {
  expect(() => contextOf(client)).toThrow(SemaphoreOptionsError);
  expect(() => contextOf(client)).toThrow("missing client: got");
  expect(() => {
    Reflect.construct(Semaphore, [client, { prefix: "jobs", limit: 1 }]);
  }).toThrow("missing client: got");
});
