// What a semaphore makes of a Consul that behaves in a way no real one can be brought to.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { KVEntry } from "../../src/consul/kv.js";
import type { TransactionOutcome } from "../../src/consul/transaction.js";
import { SEMAPHORE_FLAG_VALUE } from "../../src/protocol/snapshot.js";
import { SemaphoreLostError, SemaphoreOptionsError } from "../../src/errors.js";
import type { SemaphoreOptions } from "../../src/options.js";
import type { SemaphoreSlot } from "../../src/slot.js";
import { Semaphore } from "../../src/semaphore.js";
import { FakeKV } from "./fake-kv.js";
import { FakeSessions, read, SESSION, sessionEntry } from "./session/fake-sessions.js";
import { after, failure, hang, inTurn, refusal, silence } from "./failures.js";
import { Watched } from "./outcome.js";
import { rejectionOf } from "./rejection.js";

const LOCK = "jobs/.lock";

let kv: FakeKV;
let sessions: FakeSessions;
let start: number;

/** How far the clock is ahead of the timers: the event loop was blocked for so long. */
let blockedFor: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  blockedFor = 0;
  const now = performance.now.bind(performance);
  vi.spyOn(performance, "now").mockImplementation(() => now() + blockedFor);
  // Each pause in full.
  vi.spyOn(Math, "random").mockReturnValue(0);
  start = performance.now();
  kv = new FakeKV();
  // What was seen before an entry was made is older than that.
  kv.onAcquire = () => after(1, true);
  listing(listed);
  kv.onGet = () => read(lockOf(SESSION));
  kv.onTxn = applied;
  sessions = new FakeSessions();
  sessions.onCreate = () => Promise.resolve(SESSION);
  sessions.onRenew = () => Promise.resolve(sessionEntry({ ttl: "15s" }));
  sessions.onList = () => read([]);
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const newSemaphore = (given: Partial<SemaphoreOptions> = {}): Semaphore =>
  new Semaphore({ kv, session: sessions }, { prefix: "jobs", limit: 1, ...given });

const entry = (given: Partial<KVEntry>): KVEntry => ({
  key: LOCK,
  value: null,
  flags: SEMAPHORE_FLAG_VALUE,
  session: null,
  createIndex: 5n,
  modifyIndex: 5n,
  lockIndex: 1n,
  ...given,
});

const OUR_ENTRY = entry({ key: `jobs/${SESSION}`, session: SESSION });

/** The lock with one holder. */
const lockOf = (session: string): KVEntry =>
  entry({
    value: new Uint8Array(Buffer.from(JSON.stringify({ Limit: 1, Holders: { [session]: true } }))),
    modifyIndex: 6n,
  });

/** Somebody else's slot, */
const TAKEN = [lockOf("other"), entry({ key: "jobs/other", session: "other" })];
/** and our place in the queue behind it. */
const QUEUE = [...TAKEN, OUR_ENTRY];

type List = () => ReturnType<FakeKV["list"]>;

const listed = (...entries: readonly KVEntry[]): ReturnType<FakeKV["list"]> => read(entries);
const listsTaken: List = () => listed(...TAKEN);
const listsQueue: List = () => listed(...QUEUE);

/** What looks at once show, and what those of the watch do, before nothing changes any more. */
function listing(look: List, ...watch: readonly List[]): void {
  const nextLook = inTurn<Parameters<FakeKV["list"]>, ReturnType<FakeKV["list"]>>(
    ...watch,
    (_, options) => hang({ ...options, timeout: 3_600_000 }),
  );
  kv.onList = (key, options) => (options?.index === undefined ? look() : nextLook(key, options));
}

const applied = (): Promise<TransactionOutcome> =>
  Promise.resolve({ applied: true, entries: [entry({ modifyIndex: 42n })] });

const refused = (): Promise<TransactionOutcome> =>
  Promise.resolve({ applied: false, errors: [{ operation: 1, what: "stale" }] });

