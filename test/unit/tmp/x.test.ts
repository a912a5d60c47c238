import { test } from "vitest";
import { Scene } from "../client-of-fake.js";
import { FakeTime } from "../fake-time.js";
import { Watched } from "../outcome.js";
const log = (scene: Scene, time: FakeTime, from = 0) => {
  const names = new Map();
  for (const s of scene.sent) { if (!names.has(s.client)) names.set(s.client, String.fromCharCode(65+names.size)); if (s.at-time.start < from) continue;
    console.log(names.get(s.client), (s.at - time.start).toFixed(0), s.endedAt === undefined ? "open" : (s.endedAt-time.start).toFixed(0), s.step, s.name.slice(0,8), s.query.get("wait") ?? "");
  }
};
test("mixture", async () => {
  const time = new FakeTime();
  const scene = new Scene();
  const a = scene.client.semaphorePrefix("jobs", 1);
  await a.acquire();
  await time.pass(1000);
  const b = new Watched(scene.client.semaphorePrefix("jobs", 1).acquire());
  await time.pass(3000);
  log(scene, time);
  console.log("OPEN", scene.open.filter(s => s.isBlocking).map(s => s.step));
});
test("foreign between", async () => {
  const time = new FakeTime();
  const scene = new Scene();
  const a = scene.client.semaphorePrefix("jobs", 1);
  await a.acquire();
  await time.pass(1000);
  const b = new Watched(scene.client.semaphorePrefix("jobs", 1).acquire());
  await time.pass(1000);
  const f = new Watched(scene.newClient().semaphorePrefix("jobs", 1).acquire());
  await time.pass(1000);
  const c = new Watched(scene.client.semaphorePrefix("jobs", 1).acquire());
  await time.pass(9000);
  await a.release();
  await time.pass(2000);
  log(scene, time, 11000);
  console.log("OPEN", scene.open.filter(s => s.isBlocking && s.client === scene.client).map(s => s.step), b.outcome, f.outcome, c.outcome);
});
