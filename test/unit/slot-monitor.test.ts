import { getEventListeners } from "node:events";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { ConsulClient } from "../../src/consul-client.js";
import { ConsulError, type ConsulErrorCode } from "../../src/consul/consul-error.js";
import type { QueryOptions } from "../../src/consul/query.js";
import type { PrefixSnapshot } from "../../src/prefix-snapshot.js";
import {
  SemaphoreConflictError,
  SemaphoreDecodingError,
  SemaphoreRequestError,
  type SemaphoreLostError,
} from "../../src/semaphore-errors.js";
import { SemaphoreStore, type PrefixReading } from "../../src/semaphore-store.js";
import { monitorSlot } from "../../src/slot-monitor.js";

const SESSION = "2d1b6b3e-0d53-4f55-8c4b-3b0a4cf0d1f2";

type Look = (query: QueryOptions) => Promise<PrefixReading>;

/** A store that answers each look as the test says, and remembers what was asked. */
class ScriptedStore extends SemaphoreStore {
  readonly queries: QueryOptions[] = [];
  readonly #looks: Look[];

  /** What comes after the last of `looks` hangs, as a blocking query does. */
  constructor(...looks: Look[]) {
    super(new ConsulClient(), "jobs", {});
    this.#looks = looks;
  }

  override read(query: QueryOptions = {}): Promise<PrefixReading> {
    this.queries.push(query);
    return (this.#looks.shift() ?? hang)(query);
  }
}

/** A blocking query: it lasts until its wait is over or its signal aborts. */
const hang: Look = ({ signal }) =>
  new Promise((_, reject) => {
    signal?.addEventListener("abort", () => {
      reject(new Error("aborted"));
    });
  });

const contender = (session: string) => ({ session, value: null, createIndex: 1n });

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

const requestError = (code: ConsulErrorCode, status?: number): SemaphoreRequestError =>
  new SemaphoreRequestError(
    "SEMAPHORE_READ_FAILED",
    new ConsulError("it failed", { code, status, method: "GET", path: "/v1/kv/jobs/" }),
  );

const unreachable = requestError("CONSUL_UNREACHABLE");

let controller: AbortController;
let start: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  start = performance.now();
  controller = new AbortController();
});

afterEach(() => {
  controller.abort();
  vi.useRealTimers();
});

interface ObservedMonitor {
  end: { readonly loss: SemaphoreLostError | undefined; readonly at: number } | undefined;
}

function monitoring(store: SemaphoreStore, { retries = 0, retryTime = 2_000 } = {}) {
  const observed: ObservedMonitor = { end: undefined };
  const { signal } = controller;
  void monitorSlot(store, { session: SESSION, signal, retries, retryTime }).then((loss) => {
    observed.end = { loss, at: performance.now() - start };
  });
  return observed;
}

/** Enough for the first look, and for all that follows it without a wait. */
const FIRST_LOOK_MS = 1_000;

describe("the monitor of a slot", () => {
  test("looks within a second, asks the leader, and then waits for changes", async () => {
    const store = new ScriptedStore(see({}, 7n), see({}, 9n));
    const observed = monitoring(store);
    await vi.advanceTimersByTimeAsync(FIRST_LOOK_MS);
    expect(store.queries.map(({ index }) => index)).toEqual([0n, 7n, 9n]);
    for (const query of store.queries) {
      expect(query.consistent).toBe(true);
      expect(query.signal).toBe(controller.signal);
    }
    expect(observed.end).toBeUndefined();
  });

  test("starts again from nothing where the index does", async () => {
    const store = new ScriptedStore(see({}, 7n), see({}, 0n), see({}, 3n));
    monitoring(store);
    await vi.advanceTimersByTimeAsync(FIRST_LOOK_MS);
    expect(store.queries.map(({ index }) => index)).toEqual([0n, 7n, 0n, 3n]);
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
    expect(observed.end?.at).toBeLessThanOrEqual(FIRST_LOOK_MS);
    expect(store.queries).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
  });
});

describe("a look that fails", () => {
  test.each([
    ["nobody answers", unreachable],
    ["no answer comes in time", requestError("CONSUL_TIMEOUT")],
    ["there is no leader", requestError("CONSUL_STATUS", 500)],
    ["there are too many connections", requestError("CONSUL_STATUS", 429)],
  ])("is repeated after the retry time, where %s", async (_, error) => {
    const store = new ScriptedStore(see({}, 7n), fail(error), see({}, 9n));
    const observed = monitoring(store, { retries: 1, retryTime: 2_000 });
    await vi.advanceTimersByTimeAsync(FIRST_LOOK_MS);
    expect(store.queries.map(({ index }) => index)).toEqual([0n, 7n]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(store.queries.map(({ index }) => index)).toEqual([0n, 7n, 0n, 9n]);
    expect(observed.end).toBeUndefined();
  });

  test.each([
    ["a request that is forbidden", requestError("CONSUL_STATUS", 403)],
    ["a closed client", requestError("CONSUL_CLOSED")],
  ])("for good costs the slot at once: %s", async (_, error) => {
    const store = new ScriptedStore(see({}), fail(error));
    const observed = monitoring(store, { retries: 5 });
    await vi.advanceTimersByTimeAsync(FIRST_LOOK_MS);
    expect(observed.end?.loss).toMatchObject({ reason: "monitor-failed", cause: error });
    expect(observed.end?.loss?.message).toContain(error.message);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([new SemaphoreConflictError(), new SemaphoreDecodingError("garbage")])(
    "but what shows that somebody overwrote the lock costs the slot for that reason: %s",
    async (error) => {
      const store = new ScriptedStore(see({}), fail(error));
      const observed = monitoring(store, { retries: 5 });
      await vi.advanceTimersByTimeAsync(FIRST_LOOK_MS);
      expect(observed.end?.loss).toMatchObject({ reason: "holder-removed", cause: error });
      expect(vi.getTimerCount()).toBe(0);
    },
  );

  test("has all its retries again after one that succeeded", async () => {
    const retry = { retries: 2, retryTime: 1_000 };
    const twice = [fail(unreachable), fail(unreachable), see({})];
    const store = new ScriptedStore(...twice, ...twice, ...twice);
    const observed = monitoring(store, retry);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(store.queries).toHaveLength(10);
    expect(observed.end).toBeUndefined();
  });
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

  test("comes at once when it is told to while it waits for a retry, and is no loss", async () => {
    const store = new ScriptedStore(fail(unreachable));
    const observed = monitoring(store, { retries: 1, retryTime: 600_000 });
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
});
