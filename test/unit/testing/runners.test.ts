// The fake timers of other test runners.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

import { TestConsul } from "consul-semaphore/testing";
import { expect, test, vi } from "vitest";

import { pass } from "./test-time.js";

test("what Jest fakes may be faked: all of it", async () => {
  // In a process of its own, Vitest cannot fake `nextTick`; so we must not call it at all.
  const callers: string[] = [];
  const nextTick = process.nextTick.bind(process);
  vi.spyOn(process, "nextTick").mockImplementation((...call) => {
    callers.push(new Error().stack ?? "");
    nextTick(...call);
  });
  vi.useFakeTimers({
    toFake: [
      "Date",
      "hrtime",
      "performance",
      "queueMicrotask",
      "setImmediate",
      "clearImmediate",
      "setInterval",
      "clearInterval",
      "setTimeout",
      "clearTimeout",
    ],
  });
  try {
    const consul = new TestConsul();
    const slot = await consul.client().semaphorePrefix("jobs", 1).acquire();
    const waiting = consul.client().semaphorePrefix("jobs", 1).acquire();
    await pass(60_000);
    consul.destroySession(slot.session);
    await pass(1_000);
    expect(slot.signal.reason).toMatchObject({ reason: "session-invalidated" });
    expect((await waiting).held).toBe(true);
    await consul.close();
    expect(vi.getTimerCount()).toBe(0);
    expect(callers.filter((stack) => stack.includes("/src/"))).toEqual([]);
  } finally {
    vi.useRealTimers();
    vi.restoreAllMocks();
  }
});

test("Node's own runner can do it", { timeout: 60_000 }, async () => {
  const file = join(import.meta.dirname, "under-node-test.ts");
  const args = ["--import", "tsx", "--test", "--test-reporter", "tap", file];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  expect(stdout).toMatch(/^# pass 1$/m);
  expect(stdout).toMatch(/^# fail 0$/m);
});
