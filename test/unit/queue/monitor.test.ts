import { getEventListeners } from "node:events";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { ConsulError } from "../../../src/consul/http/consul-error.js";
import type { PrefixSnapshot } from "../../../src/protocol/snapshot.js";
import type { Subscription, WatchEvents } from "../../../src/queue/prefix-watch.js";
import {
  SemaphoreConflictError,
  SemaphoreDecodingError,
  SemaphoreRequestError,
  type SemaphoreLostError,
} from "../../../src/errors.js";
import { monitorSlot, type WatchedPrefix } from "../../../src/queue/monitor.js";
import { SESSION } from "../session/fake-sessions.js";
import { contender, readingOf } from "../fake-store.js";
import { failure, refusal } from "../failures.js";

const TTL = 16_000;
/** For so long after a good look the monitor leaves it to the renewal to say what is lost. */
const PATIENCE = 2 * TTL;

/** A prefix whose looks show what the test says. */
class FakeWatch implements WatchedPrefix {
  isWatched = false;
  /** Since when, and how, it is watched. */
  readonly subscriptions: (Subscription & { readonly at: number })[] = [];
  readonly #watchers = new Set<WatchEvents>();

  /** How many looks were asked for. */
  looks = 0;

  look(): Promise<void> {
    this.looks += 1;
    return Promise.resolve();
  }

  watch(subscription: Subscription, events: WatchEvents): () => void {
    this.subscriptions.push({ ...subscription, at: performance.now() - start });
    this.#watchers.add(events);
    return () => {
      this.#watchers.delete(events);
    };
  }

  /** How many want to know. */
  get watchers(): number {
    return this.#watchers.size;
  }

  /** A look has shown this, and else the slot as it was. */
  async show(
    snapshot: Partial<PrefixSnapshot>,
    { sentAt = performance.now() } = {},
  ): Promise<void> {
    const reading = { ...readingOf({ ...HELD, ...snapshot }), sentAt };
    for (const { shown } of this.#watchers) shown(reading);
    await vi.advanceTimersByTimeAsync(0);
  }

  /** A look has failed. Returns what pauses the watchers want before the next. */
  async fail(error: unknown): Promise<readonly (number | undefined)[]> {
    const pauses = [...this.#watchers].map(({ failed }) => failed(error));
    await vi.advanceTimersByTimeAsync(0);
    return pauses;
  }
}

const HELD: PrefixSnapshot = {
  limit: 1,
  holders: new Set([SESSION]),
  contenders: [contender(SESSION)],
  lockIndex: 7n,
};

const readFailure = (error: ConsulError): SemaphoreRequestError =>
  new SemaphoreRequestError("SEMAPHORE_READ_FAILED", error);

const unreachable = readFailure(failure("CONSUL_UNREACHABLE"));

let prefix: FakeWatch;
let controller: AbortController;
let held: boolean;
let start: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  start = performance.now();
  controller = new AbortController();
  prefix = new FakeWatch();
  held = true;
});

afterEach(() => {
  controller.abort();
  vi.useRealTimers();
});

interface ObservedMonitor {
  end: { readonly loss: SemaphoreLostError | undefined; readonly at: number } | undefined;
}

function monitoring({ retries = 0, retryTime = 2_000, ttl = TTL } = {}): ObservedMonitor {
  const observed: ObservedMonitor = { end: undefined };
  const { signal } = controller;
  void monitorSlot(prefix, {
    session: SESSION,
    signal,
    held: () => held && !signal.aborted,
    ttl,
    retries,
    retryTime,
  }).then((loss) => {
    observed.end = { loss, at: performance.now() - start };
  });
  return observed;
}

/** One that is past its start. */
async function monitored(given: Parameters<typeof monitoring>[0] = {}): Promise<ObservedMonitor> {
  prefix.isWatched = true;
  const observed = monitoring(given);
  await vi.advanceTimersByTimeAsync(0);
  return observed;
}

/** The monitor has ended, and left nothing behind. */
function expectNothingLeft(): void {
  expect(prefix.watchers).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
  expect(getEventListeners(controller.signal, "abort")).toEqual([]);
}

/** After this comes the first look. */
const FIRST_LOOK_MS = 100;

