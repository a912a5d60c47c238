// Unit tests of the service, with Vitest. Consul is in memory and time is Vitest's, so that a minute
// of it takes milliseconds.

import type { SemaphoreSlot } from "consul-semaphore";
import { TestConsul } from "consul-semaphore/testing";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { ResizeService, type Resize } from "./resize-service.js";

let consul: TestConsul;

beforeEach(() => {
  vi.useFakeTimers(); // First, so that no timer of the Consul is a real one.
  consul = new TestConsul();
});

afterEach(async () => {
  await consul.close(); // Also closes the clients.
  vi.useRealTimers();
});

/** Work that takes a minute, or until its signal aborts. */
const aMinute: Resize = (_image, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 60_000);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });

/** The rest of the fleet: takes slots as a process somewhere else would. */
async function takenElsewhere(count: number): Promise<readonly SemaphoreSlot[]> {
  const elsewhere = consul.client();
  return Promise.all(
    Array.from({ length: count }, () => elsewhere.semaphorePrefix("jobs/resize", 3).acquire()),
  );
}

test("resizes while it holds a slot, and gives it back", async () => {
  const service = new ResizeService(consul.client(), aMinute);
  const status = service.handle("cat.png");
  // The session is renewed meanwhile: the methods that end in Async let that happen in between.
  await vi.advanceTimersByTimeAsync(59_999);
  expect(consul.entries).toHaveLength(2); // A contender and the lock.
  await vi.advanceTimersByTimeAsync(1);
  expect(await status).toBe(200);
  expect(consul.entries).toHaveLength(1);
});

test("handles many requests at once, three at a time", async () => {
  const resize = vi.fn(aMinute);
  const service = new ResizeService(consul.client(), resize);
  const statuses = Array.from({ length: 5 }, () => service.handle("cat.png"));
  await vi.advanceTimersByTimeAsync(10_000);
  expect(resize).toHaveBeenCalledTimes(3);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(await Promise.all(statuses)).toEqual([200, 200, 200, 503, 503]);
});

test("waits for a slot", async () => {
  const [slot] = await takenElsewhere(3);
  const resize = vi.fn(() => Promise.resolve());
  const status = new ResizeService(consul.client(), resize).handle("cat.png");
  await vi.advanceTimersByTimeAsync(10_000);
  expect(resize).not.toHaveBeenCalled();
  await slot?.release();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(resize).toHaveBeenCalledOnce();
  expect(await status).toBe(200);
});

test("is busy if there is none within 15 seconds", async () => {
  await takenElsewhere(3);
  const resize = vi.fn(() => Promise.resolve());
  const status = new ResizeService(consul.client(), resize).handle("cat.png");
  await vi.advanceTimersByTimeAsync(15_000);
  expect(await status).toBe(503);
  expect(resize).not.toHaveBeenCalled();
});

test("stops when its session is destroyed", async () => {
  const status = new ResizeService(consul.client(), aMinute).handle("cat.png");
  await vi.advanceTimersByTimeAsync(1_000);
  for (const { id } of consul.sessions) consul.destroySession(id);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await status).toBe(503);
});

test("stops within the TTL when nothing gets through to Consul", async () => {
  const client = consul.client();
  const resize = vi.fn(aMinute);
  const status = new ResizeService(client, resize).handle("cat.png");
  await vi.advanceTimersByTimeAsync(1_000);
  consul.cut(client);
  await vi.advanceTimersByTimeAsync(15_000);
  expect(resize.mock.lastCall?.[1].reason).toMatchObject({ reason: "session-expired" });
  expect(await status).toBe(503);
});

test("survives an election", async () => {
  const status = new ResizeService(consul.client(), aMinute).handle("cat.png");
  await vi.advanceTimersByTimeAsync(1_000);
  consul.loseLeader();
  await vi.advanceTimersByTimeAsync(8_000);
  consul.electLeader();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(await status).toBe(200);
});
