import { test } from "vitest";
import { Scene } from "../client-of-fake.js";
import { FakeTime } from "../fake-time.js";
test.each([1, 2, 3,4,5,6])("has two %d", async (seed) => {
  const time = new FakeTime();
  const scene = new Scene();
    let state = seed;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const clients = [scene.client, scene.newClient(), scene.newClient()];
    const seen = new Map<string, number>();
    scene.onRequest = () => {
      for (const [i, client] of clients.entries()) {
        const w = scene.open.filter((request) => request.client === client && request.isBlocking);
        if (w.length > 2) { const k = w.map(s => s.step + (s.name.slice(0,4)) ).sort().map(x=>x.replace(/ entry.*/," entry")).join(", "); seen.set(k, (seen.get(k)??0)+1); }
      }
    };
    const running: Promise<unknown>[] = [];
    for (let i = 0; i < 60; i += 1) {
      const client = clients[random(3)] ?? scene.client;
      const work = random(4_000);
      running.push(
        client.semaphorePrefix("jobs", 3).run(() => new Promise((resolve) => setTimeout(resolve, work))),
      );
      await time.pass(random(1_000));
    }
    await time.pass(60_000);
    await Promise.all(running);
    console.log([...seen]);
  });