describe("the monitor of a slot", () => {
  test("watches the prefix after a moment: many a slot is released by then", async () => {
    const observed = monitoring();
    await vi.advanceTimersByTimeAsync(FIRST_LOOK_MS - 1);
    expect(prefix.subscriptions).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(prefix.subscriptions).toMatchObject([{ at: FIRST_LOOK_MS }]);
    expect(observed.end).toBeUndefined();
  });

  test("watches at once where looks are under way anyway", async () => {
    await monitored();
    expect(prefix.subscriptions).toMatchObject([{ at: 0 }]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([
    ["half of a short TTL", 10_000, 5_000, 2_500],
    ["half of the TTL", 24_000, 12_000, 5_000],
    ["half a minute with a long TTL", 3_600_000, 30_000, 5_000],
    ["half a minute without a TTL", Infinity, 30_000, 5_000],
  ])("wants looks of %s, and an answer a little later", async (_, ttl, wait, grace) => {
    await monitored({ ttl });
    expect(prefix.subscriptions).toEqual([{ wait, grace, at: 0 }]);
  });

  test("goes on for as long as nothing is lost, however much changes around the slot", async () => {
    const observed = await monitored();
    for (let number = 0; number < 50; number += 1) {
      await prefix.show({ contenders: [contender(SESSION), contender(`other ${number}`)] });
      await vi.advanceTimersByTimeAsync(60_000);
    }
    expect(observed.end).toBeUndefined();
    expect(prefix.watchers).toBe(1);
  });
});

describe("a slot", () => {
  test.each<[string, string, Partial<PrefixSnapshot>]>([
    ["the session is gone", "session-invalidated", { holders: new Set(), contenders: [] }],
    [
      "the session is gone and another holds",
      "session-invalidated",
      { holders: new Set(["other"]), contenders: [contender("other")] },
    ],
    ["somebody took it out of the holders", "holder-removed", { holders: new Set() }],
    [
      "somebody deleted the lock",
      "holder-removed",
      { holders: new Set(), limit: undefined, lockIndex: 0n },
    ],
    [
      "somebody deleted everything",
      "holder-removed",
      { holders: new Set(), limit: undefined, lockIndex: 0n, contenders: [] },
    ],
  ])("is lost as soon as a look shows that %s: %s", async (_, reason, snapshot) => {
    const observed = await monitored({ retries: 5 });
    await prefix.show({});
    expect(observed.end).toBeUndefined();
    await prefix.show(snapshot);
    expect(observed.end?.loss).toMatchObject({ name: "SemaphoreLostError", reason });
    expectNothingLeft();
  });
});

describe("a look that was asked for before the slot was ours", () => {
  test("tells nothing of it, however late it is answered", async () => {
    await vi.advanceTimersByTimeAsync(10);
    const observed = await monitored();
    await vi.advanceTimersByTimeAsync(100);
    await prefix.show({ holders: new Set() }, { sentAt: start + 9 });
    expect(observed.end).toBeUndefined();
    await prefix.show({ holders: new Set() }, { sentAt: start + 10 });
    expect(observed.end?.loss).toMatchObject({ reason: "holder-removed" });
  });

  test("gives no patience for those that fail", async () => {
    const observed = await monitored();
    await vi.advanceTimersByTimeAsync(PATIENCE);
    await prefix.show({}, { sentAt: start - 1 });
    await prefix.fail(unreachable);
    expect(observed.end?.loss).toMatchObject({ reason: "monitor-failed" });
  });
});

describe("a look that fails within two TTLs after the last that did not", () => {
  test.each([
    ["nobody answers", failure("CONSUL_UNREACHABLE")],
    ["no answer comes in time", failure("CONSUL_TIMEOUT")],
    ["there is no leader", refusal(500, "No cluster leader")],
    ["there are too many connections", refusal(429)],
    ["a proxy answers with a page", failure("CONSUL_BAD_ANSWER", { status: 200 })],
  ])("is none of the monitor's business where %s", async (_, error) => {
    const observed = await monitored();
    await vi.advanceTimersByTimeAsync(PATIENCE - 1);
    expect(await prefix.fail(readFailure(error))).toEqual([undefined]);
    expect(observed.end).toBeUndefined();
    await prefix.show({});
    await vi.advanceTimersByTimeAsync(PATIENCE - 1);
    expect(await prefix.fail(readFailure(error))).toEqual([undefined]);
    expect(observed.end).toBeUndefined();
  });
});

describe("a look that fails later than that", () => {
  test("costs the slot, where there are no retries", async () => {
    const observed = await monitored();
    await vi.advanceTimersByTimeAsync(PATIENCE);
    await prefix.fail(unreachable);
    expect(observed.end?.loss).toMatchObject({ reason: "monitor-failed", cause: unreachable });
    expect(observed.end?.loss?.message).toContain(unreachable.message);
    expectNothingLeft();
  });

  test("counts from when the last good look was told", async () => {
    const observed = await monitored();
    await vi.advanceTimersByTimeAsync(8_000);
    await prefix.show({});
    await vi.advanceTimersByTimeAsync(PATIENCE - 1);
    await prefix.fail(unreachable);
    expect(observed.end).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    await prefix.fail(unreachable);
    expect(observed.end?.loss).toMatchObject({ reason: "monitor-failed" });
  });

  test("is repeated as often as was asked for, after the pause that was asked for", async () => {
    const observed = await monitored({ retries: 2, retryTime: 3_000 });
    await vi.advanceTimersByTimeAsync(PATIENCE);
    expect(await prefix.fail(unreachable)).toEqual([3_000]);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(await prefix.fail(unreachable)).toEqual([3_000]);
    expect(observed.end).toBeUndefined();
    await vi.advanceTimersByTimeAsync(3_000);
    await prefix.fail(unreachable);
    expect(observed.end?.loss).toMatchObject({ reason: "monitor-failed" });
    expect(observed.end?.at).toBe(PATIENCE + 6_000);
  });

  test("is none of the retries where others wanted it sooner", async () => {
    const observed = await monitored({ retries: 1, retryTime: 3_000 });
    await vi.advanceTimersByTimeAsync(PATIENCE);
    await prefix.fail(unreachable);
    for (const [ms, pause] of [
      [50, 1_450],
      [100, 1_350],
      [1_349, 1],
    ] as const) {
      await vi.advanceTimersByTimeAsync(ms);
      expect(await prefix.fail(unreachable)).toEqual([pause]);
    }
    expect(observed.end).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    await prefix.fail(unreachable);
    expect(observed.end?.loss).toMatchObject({ reason: "monitor-failed" });
  });

  test("has all its retries again after one that succeeded", async () => {
    const observed = await monitored({ retries: 2, retryTime: 1_000, ttl: Infinity });
    for (let round = 0; round < 3; round += 1) {
      expect(await prefix.fail(unreachable)).toEqual([1_000]);
      await vi.advanceTimersByTimeAsync(1_000);
      expect(await prefix.fail(unreachable)).toEqual([1_000]);
      await prefix.show({});
    }
    expect(observed.end).toBeUndefined();
  });

  test("is any at all where the session has no TTL", async () => {
    const observed = await monitored({ retries: 2, retryTime: 1_000, ttl: Infinity });
    await prefix.show({});
    expect(await prefix.fail(unreachable)).toEqual([1_000]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await prefix.fail(unreachable)).toEqual([1_000]);
    await vi.advanceTimersByTimeAsync(1_000);
    await prefix.fail(unreachable);
    expect(observed.end?.loss).toMatchObject({ reason: "monitor-failed" });
    expect(observed.end?.at).toBe(2_000);
  });

  test("costs a slot without a TTL at once where there are no retries", async () => {
    const observed = await monitored({ ttl: Infinity });
    await prefix.show({});
    await prefix.fail(unreachable);
    expect(observed.end?.at).toBe(0);
    expect(observed.end?.loss).toMatchObject({ reason: "monitor-failed", cause: unreachable });
  });
});

describe("a look that fails for good", () => {
  test.each([
    ["a request that is forbidden", refusal(403)],
    ["a wrong request", refusal(400)],
    ["a closed client", failure("CONSUL_CLOSED")],
  ])("costs the slot at once: %s", async (_, error) => {
    const observed = await monitored({ retries: 5 });
    await prefix.show({});
    await prefix.fail(readFailure(error));
    expect(observed.end?.loss).toMatchObject({ reason: "monitor-failed", cause: { cause: error } });
    expect(observed.end?.loss?.message).toContain(error.message);
    expectNothingLeft();
  });

  test.each([new SemaphoreConflictError(), new SemaphoreDecodingError("garbage")])(
    "because somebody overwrote the lock costs the slot for that reason: %s",
    async (error) => {
      const observed = await monitored({ retries: 5 });
      await prefix.show({});
      await prefix.fail(error);
      expect(observed.end?.loss).toMatchObject({ reason: "holder-removed", cause: error });
      expectNothingLeft();
    },
  );
});

describe("the end of the monitor", () => {
  test.each([
    ["before the first look", 10],
    ["during a look", FIRST_LOOK_MS],
  ])("comes at once when it is told to %s, and is no loss", async (_, ms) => {
    const observed = monitoring();
    await vi.advanceTimersByTimeAsync(ms);
    controller.abort();
    await vi.advanceTimersByTimeAsync(0);
    expect(observed.end).toEqual({ loss: undefined, at: ms });
    expectNothingLeft();
  });

  test.each([
    ["within the TTL", TTL],
    ["beyond it", Infinity],
  ])("comes at once after a failure %s, and is no loss", async (_, ttl) => {
    const observed = await monitored({ retries: 1, retryTime: 600_000, ttl });
    await prefix.fail(unreachable);
    controller.abort();
    await vi.advanceTimersByTimeAsync(0);
    expect(observed.end).toEqual({ loss: undefined, at: 0 });
    expectNothingLeft();
  });

  test("comes before anything is asked where it was told to before the start", async () => {
    controller.abort();
    const observed = monitoring();
    await vi.advanceTimersByTimeAsync(0);
    expect(observed.end).toEqual({ loss: undefined, at: 0 });
    expect(prefix.subscriptions).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("comes before anything is asked where the slot is no longer held by the clock", async () => {
    const observed = monitoring();
    held = false;
    await vi.advanceTimersByTimeAsync(FIRST_LOOK_MS);
    expect(observed.end).toEqual({ loss: undefined, at: FIRST_LOOK_MS });
    expect(prefix.subscriptions).toEqual([]);
  });

  test("is the signal's to tell where the slot is no longer held by the clock", async () => {
    const observed = await monitored({ ttl: Infinity });
    held = false;
    await prefix.show({ holders: new Set() });
    await prefix.fail(unreachable);
    await prefix.fail(new SemaphoreConflictError());
    expect(observed.end).toBeUndefined();
    controller.abort();
    await vi.advanceTimersByTimeAsync(0);
    expect(observed.end).toEqual({ loss: undefined, at: 0 });
    expectNothingLeft();
  });
});
