import { getEventListeners } from "node:events";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { ConsulError } from "../../src/consul/consul-error.js";
import type { QueryOptions } from "../../src/consul/query.js";
import type { PrefixSnapshot } from "../../src/prefix-snapshot.js";
import {
  SemaphoreConflictError,
  SemaphoreDecodingError,
  SemaphoreRequestError,
  type SemaphoreLostError,
} from "../../src/semaphore-errors.js";
import type { PrefixReading } from "../../src/semaphore-store.js";
import { monitorSlot } from "../../src/slot-monitor.js";
import { SESSION } from "./fake-sessions.js";
import { contender, FakeStore } from "./fake-store.js";
import { after, failure, refusal } from "./failures.js";

const TTL = 16_000;
/** For so long after a good look the monitor leaves it to the renewal to say what is lost. */
const PATIENCE = 2 * TTL;

type Look = (query: QueryOptions) => Promise<PrefixReading>;

/** A store that answers each look as the test says. */
class ScriptedStore extends FakeStore {
  /** What comes after the last of `looks` hangs, as a blocking query does. */
  constructor(...looks: Look[]) {
    super();
    this.onRead = (query) => (looks.shift() ?? hang)(query);
  }

  get queries(): readonly QueryOptions[] {
    return this.calls.flatMap(({ options }) => (options === undefined ? [] : [options]));
  }

  get indexes(): readonly (bigint | undefined)[] {
    return this.queries.map(({ index }) => index);
  }

  /** When each look was made, from the start. */
  get times(): readonly number[] {
    return this.calls.map(({ at }) => at - start);
  }
}

/** A blocking query: it lasts until its wait is over or its signal aborts. */
const hang: Look = ({ signal }) =>
  new Promise((_, reject) => {
    signal?.addEventListener("abort", () => {
      reject(new Error("aborted"));
    });
  });

const HELD: PrefixSnapshot = {
  limit: 1,
  holders: new Set([SESSION]),
  contenders: [contender(SESSION)],
  lockIndex: 7n,
};

const see =
  (snapshot: Partial<PrefixSnapshot>, nextIndex = 7n): Look =>
  () =>
    Promise.resolve({ snapshot: { ...HELD, ...snapshot }, nextIndex });

const fail =
  (error: unknown): Look =>
  () =>
    Promise.reject(error);

const readFailure = (error: ConsulError): SemaphoreRequestError =>
  new SemaphoreRequestError("SEMAPHORE_READ_FAILED", error);

const unreachable = readFailure(failure("CONSUL_UNREACHABLE"));

let controller: AbortController;
let held: boolean;
let start: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  // Each pause in full.
  vi.spyOn(Math, "random").mockReturnValue(0);
  start = performance.now();
  controller = new AbortController();
  held = true;
});

