import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { KVEntry } from "../../../src/consul/kv.js";
import { SEMAPHORE_FLAG_VALUE } from "../../../src/protocol/lock-entry.js";
import { PrefixRequests, wordsOf } from "../../../src/queue/requests.js";
import { WatchQuota } from "../../../src/queue/watch-quota.js";
import { FakeKV } from "../fake-kv.js";
import { read, SESSION } from "../session/fake-sessions.js";
import { after, hang, inTurn, refusal } from "../failures.js";
import { Watched } from "../outcome.js";
import { rejectionOf } from "../rejection.js";

const SCOPE = { namespace: "team-a", partition: "west" };
const LOCK = "jobs/.lock";
const CONTENDER = `jobs/${SESSION}`;

let kv: FakeKV;
let requests: PrefixRequests;
let start: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  // Each pause in full.
  vi.spyOn(Math, "random").mockReturnValue(0);
  start = performance.now();
  kv = new FakeKV();
  requests = new PrefixRequests({ kv }, "jobs//", SCOPE);
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function entry(given: Partial<KVEntry> = {}): KVEntry {
  return {
    key: LOCK,
    value: null,
    flags: SEMAPHORE_FLAG_VALUE,
    session: null,
    createIndex: 1n,
    modifyIndex: 5n,
    lockIndex: 0n,
    ...given,
  };
}

/** A lock entry with these holders. */
function lock(limit: number, holders: readonly string[], modifyIndex = 5n): KVEntry {
  const Holders = Object.fromEntries(holders.map((id) => [id, true]));
  const value = Buffer.from(JSON.stringify({ Limit: limit, Holders }));
  return entry({ value: new Uint8Array(value), modifyIndex });
}

const OURS = entry({ key: CONTENDER, session: SESSION, modifyIndex: 6n });

describe("a reading of the whole prefix", () => {
  test("lists what is below it consistently, with the lock's value alone, and says when", async () => {
    kv.onList = () => after(20, undefined).then(() => read([lock(3, [SESSION]), OURS]));
    const reading = new Watched(requests.readAll({ timeout: 1_000 }));
    await vi.advanceTimersByTimeAsync(20);
    expect(kv.calls).toEqual([
      {
        method: "list",
        key: "jobs/",
        options: { ...SCOPE, consistent: true, timeout: 1_000, valueAt: LOCK },
      },
    ]);
    expect(reading.outcome).toMatchObject({
      value: {
        snapshot: {
          lock: { limit: 3, holders: new Set([SESSION]), modifyIndex: 5n },
          contenders: [{ session: SESSION }],
        },
        sentAt: start,
        now: start + 20,
      },
    });
  });

  test("fails where the lock entry is somebody else's", async () => {
    kv.onList = () => read([entry({ flags: 5n })]);
    expect(await rejectionOf(requests.readAll())).toMatchObject({ code: "SEMAPHORE_CONFLICT" });
  });
});

describe("a reading of the lock entry", () => {
  test("is consistent, in its scope, and has the index to wait on", async () => {
    kv.onGet = () => read(lock(3, ["a"]), 23n);
    const reading = await requests.readLock({ index: 3n, wait: 1_000, timeout: 2_000 });
    expect(kv.calls).toMatchObject([
      {
        method: "get",
        key: LOCK,
        options: { ...SCOPE, consistent: true, index: 3n, wait: 1_000, timeout: 2_000 },
      },
    ]);
    // Its own index: it may change between that and the newest that Consul reports.
    expect(reading).toMatchObject({ lock: { holders: new Set(["a"]) }, index: 5n });
  });

  test("that is not there is waited for from Consul's index on", async () => {
    kv.onGet = () => read(null, 23n);
    const { lock: state, index } = await requests.readLock();
    expect(state).toEqual({ limit: undefined, holders: new Set(), modifyIndex: 0n });
    expect(index).toBe(23n);
  });

  test("fails where it says what no semaphore writes", async () => {
    kv.onGet = () => read(entry({ value: Uint8Array.of(1, 2, 3) }));
    expect(await rejectionOf(requests.readLock())).toMatchObject({
      code: "SEMAPHORE_LOCK_DECODING_FAILED",
    });
  });
});

describe("a reading of a contender entry", () => {
  test.each([[OURS], [null]])("is one of its key alone: %o", async (found) => {
    kv.onGet = () => read(found);
    expect(await requests.readContender(SESSION, { index: 3n, wait: 100 })).toEqual(found);
    expect(kv.calls).toMatchObject([
      {
        method: "get",
        key: CONTENDER,
        options: { ...SCOPE, consistent: true, index: 3n, wait: 100 },
      },
    ]);
  });
});