const failWith = (error: unknown) => (): Promise<never> => Promise.reject(error);
const leaderless = failWith(refusal(500, "No cluster leader"));

async function acquired(semaphore: Semaphore): Promise<SemaphoreSlot> {
  const acquiring = new Watched(semaphore.acquire());
  await vi.advanceTimersByTimeAsync(0);
  if (acquiring.outcome === undefined) await vi.advanceTimersByTimeAsync(1);
  if (acquiring.outcome === undefined || !("value" in acquiring.outcome)) {
    throw new Error("there is no slot", { cause: acquiring.outcome });
  }
  return acquiring.outcome.value;
}

describe("acquiring", () => {
  test("creates a session, looks, and takes a free slot with its entry in one write", async () => {
    const semaphore = newSemaphore({ value: "me" });
    const slot = await acquired(semaphore);
    expect(slot).toMatchObject({ session: SESSION, fencingToken: 42n, held: true });
    expect(semaphore.isHeld).toBe(true);
    expect(sessions.methods).toEqual(["create"]);
    expect(kv.methods).toEqual(["list", "txn"]);
    expect(kv.calls[0]?.options).toMatchObject({ consistent: true });
    expect(kv.transactions).toMatchObject([
      [
        { verb: "lock", key: `jobs/${SESSION}`, session: SESSION, value: "me" },
        { verb: "cas", key: LOCK, modifyIndex: 0n },
      ],
    ]);
    await slot.release();
  });

  test("waits in the queue where there is none, and swaps once it has its turn", async () => {
    listing(listsTaken, listsQueue, () => listed(OUR_ENTRY));
    const semaphore = newSemaphore({ value: "me" });
    const slot = await acquired(semaphore);
    expect(slot).toMatchObject({ session: SESSION, fencingToken: 42n, held: true });
    expect(kv.methods.slice(0, 5)).toEqual(["list", "acquire", "list", "list", "txn"]);
    expect(kv.calls[1]?.entry).toMatchObject({ session: SESSION, value: "me" });
    expect(kv.transactions[0]).toMatchObject([{ verb: "check-session" }, { verb: "cas" }]);
    await slot.release();
  });

  test("enters by itself with a session of the user's, which may be in there already", async () => {
    listing(() => listed(OUR_ENTRY));
    const slot = await acquired(newSemaphore({ session: SESSION }));
    expect(kv.methods).toEqual(["acquire", "list", "txn"]);
    await slot.release();
  });

  test("looks once for a write that was not answered, and keeps what that has taken", async () => {
    const ours = lockOf(SESSION);
    listing(listed, () => listed(ours, OUR_ENTRY));
    kv.onTxn = inTurn<[], Promise<TransactionOutcome>>(
      failWith(failure("CONSUL_TIMEOUT")),
      applied,
    );
    const slot = await acquired(newSemaphore());
    expect(slot).toMatchObject({ fencingToken: 42n, held: true });
    expect(kv.methods.slice(0, 4)).toEqual(["list", "txn", "acquire", "list"]);
    expect(kv.transactions.map((steps) => steps.map(({ verb }) => verb))).toEqual([
      ["lock", "cas"],
      ["check-session", "cas", "set"],
    ]);
    await slot.release();
    // What is on its way must not find the session in another use.
    expect(sessions.methods).toEqual(["create", "destroy"]);
  });

  test("gives a slot back that it got after an abort", async () => {
    kv.onTxn = inTurn<[], Promise<TransactionOutcome>>(async () => {
      await after(50, undefined);
      return await applied();
    }, applied);
    const controller = new AbortController();
    const acquiring = new Watched(newSemaphore().acquire(controller.signal));
    await vi.advanceTimersByTimeAsync(10);
    const reason = new Error("enough");
    controller.abort(reason);
    await vi.advanceTimersByTimeAsync(40);
    expect(acquiring.outcome).toEqual({ error: reason, at: start + 50 });
    expect(kv.transactions[1]?.at(-1)).toEqual({ verb: "get-tree", key: "jobs/" });
    expect(kv.transactions[1]?.at(-2)).toEqual({ verb: "delete", key: `jobs/${SESSION}` });
    expect(sessions.methods).toEqual(["create", "destroy"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("takes another session where its own is gone before it could enter", async () => {
    const gone = failWith(refusal(500, `invalid session "${SESSION}"`));
    kv.onAcquire = gone;
    kv.onGet = () => read(null);
    kv.onTxn = inTurn<[], Promise<TransactionOutcome>>(gone, applied);
    const acquiring = new Watched(newSemaphore().acquire());
    await vi.advanceTimersByTimeAsync(50);
    expect(acquiring.outcome).toMatchObject({ value: { fencingToken: 42n }, at: start + 50 });
    expect(sessions.methods).toEqual(["create", "destroy", "create"]);
  });

  test("fails at once where the first look shows another limit", async () => {
    listing(listsTaken);
    const acquiring = new Watched(newSemaphore({ limit: 2 }).acquire());
    await vi.advanceTimersByTimeAsync(0);
    expect(acquiring.outcome).toMatchObject({ error: { code: "SEMAPHORE_LIMIT_CONFLICT" } });
    expect(kv.methods).toEqual(["list"]);
    expect(sessions.methods).toEqual(["create", "destroy"]);
  });

  test("fails where a session of the user's is gone", async () => {
    kv.onAcquire = failWith(refusal(500, `invalid session "${SESSION}"`));
    const acquiring = new Watched(newSemaphore({ session: SESSION }).acquire());
    await vi.advanceTimersByTimeAsync(0);
    expect(acquiring.outcome).toMatchObject({ error: { code: "SEMAPHORE_CONTENDER_FAILED" } });
    expect(kv.methods.filter((method) => method === "acquire")).toHaveLength(1);
  });

  test("that could not make its contender entry deletes none", async () => {
    kv.onAcquire = () => Promise.resolve(false);
    const acquiring = new Watched(newSemaphore({ session: SESSION }).acquire());
    await vi.advanceTimersByTimeAsync(0);
    expect(acquiring.outcome).toMatchObject({
      error: {
        code: "SEMAPHORE_CONTENDER_FAILED",
        message:
          "failed to make contender entry: another session has the lock of the entry " +
          `of ${SESSION}, or had it a moment ago, ` +
          "as when that session was ended and its lock-delay is not over",
      },
    });
    expect(kv.methods).toEqual(["acquire"]);
    expect(sessions.methods).toEqual(["renew"]);
  });

  test("rides out what passes on its way into the queue", async () => {
    listing(leaderless, () => listed(OUR_ENTRY));
    sessions.onCreate = inTurn<[], Promise<string>>(leaderless, () => Promise.resolve(SESSION));
    kv.onAcquire = inTurn<[], Promise<boolean>>(leaderless, () => Promise.resolve(true));
    const acquiring = new Watched(newSemaphore().acquire());
    await vi.advanceTimersByTimeAsync(1_000);
    expect(acquiring.outcome).toMatchObject({ value: { fencingToken: 42n }, at: start + 100 });
  });

  test("does not ride it out for longer than 15 s, where nothing has ever worked", async () => {
    sessions.onCreate = leaderless;
    const acquiring = new Watched(newSemaphore().acquire());
    await vi.advanceTimersByTimeAsync(14_999);
    expect(acquiring.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(acquiring.outcome).toMatchObject({
      error: { code: "SEMAPHORE_SESSION_FAILED", cause: { text: "No cluster leader" } },
      at: start + 15_000,
    });
  });

  test("has 15 s for the entry too, where the session took long", async () => {
    sessions.onCreate = inTurn<[], Promise<string>>(
      () => hang({}),
      () => Promise.resolve(SESSION),
    );
    kv.onAcquire = leaderless;
    listing(leaderless);
    const acquiring = new Watched(newSemaphore().acquire());
    await vi.advanceTimersByTimeAsync(25_000);
    expect(acquiring.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(100);
    expect(acquiring.outcome).toMatchObject({ error: { code: "SEMAPHORE_CONTENDER_FAILED" } });
  });

  test("tells why there is no session before it looks for what a lost answer left", async () => {
    sessions.onCreate = failWith(failure("CONSUL_BAD_ANSWER", { status: 200 }));
    sessions.onList = silence;
    const semaphore = newSemaphore();
    const acquiring = new Watched(semaphore.acquire());
    await vi.advanceTimersByTimeAsync(0);
    expect(acquiring.outcome).toMatchObject({ error: { code: "SEMAPHORE_SESSION_FAILED" } });
    expect(sessions.methods).toEqual(["create", "list"]);
    // The next call waits until that is over.
    void semaphore.acquire().catch(() => undefined);
    await vi.advanceTimersByTimeAsync(0);
    expect(sessions.methods).toEqual(["create", "list"]);
  });

  test("gives up within 100 ms of an abort, also where nobody answers", async () => {
    sessions.onCreate = silence;
    const controller = new AbortController();
    const acquiring = new Watched(newSemaphore().acquire(controller.signal));
    await vi.advanceTimersByTimeAsync(1_000);
    const reason = new Error("enough");
    controller.abort(reason);
    await vi.advanceTimersByTimeAsync(100);
    expect(acquiring.outcome).toEqual({ error: reason, at: start + 1_100 });
  });

  test("clears away after an abort what it has written", async () => {
    listing(listsTaken, listsQueue);
    const controller = new AbortController();
    const acquiring = new Watched(newSemaphore().acquire(controller.signal));
    await vi.advanceTimersByTimeAsync(1_000);
    const reason = new Error("enough");
    controller.abort(reason);
    await vi.advanceTimersByTimeAsync(0);
    expect(acquiring.outcome).toEqual({ error: reason, at: start + 1_000 });
    expect(kv.methods).toEqual(["list", "acquire", "list", "list", "delete"]);
    expect(sessions.methods).toEqual(["create", "destroy"]);
    // The watch lingers for a moment.
    await vi.advanceTimersByTimeAsync(50);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("tells its failure after a second where what it wrote cannot be cleared away", async () => {
    listing(listsTaken, failWith(refusal(403, "Permission denied")));
    kv.onDelete = leaderless;
    const acquiring = new Watched(newSemaphore().acquire());
    await vi.advanceTimersByTimeAsync(1_000);
    expect(acquiring.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(acquiring.outcome).toMatchObject({
      error: { code: "SEMAPHORE_READ_FAILED", cause: { status: 403 } },
      at: start + 1_001,
    });
    expect(sessions.of("destroy")).toEqual([]);
    await vi.advanceTimersByTimeAsync(15_000);
    expect(sessions.of("destroy")).toHaveLength(1);
  });

  test("tells its failure after a second also where only its session cannot be ended", async () => {
    listing(listsTaken, failWith(refusal(403, "Permission denied")));
    sessions.onDestroy = () => after(10_000, true);
    const acquiring = new Watched(newSemaphore().acquire());
    await vi.advanceTimersByTimeAsync(10_000);
    expect(acquiring.outcome).toMatchObject({
      error: { code: "SEMAPHORE_READ_FAILED", cause: { status: 403 } },
      at: start + 1_001,
    });
  });
});

describe("a slot that was not released", () => {
  test("keeps its semaphore from another, and asks nobody for that", async () => {
    const semaphore = newSemaphore();
    const slot = await acquired(semaphore);
    const requests = kv.calls.length + sessions.calls.length;
    for (const call of [semaphore.acquire(), semaphore.tryAcquire(), semaphore.destroy()]) {
      expect(await rejectionOf(call)).toMatchObject({ code: "SEMAPHORE_HELD" });
    }
    expect(kv.calls.length + sessions.calls.length).toBe(requests);
    await slot.release();
  });

  test("is told as lost before any other call of the same client is told its result", async () => {
    sessions.onCreate = inTurn(
      () => Promise.resolve(SESSION),
      () => Promise.resolve("another"),
    );
    const [first, second] = [newSemaphore({ limit: 2 }), newSemaphore({ limit: 2 })];
    const { signal } = await acquired(first);
    await vi.advanceTimersByTimeAsync(100);
    let answer: (outcome: TransactionOutcome) => void = () => undefined;
    kv.onTxn = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    const acquiring = second.acquire().then(
      () => signal.aborted,
      () => signal.aborted,
    );
    await vi.advanceTimersByTimeAsync(100);
    // After a blocked event loop the answer is read before any timer has run. The session of the
    // second is younger, and lives.
    blockedFor = 15_000 - 150;
    expect(signal.aborted).toBe(false);
    answer({ applied: true, entries: [entry({ modifyIndex: 43n })] });
    const told = new Watched(acquiring);
    await vi.advanceTimersByTimeAsync(0);
    expect(told.outcome).toMatchObject({ value: true });
  });
});

describe("an entry whose request went unanswered", () => {
  test("is looked for once more after the slot of a session of the user's", async () => {
    kv.onAcquire = inTurn<[], Promise<boolean>>(failWith(failure("CONSUL_TIMEOUT")), () =>
      Promise.resolve(true),
    );
    listing(() => listed(OUR_ENTRY));
    const acquiring = new Watched(newSemaphore({ session: SESSION }).acquire());
    await vi.advanceTimersByTimeAsync(50);
    expect(acquiring.outcome).toHaveProperty("value");
    if (acquiring.outcome === undefined || !("value" in acquiring.outcome)) return;
    await acquiring.outcome.value.release();
    kv.calls.splice(0);
    kv.onGet = () => read(null);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(kv.methods).toEqual(["get", "txn"]);
  });

  test.each([
    ["is looked for once more where that was the last of its requests", hang, 1_000, 2],
    ["is none where the only answer was no", failWith(refusal(403)), 0, 1],
  ] as const)("%s", async (_, onAcquire, failsAt, departures) => {
    kv.onAcquire = (_, options) => onAcquire(options ?? {});
    kv.onGet = () => read(null);
    const semaphore = newSemaphore({ session: SESSION, semaphoreWaitTime: "100ms" });
    const trying = new Watched(semaphore.tryAcquire());
    await vi.advanceTimersByTimeAsync(failsAt + 999);
    expect(trying.outcome).toMatchObject({
      error: { code: "SEMAPHORE_CONTENDER_FAILED" },
      at: start + failsAt,
    });
    expect(kv.methods).toEqual(["acquire", "get", "txn"]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(kv.methods.filter((method) => method === "txn")).toHaveLength(departures);
    expect(kv.methods.filter((method) => method === "acquire")).toHaveLength(1);
  });
});

describe("trying to acquire", () => {
  test("comes to an end also where every swap is lost to somebody else", async () => {
    let index = 5n;
    listing(() => read([OUR_ENTRY, entry({ modifyIndex: (index += 1n) })], index));
    kv.onTxn = async () => {
      await new Promise((resolve) => setTimeout(resolve, 90));
      return await refused();
    };
    kv.onGet = () => read(null);
    const trying = new Watched(newSemaphore({ semaphoreWaitTime: "100ms" }).tryAcquire());
    // There was a free slot all the time, so that it was worth another second.
    await vi.advanceTimersByTimeAsync(999);
    expect(trying.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(trying.outcome).toMatchObject({ value: null });
    const swaps = kv.transactions.filter(([first]) => first?.verb === "check-session");
    // Each takes 90 ms, and then come pauses of 5, 10, 20, 40, 80 and 160 ms.
    expect(swaps).toHaveLength(8);
  });

  test("goes on for a second at least on its way into the queue", async () => {
    sessions.onCreate = inTurn<[], Promise<string>>(leaderless, leaderless, leaderless, () =>
      Promise.resolve(SESSION),
    );
    const trying = new Watched(newSemaphore({ semaphoreWaitTime: "100ms" }).tryAcquire());
    await vi.advanceTimersByTimeAsync(1_000);
    expect(trying.outcome).toMatchObject({ value: { fencingToken: 42n }, at: start + 350 });
  });

  test("rejects where it could not enter in that second", async () => {
    listing(listsTaken);
    kv.onAcquire = (_, options) => hang(options ?? {});
    const trying = new Watched(newSemaphore({ semaphoreWaitTime: "100ms" }).tryAcquire());
    await vi.advanceTimersByTimeAsync(999);
    expect(trying.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(trying.outcome).toMatchObject({
      error: { code: "SEMAPHORE_CONTENDER_FAILED", cause: { code: "CONSUL_TIMEOUT" } },
      at: start + 1_000,
    });
    expect(kv.methods).toEqual(["list", "acquire", "delete"]);
  });

  test("comes back after longer and longer pauses where it is never listed", async () => {
    listing(listsTaken);
    kv.onAcquire = () => Promise.resolve(true);
    const trying = new Watched(newSemaphore({ semaphoreWaitTime: "1s" }).tryAcquire());
    await vi.advanceTimersByTimeAsync(1_000);
    expect(trying.outcome).toEqual({ value: null, at: start + 1_000 });
    const times = sessions.of("create").map(({ at }) => at - start);
    expect(times).toEqual([0, 50, 150, 350, 750, 1_000]);
    expect(sessions.of("destroy")).toHaveLength(times.length);
  });

  test("that has lost its place is over in time also while it clears away, and comes back no more", async () => {
    listing(listsTaken);
    kv.onDelete = leaderless;
    const trying = new Watched(newSemaphore({ semaphoreWaitTime: "3s" }).tryAcquire());
    await vi.advanceTimersByTimeAsync(2_999);
    expect(trying.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(trying.outcome).toEqual({ value: null, at: start + 3_000 });
    kv.onDelete = () => Promise.resolve(true);
    await vi.advanceTimersByTimeAsync(60_000);
    // A slot that it got now would be nobody's.
    expect(sessions.methods).toEqual(["create", "destroy"]);
  });

  test("is over 100 ms after its time where what it wrote cannot be cleared away", async () => {
    listing(inTurn(listsTaken, listsQueue));
    kv.onDelete = leaderless;
    const trying = new Watched(newSemaphore({ semaphoreWaitTime: "3s" }).tryAcquire());
    await vi.advanceTimersByTimeAsync(3_099);
    expect(trying.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(trying.outcome).toEqual({ value: null, at: start + 3_100 });
  });

  test("is over 100 ms after its time also where only its session cannot be ended", async () => {
    listing(inTurn(listsTaken, listsQueue));
    sessions.onDestroy = () => after(10_000, true);
    const trying = new Watched(newSemaphore({ semaphoreWaitTime: "3s" }).tryAcquire());
    await vi.advanceTimersByTimeAsync(3_099);
    expect(trying.outcome).toBeUndefined();
    expect(sessions.methods).toEqual(["create", "destroy"]);
    await vi.advanceTimersByTimeAsync(1);
    expect(trying.outcome).toEqual({ value: null, at: start + 3_100 });
  });

  test("that has lost its place is over in time also where only its session cannot be ended", async () => {
    listing(listsTaken);
    sessions.onDestroy = () => after(10_000, true);
    const trying = new Watched(newSemaphore({ semaphoreWaitTime: "3s" }).tryAcquire());
    await vi.advanceTimersByTimeAsync(60_000);
    expect(trying.outcome).toEqual({ value: null, at: start + 3_000 });
    // A slot that it got now would be nobody's.
    expect(sessions.methods).toEqual(["create", "destroy"]);
  });
});

describe("releasing", () => {
  test("takes the slot back in one request, and keeps the session a while for the next", async () => {
    const semaphore = newSemaphore();
    const slot = await acquired(semaphore);
    kv.calls.splice(0);
    const releasing = new Watched(slot.release());
    await vi.advanceTimersByTimeAsync(0);
    expect(releasing.outcome).toEqual({ value: undefined, at: start });
    expect(slot.signal.reason).toMatchObject({ name: "SemaphoreReleasedError" });
    expect(semaphore.isHeld).toBe(false);
    expect(kv.methods).toEqual(["txn"]);
    await vi.advanceTimersByTimeAsync(4_999);
    expect(sessions.methods).toEqual(["create", "renew"]);
    await vi.advanceTimersByTimeAsync(1);
    expect(sessions.methods).toEqual(["create", "renew", "destroy"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("leaves its session to the next slot of whoever would make the same", async () => {
    await (await acquired(newSemaphore())).release();
    await (await acquired(newSemaphore({ limit: 2, value: "another" }))).release();
    expect(sessions.methods).toEqual(["create"]);
  });

  test.each<[string, Partial<SemaphoreOptions>]>([
    ["prefix", { prefix: "other-jobs" }],
    ["name", { sessionName: "another" }],
    ["TTL", { sessionTTL: "30s" }],
    ["check", { sessionChecks: [] }],
    ["namespace", { namespace: "team-a" }],
    ["partition", { partition: "west" }],
  ])("does not leave it to one who needs another %s", async (_, given) => {
    await (await acquired(newSemaphore())).release();
    kv.onTxn = silence;
    void newSemaphore(given).acquire();
    await vi.advanceTimersByTimeAsync(0);
    expect(sessions.methods).toEqual(["create", "create"]);
  });

  test("ends the session of a slot that was lost", async () => {
    const slot = await acquired(newSemaphore());
    listing(listed, () => listed(OUR_ENTRY));
    await vi.advanceTimersByTimeAsync(100);
    expect(slot.signal.reason).toMatchObject({ reason: "holder-removed" });
    await slot.release();
    expect(sessions.methods).toEqual(["create", "destroy"]);
  });

  test("a slot that is given back already does not wait behind the next acquire", async () => {
    const semaphore = newSemaphore();
    const slot = await acquired(semaphore);
    await semaphore.release();
    listing(listsTaken, listsQueue);
    kv.onTxn = refused;
    const waiting = new Watched(semaphore.acquire());
    await vi.advanceTimersByTimeAsync(0);
    const releasing = new Watched(slot.release());
    await vi.advanceTimersByTimeAsync(0);
    expect(releasing.outcome).toEqual({ value: undefined, at: start });
    expect(waiting.outcome).toBeUndefined();
  });

  test("rides out what passes, and tells why it failed after a TTL", async () => {
    const slot = await acquired(newSemaphore());
    kv.onTxn = leaderless;
    const releasing = new Watched(slot.release());
    await vi.advanceTimersByTimeAsync(14_999);
    expect(releasing.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(releasing.outcome).toMatchObject({
      error: { code: "SEMAPHORE_UPDATE_FAILED", cause: { text: "No cluster leader" } },
      at: start + 15_000,
    });
    expect(slot.held).toBe(false);
  });

  test("has gone well after a TTL also where the session is still to be ended", async () => {
    const semaphore = newSemaphore();
    const slot = await acquired(semaphore);
    kv.onTxn = inTurn<[], Promise<TransactionOutcome>>(leaderless, applied);
    sessions.onDestroy = () => after(20_000, true);
    const releasing = new Watched(slot.release());
    const acquiring = new Watched(semaphore.acquire());
    await vi.advanceTimersByTimeAsync(14_999);
    expect(releasing.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    // Strictly: a rejection with nothing would look the same.
    expect(releasing.outcome).toStrictEqual({ value: undefined, at: start + 15_000 });
    // The next call waits until that is over.
    await vi.advanceTimersByTimeAsync(5_049);
    expect(sessions.methods).toEqual(["create", "destroy"]);
    await vi.advanceTimersByTimeAsync(1);
    expect(acquiring.outcome).toMatchObject({ value: { held: true } });
  });

  test("of a slot that is lost with its session cannot fail", async () => {
    const semaphore = newSemaphore();
    const slot = await acquired(semaphore);
    sessions.onRenew = () => Promise.resolve(null);
    sessions.onInfo = () => read(null);
    await vi.advanceTimersByTimeAsync(15_000 / 4);
    expect(slot.signal.reason).toMatchObject({ reason: "session-invalidated" });
    expect(semaphore.isHeld).toBe(true);
    kv.onTxn = failWith(refusal(403));
    const releasing = new Watched(semaphore.release());
    await vi.advanceTimersByTimeAsync(0);
    expect(releasing.outcome).toMatchObject({ value: undefined });
    expect(semaphore.isHeld).toBe(false);
  });

  test("holds the next acquire up until the slot is given back", async () => {
    const semaphore = newSemaphore();
    const slot = await acquired(semaphore);
    kv.onTxn = inTurn<[], Promise<TransactionOutcome>>(leaderless, leaderless, applied);
    const releasing = new Watched(slot.release());
    const acquiring = new Watched(semaphore.acquire());
    await vi.advanceTimersByTimeAsync(149);
    expect(sessions.methods).toEqual(["create"]);
    await vi.advanceTimersByTimeAsync(1);
    expect(releasing.outcome).toEqual({ value: undefined, at: start + 150 });
    expect(acquiring.outcome).toMatchObject({ value: { held: true } });
    expect(sessions.methods).toEqual(["create", "destroy", "create"]);
  });
});

describe("run", () => {
  test("tells of a loss that only the clock shows yet", async () => {
    const semaphore = newSemaphore();
    const running = rejectionOf(
      semaphore.run((slot) => {
        const { signal } = slot;
        expect(slot.held).toBe(true);
        // For so long that no timer has fired since.
        blockedFor = 15_000;
        expect(signal.aborted).toBe(false);
        expect(slot.held).toBe(false);
        expect(signal.aborted).toBe(true);
      }),
    );
    await vi.advanceTimersByTimeAsync(0);
    const loss = await running;
    expect(loss).toBeInstanceOf(SemaphoreLostError);
    expect(loss).toMatchObject({ reason: "session-expired" });
    expect(semaphore.isHeld).toBe(false);
  });

  test("tells of a loss that nobody has looked for", async () => {
    const running = rejectionOf(
      newSemaphore().run(() => {
        blockedFor = 15_000;
      }),
    );
    await vi.advanceTimersByTimeAsync(0);
    expect(await running).toMatchObject({ reason: "session-expired" });
  });
});

test("what is no signal or no function is refused before anything is sent", async () => {
  const semaphore = newSemaphore();
  const unhandled = vi.fn();
  process.on("unhandledRejection", unhandled);
  try {
    for (const [method, ...args] of [
      ["acquire", { signal: new AbortController().signal }],
      ["acquire", null],
      ["tryAcquire", 5_000],
      ["run"],
      ["run", new AbortController().signal, () => undefined],
      ["run", () => undefined, {}],
    ] as const) {
      const call: unknown = Reflect.get(semaphore, method);
      if (typeof call !== "function") throw new Error(`no method ${method}`);
      const failure = await rejectionOf(Promise.resolve(Reflect.apply(call, semaphore, args)));
      expect(failure).toBeInstanceOf(SemaphoreOptionsError);
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).not.toHaveBeenCalled();
    expect(kv.calls).toEqual([]);
    expect(sessions.calls).toEqual([]);
  } finally {
    process.off("unhandledRejection", unhandled);
  }
});

test("a semaphore of no client is refused", () => {
  expect(() => {
    Reflect.construct(Semaphore, [undefined, { prefix: "jobs", limit: 1 }]);
  }).toThrow("missing client: got undefined");
});