afterEach(() => {
  controller.abort();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

interface ObservedMonitor {
  end: { readonly loss: SemaphoreLostError | undefined; readonly at: number } | undefined;
}

function monitoring(
  store: FakeStore,
  { retries = 0, retryTime = 2_000, ttl = TTL } = {},
): ObservedMonitor {
  const observed: ObservedMonitor = { end: undefined };
  const { signal } = controller;
  void monitorSlot(store, {
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

/** After this comes the first look. */
const FIRST_LOOK_MS = 100;

describe("the monitor of a slot", () => {
  test("looks after a moment, asks the leader, and then waits for changes", async () => {
    const store = new ScriptedStore(see({}, 7n), see({}, 9n));
    const observed = monitoring(store);
    await vi.advanceTimersByTimeAsync(FIRST_LOOK_MS - 1);
    expect(store.queries).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(store.indexes).toEqual([0n, 7n, 9n]);
    for (const query of store.queries) {
      expect(query.consistent).toBe(true);
      expect(query.signal).toBe(controller.signal);
    }
    expect(observed.end).toBeUndefined();
  });

  test.each([
    ["half of a short TTL", 10_000, 5_000, 2_500],
    ["half of the TTL", 24_000, 12_000, 5_000],
    ["half a minute with a long TTL", 3_600_000, 30_000, 5_000],
    ["half a minute without a TTL", Infinity, 30_000, 5_000],
  ])("waits for %s at a time, and for an answer a little longer", async (_, ttl, wait, grace) => {
    const store = new ScriptedStore();
    monitoring(store, { ttl });
    await vi.advanceTimersByTimeAsync(FIRST_LOOK_MS);
    // Consul itself adds up to a sixteenth.
    expect(store.queries).toMatchObject([{ wait, timeout: wait + wait / 16 + grace }]);
  });

  test("starts again from nothing where the index does", async () => {
    const store = new ScriptedStore(see({}, 7n), see({}, 0n), see({}, 3n));
    monitoring(store);
    await vi.advanceTimersByTimeAsync(FIRST_LOOK_MS);
    expect(store.indexes).toEqual([0n, 7n, 0n, 3n]);
  });

  test("goes on for as long as nothing is lost, however much changes around the slot", async () => {
    const others = Array.from({ length: 50 }, (_, number) =>
      see({ contenders: [contender(SESSION), contender(`other ${number}`)] }),
    );
    const store = new ScriptedStore(...others);
    const observed = monitoring(store);
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(store.queries).toHaveLength(51);
    expect(observed.end).toBeUndefined();
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
    const store = new ScriptedStore(see({}), see(snapshot));
    const observed = monitoring(store, { retries: 5 });
    await vi.advanceTimersByTimeAsync(FIRST_LOOK_MS);
    expect(observed.end?.loss).toMatchObject({ name: "SemaphoreLostError", reason });
    expect(observed.end?.at).toBe(FIRST_LOOK_MS);
    expect(store.queries).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
  });
});

describe("a look that fails within two TTLs after the last that did not", () => {
  test.each([
    ["nobody answers", failure("CONSUL_UNREACHABLE")],
    ["no answer comes in time", failure("CONSUL_TIMEOUT")],
    ["there is no leader", refusal(500, "No cluster leader")],
    ["there are too many connections", refusal(429)],
    ["a proxy answers with a page", failure("CONSUL_BAD_ANSWER", { status: 200 })],
  ])("is repeated soon, from the beginning, where %s", async (_, error) => {
    const store = new ScriptedStore(see({}, 7n), fail(readFailure(error)), see({}, 9n));
    const observed = monitoring(store);
    await vi.advanceTimersByTimeAsync(FIRST_LOOK_MS + 49);
    expect(store.indexes).toEqual([0n, 7n]);
    await vi.advanceTimersByTimeAsync(1);
    expect(store.indexes).toEqual([0n, 7n, 0n, 9n]);
    expect(observed.end).toBeUndefined();
  });

  test("is repeated after pauses that grow to half a second", async () => {
    const store = new ScriptedStore(...Array.from({ length: 7 }, () => fail(unreachable)));
    monitoring(store);
    await vi.advanceTimersByTimeAsync(FIRST_LOOK_MS + 2_250);
    const times = store.times.map((at) => at - FIRST_LOOK_MS);
    expect(times).toEqual([0, 50, 150, 350, 750, 1_250, 1_750, 2_250]);
  });

  test("is repeated after pauses that are shortened by chance, to a half at the least", async () => {
    vi.spyOn(Math, "random").mockReturnValue(1);
    const store = new ScriptedStore(fail(unreachable), fail(unreachable));
    monitoring(store);
    await vi.advanceTimersByTimeAsync(FIRST_LOOK_MS + 75);
    expect(store.times).toEqual([100, 125, 175]);
  });

  test("is repeated after short pauses again when one has succeeded", async () => {
    const bad = [fail(unreachable), fail(unreachable)];
    const store = new ScriptedStore(...bad, see({}), ...bad);
    monitoring(store);
    await vi.advanceTimersByTimeAsync(FIRST_LOOK_MS + 300);
    expect(store.times).toEqual([100, 150, 250, 250, 300, 400]);
  });
});

describe("a look that fails later than that", () => {
  test("costs the slot, where there are no retries", async () => {
    const store = new FakeStore();
    store.onRead = () => Promise.reject(unreachable);
    const observed = monitoring(store);
    await vi.advanceTimersByTimeAsync(PATIENCE - 1);
    expect(observed.end).toBeUndefined();
    await vi.advanceTimersByTimeAsync(501);
    expect(observed.end?.loss).toMatchObject({ reason: "monitor-failed", cause: unreachable });
    expect(observed.end?.loss?.message).toContain(unreachable.message);
    expect(observed.end?.at).toBeGreaterThanOrEqual(PATIENCE);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("counts from when the last good look was answered, not from when it was sent", async () => {
    const slow = 8_000;
    const store = new ScriptedStore(see({}), () => after(slow, { snapshot: HELD, nextIndex: 7n }));
    const observed = monitoring(store);
    await vi.advanceTimersByTimeAsync(FIRST_LOOK_MS + slow - 1);
    store.onRead = () => Promise.reject(unreachable);
    await vi.advanceTimersByTimeAsync(PATIENCE);
    expect(observed.end).toBeUndefined();
    await vi.advanceTimersByTimeAsync(501);
    expect(observed.end?.loss).toMatchObject({ reason: "monitor-failed" });
  });

  test("is repeated as often as was asked for, after the pause that was asked for", async () => {
    const store = new FakeStore();
    store.onRead = () => Promise.reject(unreachable);
    const observed = monitoring(store, { retries: 2, retryTime: 3_000 });
    await vi.advanceTimersByTimeAsync(PATIENCE + 10_000);
    const late = store.calls.map(({ at }) => at - start).filter((at) => at >= PATIENCE);
    expect(late).toHaveLength(3);
    const [first = NaN] = late;
    expect(late).toEqual([first, first + 3_000, first + 6_000]);
    expect(observed.end?.loss).toMatchObject({ reason: "monitor-failed" });
    expect(observed.end?.at).toBe(first + 6_000);
  });

  test("has all its retries again after one that succeeded", async () => {
    const twice = [fail(unreachable), fail(unreachable), see({})];
    const store = new ScriptedStore(...twice, ...twice, ...twice);
    const observed = monitoring(store, { retries: 2, retryTime: 1_000, ttl: Infinity });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(store.queries).toHaveLength(10);
    expect(observed.end).toBeUndefined();
  });

  test("is any at all where the session has no TTL", async () => {
    const store = new ScriptedStore(see({}), ...Array.from({ length: 3 }, () => fail(unreachable)));
    const observed = monitoring(store, { retries: 2, retryTime: 1_000, ttl: Infinity });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(store.times).toEqual([100, 100, 1_100, 2_100]);
    expect(observed.end?.loss).toMatchObject({ reason: "monitor-failed" });
    expect(observed.end?.at).toBe(2_100);
  });

  test("costs a slot without a TTL at once where there are no retries", async () => {
    const store = new ScriptedStore(see({}), fail(unreachable));
    const observed = monitoring(store, { ttl: Infinity });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(observed.end?.at).toBe(FIRST_LOOK_MS);
    expect(observed.end?.loss).toMatchObject({ reason: "monitor-failed", cause: unreachable });
  });
});

describe("a look that fails for good", () => {
  test.each([
    ["a request that is forbidden", refusal(403)],
    ["a wrong request", refusal(400)],
    ["a closed client", failure("CONSUL_CLOSED")],
  ])("costs the slot at once: %s", async (_, error) => {
    const store = new ScriptedStore(see({}), fail(readFailure(error)));
    const observed = monitoring(store, { retries: 5 });
    await vi.advanceTimersByTimeAsync(FIRST_LOOK_MS);
    expect(observed.end?.loss).toMatchObject({ reason: "monitor-failed", cause: { cause: error } });
    expect(observed.end?.loss?.message).toContain(error.message);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([new SemaphoreConflictError(), new SemaphoreDecodingError("garbage")])(
    "because somebody overwrote the lock costs the slot for that reason: %s",
    async (error) => {
      const store = new ScriptedStore(see({}), fail(error));
      const observed = monitoring(store, { retries: 5 });
      await vi.advanceTimersByTimeAsync(FIRST_LOOK_MS);
      expect(observed.end?.loss).toMatchObject({ reason: "holder-removed", cause: error });
      expect(vi.getTimerCount()).toBe(0);
    },
  );
});

describe("the end of the monitor", () => {
  test.each([
    ["before the first look", 10],
    ["during a blocking query", FIRST_LOOK_MS],
  ])("comes at once when it is told to %s, and is no loss", async (_, ms) => {
    const observed = monitoring(new ScriptedStore(see({})));
    await vi.advanceTimersByTimeAsync(ms);
    controller.abort();
    await vi.advanceTimersByTimeAsync(0);
    expect(observed.end).toEqual({ loss: undefined, at: ms });
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([
    ["within the TTL", TTL],
    ["beyond it", Infinity],
  ])("comes at once during a pause %s, and is no loss", async (_, ttl) => {
    const store = new ScriptedStore(fail(unreachable));
    const observed = monitoring(store, { retries: 1, retryTime: 600_000, ttl });
    await vi.advanceTimersByTimeAsync(FIRST_LOOK_MS);
    controller.abort();
    await vi.advanceTimersByTimeAsync(0);
    expect(observed.end).toEqual({ loss: undefined, at: FIRST_LOOK_MS });
    expect(store.queries).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("comes before anything is asked where it was told to before the start", async () => {
    controller.abort();
    const store = new ScriptedStore();
    const observed = monitoring(store);
    await vi.advanceTimersByTimeAsync(0);
    expect(observed.end).toEqual({ loss: undefined, at: 0 });
    expect(store.queries).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([
    ["before a look", 0],
    ["during a look, whose answer then counts for nothing", 1],
  ])("comes where the slot is no longer held by the clock: %s", async (_, looks) => {
    const store = new ScriptedStore(() => {
      held = false;
      return see({ holders: new Set() })({});
    });
    const observed = monitoring(store);
    held = looks > 0;
    await vi.advanceTimersByTimeAsync(FIRST_LOOK_MS);
    expect(observed.end).toEqual({ loss: undefined, at: FIRST_LOOK_MS });
    expect(store.queries).toHaveLength(looks);
  });
});