describe("a blocking query", () => {
  const QUERY = { index: 5n, wait: 16_000 };

  test("that is answered at once again and again is no load: something drops its wait", async () => {
    kv.onGet = () => read(lock(1, ["a"]));
    const sent: number[] = [];
    const asking = (async () => {
      while (sent.length < 7) {
        sent.push(performance.now() - start);
        await requests.readLock(QUERY);
      }
    })();
    await vi.advanceTimersByTimeAsync(5_000);
    await asking;
    expect(sent).toEqual([0, 50, 150, 350, 750, 1_250, 1_750]);
  });

  test("that shows a change is answered without delay, and has the pauses begin anew", async () => {
    const quick = () => read<KVEntry | null>(lock(1, ["a"]));
    const news = () => read<KVEntry | null>(lock(1, ["b"], 8n));
    kv.onGet = inTurn(quick, quick, news, quick);
    for (const ms of [50, 100, 0, 50]) {
      const sentAt = performance.now();
      const reading = new Watched(requests.readLock(QUERY));
      await vi.advanceTimersByTimeAsync(1_000);
      expect(reading.outcome).toMatchObject({ at: sentAt + ms });
    }
  });

  test("that has waited as it should is answered without delay", async () => {
    kv.onGet = () => after(16_000, undefined).then(() => read<KVEntry | null>(lock(1, ["a"])));
    const reading = new Watched(requests.readLock(QUERY));
    await vi.advanceTimersByTimeAsync(20_000);
    expect(reading.outcome).toMatchObject({ at: start + 16_000 });
  });

  test("that is given up during such a pause ends at once", async () => {
    kv.onGet = () => read(lock(1, ["a"]));
    const controller = new AbortController();
    const reading = new Watched(requests.readLock({ ...QUERY, signal: controller.signal }));
    await vi.advanceTimersByTimeAsync(10);
    controller.abort();
    await vi.advanceTimersByTimeAsync(0);
    expect(reading.outcome).toMatchObject({ at: start + 10 });
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("looks in place of a blocking query", () => {
  const QUERY = { index: 5n, wait: 4_000, timeout: 6_250 };
  const unchanged = () => read<KVEntry | null>(lock(1, ["a"]));
  const failing = () => Promise.reject(refusal(500, "No cluster leader"));

  beforeEach(() => {
    const watches = new WatchQuota();
    // With no query under way, no connection is left for one.
    watches.giveWay();
    requests = new PrefixRequests({ kv }, "jobs//", SCOPE, watches);
  });

  test("last as long as its wait where nothing changes", async () => {
    kv.onGet = unchanged;
    const reading = new Watched(requests.readLock(QUERY));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(reading.outcome).toMatchObject({ at: start + 4_000, value: { index: 5n } });
    expect(kv.calls.every(({ options }) => options.index === undefined)).toBe(true);
  });

  test("are not what a wait of a few milliseconds needs, which occupies none for long", async () => {
    kv.onGet = unchanged;
    const reading = new Watched(requests.readLock({ ...QUERY, wait: 1 }));
    await vi.advanceTimersByTimeAsync(1);
    expect(reading.outcome).toMatchObject({ value: { index: 5n } });
    expect(kv.calls.map(({ options }) => options.index)).toEqual([5n]);
  });

  test("have read the key where the last of them fails", async () => {
    kv.onGet = inTurn(unchanged, unchanged, unchanged, failing);
    const reading = new Watched(requests.readLock(QUERY));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(reading.outcome).toMatchObject({ at: start + 2_000, value: { index: 5n } });
    expect(kv.calls).toHaveLength(4);
  });

  test("have failed where the first of them does", async () => {
    kv.onGet = inTurn(failing, unchanged);
    const reading = new Watched(requests.readLock(QUERY));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(reading.outcome).toMatchObject({
      at: start + 500,
      error: { code: "SEMAPHORE_READ_FAILED" },
    });
  });

  test("end with the wait, whatever they have read", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    kv.onGet = () => (kv.calls.length === 1 ? unchanged() : hang({ signal }));
    const reading = new Watched(requests.readLock({ ...QUERY, signal }));
    await vi.advanceTimersByTimeAsync(1_200);
    controller.abort("enough");
    await vi.advanceTimersByTimeAsync(0);
    expect(reading.outcome).toMatchObject({ at: start + 1_200, error: "enough" });
  });
});

describe("whether sessions contend", () => {
  const sessions = (count: number): readonly string[] =>
    Array.from({ length: count }, (_, i) => `session-${i}`);

  test("is one request that only reads, consistently", async () => {
    kv.onTxn = () => Promise.resolve({ applied: true, entries: [] });
    expect(await requests.areAlive(["a", "b"], { timeout: 1_000 })).toBe(true);
    expect(kv.calls).toEqual([
      {
        method: "txn",
        operations: [
          { verb: "check-session", key: "jobs/a", session: "a" },
          { verb: "check-session", key: "jobs/b", session: "b" },
        ],
        options: { ...SCOPE, consistent: true, timeout: 1_000, valueAt: LOCK },
      },
    ]);
  });

  test("is denied where Consul finds one that does not", async () => {
    const errors = [{ operation: 1, what: "not the session" }];
    kv.onTxn = () => Promise.resolve({ applied: false, errors });
    expect(await requests.areAlive(["a", "b"])).toBe(false);
  });

  test("takes as many requests as Consul's limit of operations asks for", async () => {
    kv.onTxn = () => Promise.resolve({ applied: true, entries: [] });
    expect(await requests.areAlive(sessions(130))).toBe(true);
    expect(kv.transactions.map(({ length }) => length)).toEqual([64, 64, 2]);
  });

  test("needs no other request once one is found that does not", async () => {
    kv.onTxn = () => Promise.resolve({ applied: false, errors: [] });
    expect(await requests.areAlive(sessions(130))).toBe(false);
    expect(kv.transactions).toHaveLength(1);
  });

  test("needs none where there are none", async () => {
    expect(await requests.areAlive([])).toBe(true);
    expect(kv.calls).toEqual([]);
  });
});

describe("the lock, if sessions contend,", () => {
  test("is read with them in one request", async () => {
    kv.onTxn = () => Promise.resolve({ applied: true, entries: [lock(2, ["a"], 7n)] });
    const reading = await requests.readLockIfAlive(["a"], { timeout: 1_000 });
    expect(reading).toMatchObject({ lock: { limit: 2, modifyIndex: 7n }, index: 7n });
    expect(kv.transactions).toEqual([
      [
        { verb: "get", key: "jobs/.lock" },
        { verb: "check-session", key: "jobs/a", session: "a" },
      ],
    ]);
  });

  test("is nothing where one of them does not, or there is no lock", async () => {
    kv.onTxn = () => Promise.resolve({ applied: false, errors: [] });
    expect(await requests.readLockIfAlive(["a"])).toBeUndefined();
    kv.onTxn = () => Promise.resolve({ applied: true, entries: [] });
    expect(await requests.readLockIfAlive(["a"])).toBeUndefined();
  });
});

describe("writes", () => {
  test("are transactions in the scope, and never a consistent read", async () => {
    kv.onTxn = () => Promise.resolve({ applied: true, entries: [OURS] });
    const { transactions } = requests;
    const operations = transactions.enter({ session: SESSION, value: "a value" });
    const outcome = await requests.transact(operations, "SEMAPHORE_CONTENDER_FAILED", {
      timeout: 1_000,
    });
    expect(outcome).toEqual({ applied: true, entries: [OURS] });
    expect(kv.calls).toMatchObject([{ operations, options: { ...SCOPE, timeout: 1_000 } }]);
    expect(kv.calls[0]?.options).not.toHaveProperty("consistent");
  });

  test("that are refused are reported in Consul's words", () => {
    const errors = [
      { operation: 0, what: "key is stale" },
      { operation: 1, what: "session is gone" },
    ];
    expect(wordsOf({ applied: false, errors })).toBe("key is stale, session is gone");
  });

  test("delete a contender entry by its key", async () => {
    await requests.deleteContender(SESSION, { timeout: 1_000 });
    expect(kv.calls).toEqual([
      { method: "delete", key: CONTENDER, options: { ...SCOPE, timeout: 1_000 } },
    ]);
  });

  test.each([true, false])("delete the lock entry only as it was read: %s", async (deleted) => {
    kv.onDeleteCas = () => Promise.resolve(deleted);
    const state = { limit: 3, holders: new Set<string>(), modifyIndex: 5n };
    expect(await requests.deleteLock(state)).toBe(deleted);
    expect(kv.calls).toEqual([{ method: "deleteCas", key: LOCK, modifyIndex: 5n, options: SCOPE }]);
  });
});

describe("a request that fails", () => {
  const code = "SEMAPHORE_UPDATE_FAILED";
  const calls: readonly [string, (options: { signal?: AbortSignal }) => Promise<unknown>][] = [
    ["SEMAPHORE_READ_FAILED", (options) => requests.readAll(options)],
    ["SEMAPHORE_READ_FAILED", (options) => requests.readLock(options)],
    ["SEMAPHORE_READ_FAILED", (options) => requests.readContender(SESSION, options)],
    ["SEMAPHORE_READ_FAILED", (options) => requests.areAlive([SESSION], options)],
    ["SEMAPHORE_UPDATE_FAILED", (options) => requests.transact([], code, options)],
    ["SEMAPHORE_LEAVE_FAILED", (options) => requests.deleteContender(SESSION, options)],
  ];

  function failingWith(error: unknown): void {
    const fail = (): Promise<never> => Promise.reject(error);
    kv.onList = fail;
    kv.onGet = fail;
    kv.onTxn = fail;
    kv.onDelete = fail;
    kv.onDeleteCas = fail;
  }

  test.each([
    [500, true],
    [403, false],
  ])("is named for its step, with what Consul said: %d", async (status, retryable) => {
    const cause = refusal(status);
    failingWith(cause);
    for (const [name, call] of calls) {
      expect(await rejectionOf(call({}))).toMatchObject({ code: name, cause, retryable });
    }
    const state = { limit: 3, holders: new Set<string>(), modifyIndex: 5n };
    expect(await rejectionOf(requests.deleteLock(state))).toMatchObject({
      code: "SEMAPHORE_REMOVE_FAILED",
      cause,
    });
  });

  test("because it was given up is no failure, and keeps its reason", async () => {
    failingWith(refusal(500));
    const reason = new Error("enough");
    for (const [, call] of calls) {
      expect(await rejectionOf(call({ signal: AbortSignal.abort(reason) }))).toBe(reason);
    }
  });
});
