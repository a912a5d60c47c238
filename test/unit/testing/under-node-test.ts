// Run by Node's own test runner, whose mock timers know nothing of `performance.now`, nor of promises
// that settle between two timers. Both can be had.
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { SemaphoreLostError } from "consul-semaphore";
import { TestConsul } from "consul-semaphore/testing";

/** Lets time pass in steps, with a turn of the real event loop after each. */
async function pass(ms: number): Promise<void> {
  const step = 10;
  for (let passed = 0; passed < ms; passed += step) {
    mock.timers.tick(Math.min(step, ms - passed));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

void test("a slot is held, waited for, and lost", async () => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  mock.method(performance, "now", () => Date.now());
  const consul = new TestConsul();
  const client = consul.client();
  const slot = await client.semaphorePrefix("jobs", 1).acquire();
  await pass(60_000);
  assert.equal(slot.held, true);

  const trying = consul.client().semaphorePrefix("jobs", 1).tryAcquire();
  await pass(15_000);
  assert.equal(await trying, null);

  consul.cut(client);
  await pass(15_000);
  assert.ok(slot.signal.reason instanceof SemaphoreLostError);
  assert.equal(slot.signal.reason.reason, "session-expired");
  await consul.close();
  mock.timers.reset();
  mock.restoreAll();
});
