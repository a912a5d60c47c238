import { beforeEach, describe, expect, test } from "vitest";

import type { ConsulEndpoints } from "../../../src/consul/endpoints.js";
import type { KVEntry } from "../../../src/consul/kv.js";
import type { KVOperation, TransactionOutcome } from "../../../src/consul/transaction.js";
import { SEMAPHORE_FLAG_VALUE, type PrefixSnapshot } from "../../../src/protocol/snapshot.js";
import type { SemaphoreLock } from "../../../src/protocol/lock-entry.js";
import { SemaphoreStore } from "../../../src/queue/requests.js";
import { FakeKV } from "../fake-kv.js";
import { FakeSessions, read, SESSION } from "../session/fake-sessions.js";
import { contender } from "../fake-store.js";
import { inTurn, refusal } from "../failures.js";
import { rejectionOf } from "../rejection.js";

const SCOPE = { namespace: "team-a", partition: "west" };
const LOCK = "jobs/.lock";
const CONTENDER = `jobs/${SESSION}`;

let kv: FakeKV;
let store: SemaphoreStore;

beforeEach(() => {
  kv = new FakeKV();
  const consul: ConsulEndpoints = { kv, session: new FakeSessions() };
  store = new SemaphoreStore(consul, "jobs", SCOPE);
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

const lockText = (limit: number, ...holders: readonly string[]): string =>
  JSON.stringify({ Limit: limit, Holders: Object.fromEntries(holders.map((id) => [id, true])) });

/** A lock entry with these holders. */
const lock = (limit: number, holders: readonly string[], modifyIndex = 5n): KVEntry =>
  entry({ value: new Uint8Array(Buffer.from(lockText(limit, ...holders))), modifyIndex });

const applied =
  (...entries: readonly KVEntry[]) =>
  (): Promise<TransactionOutcome> =>
    Promise.resolve({ applied: true, entries });

const refused =
  (...words: readonly string[]) =>
  (): Promise<TransactionOutcome> =>
    Promise.resolve({
      applied: false,
      errors: words.map((what, operation) => ({ operation, what })),
    });

function snapshot(holders: readonly string[], lockIndex = 5n): PrefixSnapshot {
  return {
    limit: lockIndex === 0n ? undefined : 3,
    holders: new Set(holders),
    contenders: [...holders, SESSION].map((session) => contender(session)),
    lockIndex,
  };
}

const writesLock = (value: string) => ({ key: LOCK, value, flags: SEMAPHORE_FLAG_VALUE });

const CHECK_OURS = { verb: "check-session", key: CONTENDER, session: SESSION };

describe("joining", () => {
  test("swaps the lock, on condition that our contender entry is there", async () => {
    kv.onTxn = applied(entry({ key: CONTENDER, modifyIndex: 4n }), entry({ modifyIndex: 9n }));
    const joining = store.join(SESSION, snapshot(["b", "a"]), 3, { timeout: 1_000 });
    expect(await joining).toEqual({ joinedAt: 9n });
    expect(kv.calls).toEqual([
      {
        method: "txn",
        operations: [
          CHECK_OURS,
          { verb: "cas", modifyIndex: 5n, ...writesLock(lockText(3, SESSION, "a", "b")) },
        ],
        options: { ...SCOPE, timeout: 1_000 },
      },
    ]);
  });

  test("makes the lock where there is none", async () => {
    kv.onTxn = applied(entry({ key: CONTENDER }), entry({ modifyIndex: 9n }));
    await store.join(SESSION, snapshot([], 0n), 2);
    expect(kv.transactions[0]?.[1]).toEqual({
      verb: "cas",
      modifyIndex: 0n,
      ...writesLock(lockText(2, SESSION)),
    });
  });

  test("tells Consul's words where it is refused", async () => {
    kv.onTxn = refused("key is stale", "session is gone");
    expect(await store.join(SESSION, snapshot([]), 3)).toEqual({
      refusal: "key is stale, session is gone",
    });
  });

  test("fails where Consul does not tell the index of the write", async () => {
    kv.onTxn = applied(entry({ key: CONTENDER }));
    const error = await rejectionOf(store.join(SESSION, snapshot([]), 3));
    expect(error).toMatchObject({
      name: "SemaphoreRequestError",
      code: "SEMAPHORE_UPDATE_FAILED",
      retryable: false,
    });
    expect(String(error)).toContain(LOCK);
  });

  test.each([
    [500, true],
    [403, false],
  ])("fails as an update of the lock where Consul fails with %d", async (status, retryable) => {
    const failure = refusal(status);
    kv.onTxn = () => Promise.reject(failure);
    expect(await rejectionOf(store.join(SESSION, snapshot([]), 3))).toMatchObject({
      code: "SEMAPHORE_UPDATE_FAILED",
      cause: failure,
      retryable,
    });
  });
});

describe("entering and joining at once", () => {
  test("makes the contender entry and swaps the lock, both or neither", async () => {
    kv.onTxn = applied(entry({ key: CONTENDER, modifyIndex: 9n }), entry({ modifyIndex: 9n }));
    const options = { timeout: 1_000 };
    const joining = store.enterAndJoin(SESSION, "a value", snapshot(["b", "a"]), 3, options);
    expect(await joining).toEqual({ joinedAt: 9n });
    expect(kv.calls).toEqual([
      {
        method: "txn",
        operations: [
          {
            verb: "lock",
            key: CONTENDER,
            value: "a value",
            flags: SEMAPHORE_FLAG_VALUE,
            session: SESSION,
          },
          { verb: "cas", modifyIndex: 5n, ...writesLock(lockText(3, SESSION, "a", "b")) },
        ],
        options: { ...SCOPE, timeout: 1_000 },
      },
    ]);
  });

  test("tells Consul's words where it is refused", async () => {
    kv.onTxn = refused("key is stale");
    expect(await store.enterAndJoin(SESSION, undefined, snapshot([]), 3)).toEqual({
      refusal: "key is stale",
    });
  });

  test("fails as an update of the lock", async () => {
    kv.onTxn = () => Promise.reject(refusal(500));
    const entering = store.enterAndJoin(SESSION, undefined, snapshot([]), 3);
    expect(await rejectionOf(entering)).toMatchObject({ code: "SEMAPHORE_UPDATE_FAILED" });
  });
});

describe("joining again", () => {
  test("leaves and joins in one transaction, and tells the index of the second write", async () => {
    kv.onTxn = applied(
      entry({ key: CONTENDER, modifyIndex: 4n }),
      entry({ modifyIndex: 9n }),
      entry({ modifyIndex: 10n }),
    );
    const joining = store.joinAgain(SESSION, snapshot([SESSION, "a"]), 3, { timeout: 1_000 });
    expect(await joining).toEqual({ joinedAt: 10n });
    expect(kv.calls).toEqual([
      {
        method: "txn",
        operations: [
          CHECK_OURS,
          { verb: "cas", modifyIndex: 5n, ...writesLock(lockText(3, "a")) },
          { verb: "set", ...writesLock(lockText(3, SESSION, "a")) },
        ],
        options: { ...SCOPE, timeout: 1_000 },
      },
    ]);
  });

  test("tells Consul's words where it is refused", async () => {
    kv.onTxn = refused("key is stale");
    expect(await store.joinAgain(SESSION, snapshot([SESSION]), 3)).toEqual({
      refusal: "key is stale",
    });
  });
});

describe("leaving", () => {
  const DEPARTURE: KVOperation = { verb: "delete", key: CONTENDER };

  test("reads the lock consistently, and takes us out and our entry away at once", async () => {
    kv.onGet = () => read(lock(3, [SESSION, "a"]));
    kv.onTxn = applied();
    const { signal } = new AbortController();
    await store.leave(SESSION, { timeout: 1_000, signal });
    const options = { ...SCOPE, timeout: 1_000, signal };
    expect(kv.calls).toEqual([
      { method: "get", key: LOCK, options: { ...options, consistent: true } },
      {
        method: "txn",
        operations: [{ verb: "cas", modifyIndex: 5n, ...writesLock(lockText(3, "a")) }, DEPARTURE],
        options,
      },
    ]);
  });

  test("keeps the limit that is in Consul, and holders that look dead: they are not ours", async () => {
    kv.onGet = () => read(lock(7, ["dead", SESSION]));
    kv.onTxn = applied();
    await store.leave(SESSION);
    expect(kv.transactions[0]?.[0]).toMatchObject({ value: lockText(7, "dead") });
  });

  test("only makes sure of the lock where we are not in it", async () => {
    kv.onGet = () => read(lock(3, ["a"]));
    kv.onTxn = applied();
    await store.leave(SESSION);
    expect(kv.transactions).toEqual([
      [{ verb: "check-index", key: LOCK, modifyIndex: 5n }, DEPARTURE],
    ]);
  });

  test("gives the lock an index that no swap on its way knows, where one may come", async () => {
    kv.onGet = () => read(lock(3, ["a"]));
    kv.onTxn = applied();
    await store.leave(SESSION, { joinMayCome: true });
    expect(kv.transactions).toEqual([
      [
        { verb: "cas", modifyIndex: 5n, ...writesLock(lockText(3, SESSION, "a")) },
        { verb: "set", ...writesLock(lockText(3, "a")) },
        DEPARTURE,
      ],
    ]);
  });

  test("just takes a holder out, whatever may come", async () => {
    kv.onGet = () => read(lock(3, ["a", SESSION]));
    kv.onTxn = applied();
    await store.leave(SESSION, { joinMayCome: true });
    expect(kv.transactions).toEqual([
      [{ verb: "cas", modifyIndex: 5n, ...writesLock(lockText(3, "a")) }, DEPARTURE],
    ]);
  });

  test("makes sure of a lock without a value as well", async () => {
    kv.onGet = () => read(entry({ modifyIndex: 6n }));
    kv.onTxn = applied();
    await store.leave(SESSION);
    expect(kv.transactions).toEqual([
      [{ verb: "check-index", key: LOCK, modifyIndex: 6n }, DEPARTURE],
    ]);
  });

  test("makes sure that there is no lock where there was none", async () => {
    kv.onGet = () => read(null);
    kv.onTxn = applied();
    await store.leave(SESSION);
    expect(kv.transactions).toEqual([[{ verb: "check-not-exists", key: LOCK }, DEPARTURE]]);
  });

  test("looks again, as often as somebody else comes between", async () => {
    const indexes = [5n, 6n, 7n];
    kv.onGet = inTurn(...indexes.map((index) => () => read(lock(3, [SESSION], index), index)));
    kv.onTxn = inTurn(refused("stale"), refused("stale"), applied());
    await store.leave(SESSION);
    expect(kv.methods).toEqual(["get", "txn", "get", "txn", "get", "txn"]);
    expect(kv.transactions.map(([swap]) => swap)).toEqual(
      indexes.map((modifyIndex) => ({ verb: "cas", modifyIndex, ...writesLock(lockText(3)) })),
    );
  });

  test("looks again where the lock was made and deleted again in between", async () => {
    // It is as little there as it was: only the index of the look tells.
    kv.onGet = inTurn(
      () => read(null, 7n),
      () => read(null, 9n),
    );
    kv.onTxn = inTurn(refused("stale"), applied());
    await store.leave(SESSION);
    expect(kv.methods).toEqual(["get", "txn", "get", "txn"]);
    const swap = { verb: "check-not-exists", key: LOCK };
    expect(kv.transactions).toEqual([
      [swap, DEPARTURE],
      [swap, DEPARTURE],
    ]);
  });

  test.each<[string, KVEntry | null]>([
    ["a lock", lock(3, [SESSION])],
    ["no lock", null],
  ])("fails in Consul's words where it is refused twice with %s unchanged", async (_, found) => {
    kv.onGet = () => read(found);
    kv.onTxn = refused("the words of Consul");
    expect(await rejectionOf(store.leave(SESSION))).toMatchObject({
      name: "SemaphoreRequestError",
      code: "SEMAPHORE_UPDATE_FAILED",
      message: "failed to update lock: the words of Consul",
    });
    expect(kv.methods).toEqual(["get", "txn", "get"]);
  });

  test.each([
    ["that has been one since after it entered", entry({ key: CONTENDER, createIndex: 4n })],
    ["that has entered by the same transaction", entry({ key: CONTENDER, createIndex: 5n })],
    ["without an entry", null],
  ])("unless we hold leaves a holder as it is %s", async (_, found) => {
    kv.onGet = (key) => read(key === LOCK ? lock(3, [SESSION], 5n) : found);
    await store.leave(SESSION, { unlessHolder: true, timeout: 1_000 });
    const options = { ...SCOPE, timeout: 1_000, consistent: true };
    expect(kv.calls).toEqual([
      { method: "get", key: LOCK, options },
      { method: "get", key: CONTENDER, options },
    ]);
  });

  test("unless we hold takes a holder out that counted as dead until it entered", async () => {
    const revived = entry({ key: CONTENDER, createIndex: 6n });
    kv.onGet = (key) => read(key === LOCK ? lock(3, [SESSION, "a"], 5n) : revived);
    kv.onTxn = applied();
    await store.leave(SESSION, { unlessHolder: true });
    expect(kv.transactions).toEqual([
      [{ verb: "cas", modifyIndex: 5n, ...writesLock(lockText(3, "a")) }, DEPARTURE],
    ]);
  });

  test("unless we hold takes a waiter away", async () => {
    kv.onGet = () => read(lock(3, ["a"]));
    kv.onTxn = applied();
    await store.leave(SESSION, { unlessHolder: true });
    expect(kv.transactions).toEqual([
      [{ verb: "check-index", key: LOCK, modifyIndex: 5n }, DEPARTURE],
    ]);
  });

  test("unless we hold leaves one who became a holder in the meantime as it is", async () => {
    kv.onGet = inTurn(
      () => read<KVEntry | null>(lock(3, ["a"], 5n), 5n),
      () => read<KVEntry | null>(lock(3, [SESSION], 6n), 6n),
      () => read<KVEntry | null>(entry({ key: CONTENDER, createIndex: 4n })),
    );
    kv.onTxn = refused("stale");
    await store.leave(SESSION, { unlessHolder: true });
    expect(kv.methods).toEqual(["get", "txn", "get", "get"]);
  });

  test.each<[string, KVEntry, string]>([
    ["that is another's", entry({ flags: 5n }), "SEMAPHORE_CONFLICT"],
    ["that is garbage", entry({ value: Uint8Array.of(1, 2, 3) }), "SEMAPHORE_LOCK_DECODING_FAILED"],
  ])("fails for a lock %s, and writes nothing", async (_, found, code) => {
    kv.onGet = () => read(found);
    expect(await rejectionOf(store.leave(SESSION))).toMatchObject({ code });
    expect(kv.methods).toEqual(["get"]);
  });

  test("tells which of its requests failed", async () => {
    const failure = refusal(500, "No cluster leader");
    kv.onGet = () => Promise.reject(failure);
    const code = "SEMAPHORE_READ_FAILED";
    const [first, second] = [await rejectionOf(store.leave(SESSION)), failure];
    expect(first).toMatchObject({ code, cause: second, retryable: true });
    kv.onGet = () => read(null);
    kv.onTxn = () => Promise.reject(failure);
    expect(await rejectionOf(store.leave(SESSION))).toMatchObject({
      code: "SEMAPHORE_UPDATE_FAILED",
      cause: failure,
      retryable: true,
    });
  });
});

describe("leaving a lock that is known", () => {
  const DEPARTURE: KVOperation = { verb: "delete", key: CONTENDER };
  const known = { limit: 3, holders: new Set([SESSION, "a"]), modifyIndex: 5n };

  test("saves reading it", async () => {
    kv.onTxn = applied(entry({ modifyIndex: 9n }));
    expect(await store.leave(SESSION, { known })).toEqual({
      lock: { limit: 3, holders: new Set(["a"]), modifyIndex: 9n },
      heir: undefined,
      reading: undefined,
    });
    expect(kv.methods).toEqual(["txn"]);
    expect(kv.transactions).toEqual([
      [{ verb: "cas", modifyIndex: 5n, ...writesLock(lockText(3, "a")) }, DEPARTURE],
    ]);
  });

  test("reads it where it was another, and tries again, also if it reads the same", async () => {
    kv.onGet = () => read(lock(3, [SESSION, "b"], 5n));
    kv.onTxn = inTurn(refused("stale"), applied(entry({ modifyIndex: 9n })));
    const { lock: left } = await store.leave(SESSION, { known });
    expect(left?.holders).toEqual(new Set(["b"]));
    expect(kv.methods).toEqual(["txn", "get", "txn"]);
  });

  test("fails in Consul's words where it is refused as it was read as well", async () => {
    kv.onGet = () => read(lock(3, [SESSION], 5n));
    kv.onTxn = refused("the words of Consul");
    expect(await rejectionOf(store.leave(SESSION, { known }))).toMatchObject({
      message: "failed to update lock: the words of Consul",
    });
    expect(kv.methods).toEqual(["txn", "get", "txn", "get"]);
  });
});

describe("leaving to an heir", () => {
  const DEPARTURE: KVOperation = { verb: "delete", key: CONTENDER };
  const checks = (heir: string) => ({ verb: "check-session", key: `jobs/${heir}`, session: heir });

  /** Chooses these one after the other, as long as they are contenders. */
  class Heirs {
    readonly asked: SemaphoreLock[] = [];
    readonly gone: string[] = [];
    readonly #heirs: (string | undefined)[];

    constructor(...heirs: (string | undefined)[]) {
      this.#heirs = heirs;
    }

    readonly heir = (lock: SemaphoreLock): string | undefined => {
      this.asked.push(lock);
      return this.#heirs.shift();
    };

    readonly isGone = (heir: string): void => {
      this.gone.push(heir);
    };
  }

  test("makes it a holder in the same write, on condition that it contends", async () => {
    const handover = new Heirs("next");
    kv.onGet = () => read(lock(3, [SESSION, "a"]));
    kv.onTxn = applied(entry({ key: "jobs/next" }), entry({ modifyIndex: 9n }));
    expect(await store.leave(SESSION, { handover })).toEqual({
      lock: { limit: 3, holders: new Set(["a", "next"]), modifyIndex: 9n },
      heir: "next",
      reading: undefined,
    });
    expect(handover.asked).toEqual([{ limit: 3, holders: new Set([SESSION, "a"]) }]);
    expect(kv.transactions).toEqual([
      [
        checks("next"),
        { verb: "cas", modifyIndex: 5n, ...writesLock(lockText(3, "a", "next")) },
        DEPARTURE,
      ],
    ]);
  });

  test("leaves the slot free where nobody is chosen", async () => {
    const handover = new Heirs(undefined);
    kv.onGet = () => read(lock(3, [SESSION]));
    kv.onTxn = applied(entry({ modifyIndex: 9n }));
    expect(await store.leave(SESSION, { handover })).toMatchObject({ heir: undefined });
    expect(kv.transactions[0]?.[0]).toMatchObject({ verb: "cas", value: lockText(3) });
  });

  test("asks nobody where there is no slot to pass on", async () => {
    const handover = new Heirs("next");
    kv.onGet = () => read(lock(3, ["a"]));
    kv.onTxn = applied();
    expect(await store.leave(SESSION, { handover })).toMatchObject({ heir: undefined });
    expect(handover.asked).toEqual([]);
  });

  test("tells of one whose session has ended, and asks for the next, the lock being the same", async () => {
    const handover = new Heirs("gone", "next");
    kv.onGet = () => read(lock(3, [SESSION], 5n));
    kv.onTxn = inTurn(
      refused("not the session of that key"),
      applied(entry({ key: "jobs/next" }), entry({ modifyIndex: 9n })),
    );
    expect(await store.leave(SESSION, { handover })).toMatchObject({ heir: "next" });
    expect(handover.gone).toEqual(["gone"]);
    expect(kv.transactions.map(([check]) => check)).toEqual([checks("gone"), checks("next")]);
  });

  test("asks anew where somebody else's swap came between", async () => {
    const handover = new Heirs("first", "second");
    kv.onGet = inTurn(
      () => read(lock(3, [SESSION], 5n), 5n),
      () => read(lock(3, [SESSION, "a"], 6n), 6n),
    );
    kv.onTxn = inTurn(
      () =>
        Promise.resolve<TransactionOutcome>({
          applied: false,
          errors: [{ operation: 1, what: "stale" }],
        }),
      applied(entry({ key: "jobs/second" }), entry({ modifyIndex: 9n })),
    );
    const { heir, lock: left } = await store.leave(SESSION, { handover });
    expect(heir).toBe("second");
    expect(left?.holders).toEqual(new Set(["a", "second"]));
    expect(handover.gone).toEqual([]);
    expect(handover.asked.map(({ holders }) => holders.size)).toEqual([1, 2]);
  });

  test("has Consul tell who is left, in the same transaction", async () => {
    const handover = new Heirs("next");
    const before = performance.now();
    kv.onGet = () => read(lock(3, [SESSION]));
    kv.onTxn = applied(
      entry({ key: "jobs/next" }),
      entry({ modifyIndex: 9n }),
      lock(3, ["next"], 9n),
      entry({ key: "jobs/next", session: "next" }),
      entry({ key: "jobs/late", session: "late", createIndex: 2n }),
    );
    const { reading } = await store.leave(SESSION, { handover, lookBack: true });
    expect(kv.transactions[0]?.at(-1)).toEqual({ verb: "get-tree", key: "jobs/" });
    expect(reading).toMatchObject({
      index: 9n,
      nextIndex: 9n,
      snapshot: { limit: 3, holders: new Set(["next"]), lockIndex: 9n },
    });
    expect(reading?.snapshot.contenders.map(({ session }) => session)).toEqual(["next", "late"]);
    expect(reading?.sentAt).toBeGreaterThanOrEqual(before);
    expect(reading?.sentAt).toBeLessThanOrEqual(performance.now());
  });
});

describe("the contender entry", () => {
  test.each([true, false])("is made with the session's lock: %s", async (got) => {
    kv.onAcquire = () => Promise.resolve(got);
    expect(await store.enter(SESSION, "a value", { timeout: 1_000 })).toBe(got);
    expect(kv.calls).toEqual([
      {
        method: "acquire",
        entry: {
          key: CONTENDER,
          value: "a value",
          flags: SEMAPHORE_FLAG_VALUE,
          session: SESSION,
        },
        options: { ...SCOPE, timeout: 1_000 },
      },
    ]);
  });

  test("is deleted by its key", async () => {
    await store.deleteContender(SESSION, { timeout: 1_000 });
    expect(kv.calls).toEqual([
      { method: "delete", key: CONTENDER, options: { ...SCOPE, timeout: 1_000 } },
    ]);
  });

  test("is waited for by its key alone, until it changes", async () => {
    kv.onGet = () => read(null);
    await store.untilContenderChanges(SESSION, { index: 3n, wait: 100, timeout: 1_000 });
    expect(kv.calls).toEqual([
      {
        method: "get",
        key: CONTENDER,
        options: { ...SCOPE, index: 3n, wait: 100, timeout: 1_000 },
      },
    ]);
  });

  test("that cannot be deleted is told as such", async () => {
    kv.onDelete = () => Promise.reject(refusal(500));
    expect(await rejectionOf(store.deleteContender(SESSION))).toMatchObject({
      code: "SEMAPHORE_LEAVE_FAILED",
      retryable: true,
    });
  });
});

describe("reading", () => {
  test("lists what is below the prefix, and tells the index to wait on", async () => {
    kv.onList = () => read([lock(3, [SESSION]), entry({ key: CONTENDER, session: SESSION })]);
    const reading = await store.read({ index: 3n, wait: 1_000, consistent: true });
    expect(kv.calls).toEqual([
      {
        method: "list",
        key: "jobs/",
        options: { ...SCOPE, index: 3n, wait: 1_000, consistent: true },
      },
    ]);
    expect(reading).toMatchObject({ index: 7n, nextIndex: 7n });
    expect(reading.snapshot).toMatchObject({
      limit: 3,
      holders: new Set([SESSION]),
      lockIndex: 5n,
    });
  });

  test("starts again from nothing where the index goes backwards", async () => {
    kv.onList = () => read([]);
    expect(await store.read({ index: 8n })).toMatchObject({ index: 7n, nextIndex: 0n });
  });

  test("tells when it was asked for, not when it was answered", async () => {
    let askedAt = NaN;
    kv.onList = async () => {
      askedAt = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 2));
      return await read([]);
    };
    const before = performance.now();
    const { sentAt } = await store.read();
    expect(sentAt).toBeGreaterThanOrEqual(before);
    expect(sentAt).toBeLessThanOrEqual(askedAt);
  });
});

describe("the lock entry", () => {
  test.each([true, false])("is deleted as it was seen: %s", async (deleted) => {
    kv.onDeleteCas = () => Promise.resolve(deleted);
    expect(await store.deleteLock(snapshot([]))).toBe(deleted);
    expect(kv.calls).toEqual([{ method: "deleteCas", key: LOCK, modifyIndex: 5n, options: SCOPE }]);
  });
});

describe("an abort", () => {
  const reason = new Error("enough");

  test.each<[string, (signal: AbortSignal) => Promise<unknown>]>([
    ["a look", (signal) => store.read({ signal })],
    ["a departure", (signal) => store.leave(SESSION, { signal })],
    ["a deletion", (signal) => store.deleteContender(SESSION, { signal })],
  ])("is no failure of %s, and keeps its reason", async (_, call) => {
    const fail = () => Promise.reject(refusal(500));
    kv.onList = fail;
    kv.onGet = fail;
    kv.onDelete = fail;
    expect(await rejectionOf(call(AbortSignal.abort(reason)))).toBe(reason);
  });
});
