// What is left of semaphores that are gone. Not in one process with fake timers, under which garbage
// is collected, but nobody is told.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { describe, expect, test } from "vitest";

import { contextOf } from "../../src/client-context.js";
import { ConsulClient, type Semaphore } from "../../src/index.js";
import { Scene } from "./client-of-fake.js";

describe("semaphores that nobody uses", () => {
  test("take no longer to make where many prefixes are alive", { timeout: 60_000 }, () => {
    const client = new ConsulClient();
    const make = (from: number, to: number): Semaphore[] =>
      Array.from({ length: to - from }, (_, i) => client.semaphorePrefix(`jobs/${from + i}`, 1));
    /** Milliseconds of the processor for that many more. */
    const costOf = (from: number, to: number): number => {
      const before = process.cpuUsage();
      alive.push(...make(from, to));
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1_000;
    };
    const alive: Semaphore[] = [];
    costOf(0, 2_000);
    const few = costOf(2_000, 4_000);
    costOf(4_000, 20_000);
    const many = costOf(20_000, 22_000);
    // A sweep over all that there are would take many times as long by now.
    expect(many / few).toBeLessThan(4);
    expect(alive).toHaveLength(22_000);
  });

  test("leave nothing in the client once they are gone", { timeout: 60_000 }, async () => {
    const client = new ConsulClient();
    const long = "x".repeat(2_000);
    const make = (name: string): void => {
      for (let i = 0; i < 10_000; i += 1) client.semaphorePrefix(`${name}/${i}/${long}`, 1);
    };
    make("jobs");
    for (let turn = 0; turn < 10; turn += 1) await heapInUse();
    const before = await heapInUse();
    make("others");
    // The names alone take twice as much.
    while ((await heapInUse()) > before + 1e7) continue;
    expect(client.semaphorePrefix("jobs/1", 1).isHeld).toBe(false);
  });

  test("may go, as may their queue, though they have been used and their client lives", async () => {
    const scene = new Scene();
    const use = async (): Promise<readonly WeakRef<object>[]> => {
      const options = { prefix: "jobs", limit: 1, sessionTTL: "1s" };
      const sems = [scene.client.semaphoreOpts(options), scene.client.semaphoreOpts(options)];
      await Promise.all(sems.map((sem) => sem.run(() => undefined)));
      return [...sems, contextOf(scene.client).queue("jobs", {})].map((it) => new WeakRef(it));
    };
    const used = await use();
    while (scene.consul.sessions.length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    while (used.some((ref) => ref.deref() !== undefined)) await heapInUse();
    expect(used.map((ref) => ref.deref())).toEqual([undefined, undefined, undefined]);
  });
});

/** Bytes on the heap. What was made for a WeakRef, or was read from one, has lived to the end of its turn. */
async function heapInUse(): Promise<number> {
  setFlagsFromString("--expose-gc");
  const collectGarbage: unknown = runInNewContext("gc");
  if (typeof collectGarbage !== "function") throw new Error("no garbage collector to call");
  await new Promise((resolve) => setImmediate(resolve));
  Reflect.apply(collectGarbage, undefined, []);
  return process.memoryUsage().heapUsed;
}
