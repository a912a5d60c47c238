import { afterEach, beforeEach, describe, expect, test, vi, type Mock } from "vitest";

import {
  SemaphoreConflictError,
  SemaphoreDecodingError,
  SemaphoreRequestError,
} from "../../../src/errors.js";
import {
  CleanUp,
  type LeaveOptions,
  type LeftQueue,
  type Remains,
} from "../../../src/queue/clean-up.js";
import { SessionLease } from "../../../src/session/lease.js";
import { Watchdogs } from "../../../src/session/watchdog.js";
import { FakeSessions, SESSION, sessionEntry } from "../session/fake-sessions.js";
import { after, failure, hang, inTurn, refusal } from "../failures.js";
import { Watched } from "../outcome.js";

const TTL = 16_000;

const NOTHING: Remains = { kind: "nothing", mayEnterLate: false, hasUnanswered: false };
const CONTENDER: Remains = { ...NOTHING, kind: "contender" };
const HOLDER: Remains = { ...NOTHING, kind: "holder" };

/** All requests, in their order: those of the queue and those of the session. */
let requests: string[];
let left: { readonly session: string; readonly options: LeaveOptions; readonly at: number }[];
let queue: LeftQueue;
let sessions: FakeSessions;
let start: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  // Each pause in full.
  vi.spyOn(Math, "random").mockReturnValue(0);
  start = performance.now();
  requests = [];
  left = [];
  sessions = new FakeSessions();
  sessions.onRenew = () => Promise.resolve(sessionEntry());
  answering({});
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

type Answer = () => Promise<unknown>;

const succeed: Answer = () => Promise.resolve();
const failWith = (error: unknown) => (): Promise<never> => Promise.reject(error);

/** Answers the requests of a cleanup so, and succeeds in the others. */
function answering({
  leave = succeed,
  deleteContender = succeed,
  destroy = succeed,
}: {
  readonly leave?: Answer;
  readonly deleteContender?: Answer;
  readonly destroy?: Answer;
}): void {
  queue = {
    leave: async (session, options) => {
      requests.push("leave");
      left.push({ session, options, at: performance.now() - start });
      await leave();
    },
    deleteContender: async (session, options) => {
      requests.push("delete contender");
      left.push({ session, options, at: performance.now() - start });
      await deleteContender();
    },
  };
  sessions.onDestroy = async () => {
    requests.push("destroy");
    await destroy();
    return true;
  };
}

function newLease({ own = true, ttl = TTL } = {}): SessionLease {
  const term = { sentAt: performance.now(), ttl };
  const watchdogs = new Watchdogs();
  return new SessionLease(sessions, { id: SESSION, term, watchdogs, own, scope: {} });
}

interface ObservedCleanUp {
  readonly cleanUp: CleanUp;
  readonly finished: Watched<void>;
}

/** A queue that can be answered for in another way while a cleanup is under way. */
const currentQueue: LeftQueue = {
  leave: (...args) => queue.leave(...args),
  deleteContender: (...args) => queue.deleteContender(...args),
};

function cleaningUp(lease: SessionLease, remains: Remains): ObservedCleanUp {
  const cleanUp = new CleanUp(currentQueue, lease, () => remains);
  return { cleanUp, finished: new Watched(cleanUp.finished) };
}

const updateFailed = new SemaphoreRequestError(
  "SEMAPHORE_UPDATE_FAILED",
  refusal(500, "no leader"),
);
const forbidden = new SemaphoreRequestError("SEMAPHORE_UPDATE_FAILED", refusal(403));

describe("a cleanup", () => {
  test.each<[string, boolean, Remains, readonly string[]]>([
    ["an own session with a slot", true, HOLDER, ["leave", "destroy"]],
    ["an own session in the queue", true, CONTENDER, ["delete contender", "destroy"]],
    ["an own session with nothing", true, NOTHING, ["destroy"]],
    ["a borrowed session with a slot", false, HOLDER, ["leave"]],
    ["a borrowed session in the queue", false, CONTENDER, ["leave"]],
    ["a borrowed session with nothing", false, NOTHING, []],
  ])("of %s takes what there is, and in this order", async (_, own, remains, expected) => {
    const { finished } = cleaningUp(newLease({ own }), remains);
    await vi.advanceTimersByTimeAsync(0);
    expect(finished.outcome).toEqual({ value: undefined, at: start });
    expect(requests).toEqual(expected);
    for (const { session, options } of left) {
      expect(session).toBe(SESSION);
      expect(options).toMatchObject({ timeout: 4_000 });
    }
    await vi.advanceTimersByTimeAsync(2 * TTL);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("leaves a slot that a borrowed session has brought, but not one that it took", async () => {
    cleaningUp(newLease({ own: false }), CONTENDER);
    cleaningUp(newLease({ own: false }), HOLDER);
    await vi.advanceTimersByTimeAsync(0);
    expect(left.map(({ options }) => options.unlessHolder === true)).toEqual([true, false]);
  });

  test("asks before each attempt what there is: what was under way may have ended since", async () => {
    answering({ leave: failWith(updateFailed) });
    let kind: Remains["kind"] = "holder";
    new CleanUp(currentQueue, newLease(), () => ({ ...NOTHING, kind }));
    await vi.advanceTimersByTimeAsync(0);
    kind = "contender";
    await vi.advanceTimersByTimeAsync(1_000);
    expect(requests).toEqual(["leave", "delete contender", "destroy"]);
  });

  test("stops the renewal before anything else", async () => {
    const lease = newLease();
    answering({ leave: () => after(TTL / 2, undefined) });
    cleaningUp(lease, HOLDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(sessions.of("renew")).toEqual([]);
    expect(requests).toEqual(["leave", "destroy"]);
  });

  test.each([
    ["a quarter of the TTL", TTL, 4_000],
    ["five seconds", 60_000, 5_000],
    ["five seconds without a TTL", Infinity, 5_000],
    ["a second at the least", 1_000, 1_000],
  ])("gives each request %s", async (_, ttl, timeout) => {
    cleaningUp(newLease({ ttl }), HOLDER);
    await vi.advanceTimersByTimeAsync(0);
    expect(left).toMatchObject([{ options: { timeout } }]);
    expect(sessions.of("destroy")).toMatchObject([{ options: { timeout } }]);
  });

  test.each([
    [true, false],
    [false, true],
  ])("with a session of ours: %s reckons with a swap that comes late: %s", async (own, late) => {
    cleaningUp(newLease({ own }), HOLDER);
    await vi.advanceTimersByTimeAsync(0);
    expect(left.map(({ options }) => options.swapMayCome)).toEqual([late]);
  });
});

describe("a cleanup that fails for now", () => {
  test("is repeated after growing pauses until it is done", async () => {
    const bad = failWith(updateFailed);
    answering({ leave: inTurn(bad, bad, bad, succeed) });
    const { finished } = cleaningUp(newLease(), HOLDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(left.map(({ at }) => at)).toEqual([0, 50, 150, 350]);
    expect(requests.at(-1)).toBe("destroy");
    expect(finished.outcome).toEqual({ value: undefined, at: start + 350 });
  });

  test("is repeated also from the queue", async () => {
    answering({ deleteContender: inTurn<[], Promise<unknown>>(failWith(updateFailed), succeed) });
    const { finished } = cleaningUp(newLease(), CONTENDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(requests).toEqual(["delete contender", "delete contender", "destroy"]);
    expect(finished.outcome).toMatchObject({ value: undefined });
  });

  test("is repeated where a proxy's page was the answer", async () => {
    const page = new SemaphoreRequestError("SEMAPHORE_READ_FAILED", failure("CONSUL_BAD_ANSWER"));
    answering({ leave: inTurn<[], Promise<unknown>>(failWith(page), succeed) });
    const { finished } = cleaningUp(newLease({ own: false }), HOLDER);
    await vi.advanceTimersByTimeAsync(100);
    expect(requests).toEqual(["leave", "leave"]);
    expect(finished.outcome).toMatchObject({ value: undefined });
  });

  test("is repeated until the session of ours is over, and then reported", async () => {
    answering({ leave: failWith(updateFailed) });
    const { finished } = cleaningUp(newLease(), HOLDER);
    await vi.advanceTimersByTimeAsync(TTL - 1);
    expect(finished.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(finished.outcome).toEqual({ error: updateFailed, at: start + TTL });
    // The session may live on for a while yet: Consul lets each have up to two TTLs.
    expect(requests.filter((request) => request === "destroy")).toHaveLength(1);
    expect(requests.at(-1)).toBe("destroy");
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is repeated for ever with a session of the user's, which may live on", async () => {
    answering({ leave: failWith(updateFailed) });
    const { finished } = cleaningUp(newLease({ own: false }), HOLDER);
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(finished.outcome).toBeUndefined();
    answering({});
    await vi.advanceTimersByTimeAsync(1_000);
    expect(finished.outcome).toMatchObject({ value: undefined });
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a caller that waits for a cleanup", () => {
  const within = ({ cleanUp }: ObservedCleanUp, ms: number): Watched<void> =>
    new Watched(cleanUp.within(ms));

  test("has the last failure when the time is over, while it goes on", async () => {
    const failures = Array.from({ length: 4 }, (_, number) => refusal(500, `failure ${number}`));
    answering({ leave: inTurn<[], Promise<unknown>>(...failures.map(failWith), succeed) });
    const observed = cleaningUp(newLease(), HOLDER);
    const wait = within(observed, 200);
    await vi.advanceTimersByTimeAsync(199);
    expect(wait.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(wait.outcome).toEqual({ error: failures[2], at: start + 200 });
    expect(observed.finished.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(TTL);
    expect(observed.finished.outcome).toEqual({ value: undefined, at: start + 750 });
  });

  test("has it also where one request hangs", async () => {
    answering({ leave: inTurn<[], Promise<unknown>>(failWith(updateFailed), () => hang({})) });
    const wait = within(cleaningUp(newLease(), HOLDER), 500);
    await vi.advanceTimersByTimeAsync(500);
    expect(wait.outcome).toEqual({ error: updateFailed, at: start + 500 });
  });

  test("hears that it takes long where nothing has failed so far", async () => {
    answering({ leave: () => after(TTL / 2, undefined) });
    const wait = within(cleaningUp(newLease(), HOLDER), 500);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(wait.outcome).toMatchObject({
      error: {
        code: "SEMAPHORE_UPDATE_FAILED",
        message: "failed to update lock: not done within 500 ms",
      },
      at: start + 500,
    });
  });

  test("waits for all of it where that is quick enough", async () => {
    answering({ leave: () => after(499, undefined), destroy: () => after(500, undefined) });
    const wait = within(cleaningUp(newLease(), HOLDER), 1_000);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(wait.outcome).toStrictEqual({ value: undefined, at: start + 999 });
  });

  test("hears at once of a failure that is final", async () => {
    answering({ leave: failWith(forbidden) });
    const wait = within(cleaningUp(newLease(), HOLDER), 1_000);
    await vi.advanceTimersByTimeAsync(0);
    expect(wait.outcome).toEqual({ error: forbidden, at: start });
  });

  test.each<[string, Answer]>([
    ["where nothing has failed", succeed],
    [
      "also where something had failed before",
      inTurn<[], Promise<unknown>>(failWith(updateFailed), succeed),
    ],
  ])("has no failure while only the session is still to end, %s", async (_, leave) => {
    answering({ leave, destroy: () => after(3_000, undefined) });
    const observed = cleaningUp(newLease(), HOLDER);
    const wait = within(observed, 500);
    await vi.advanceTimersByTimeAsync(499);
    expect(wait.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    // Strictly: a rejection with nothing would look the same.
    expect(wait.outcome).toStrictEqual({ value: undefined, at: start + 500 });
    expect(observed.finished.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(TTL);
    expect(observed.finished.outcome).toMatchObject({ value: undefined });
  });

  test("has none either where the session cannot be ended, which goes on being tried", async () => {
    answering({ destroy: failWith(refusal(500)) });
    const wait = within(cleaningUp(newLease(), HOLDER), 500);
    await vi.advanceTimersByTimeAsync(500);
    expect(wait.outcome).toStrictEqual({ value: undefined, at: start + 500 });
    const before = requests.length;
    await vi.advanceTimersByTimeAsync(TTL);
    expect(requests.length).toBeGreaterThan(before + 10);
  });

  test("is no reason for the process to stay once the wait is over", async () => {
    answering({ leave: failWith(updateFailed) });
    const timers = vi.spyOn(globalThis, "setTimeout");
    const keptAlive = (): boolean[] =>
      timers.mock.results.map(({ type, value }) => type === "return" && value.hasRef());
    const lease = newLease();
    timers.mockClear();
    const wait = within(cleaningUp(lease, HOLDER), 200);
    await vi.advanceTimersByTimeAsync(199);
    expect(keptAlive()).not.toContain(false);
    await vi.advanceTimersByTimeAsync(200);
    expect(wait.outcome).toMatchObject({ error: updateFailed });
    timers.mockClear();
    await vi.advanceTimersByTimeAsync(TTL);
    expect(keptAlive().length).toBeGreaterThan(10);
    expect(keptAlive()).not.toContain(true);
  });

  test("leaves no timer behind where it is done in time", async () => {
    const wait = within(cleaningUp(newLease(), HOLDER), 60_000);
    await vi.advanceTimersByTimeAsync(0);
    expect(wait.outcome).toStrictEqual({ value: undefined, at: start });
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a session that is kept", () => {
  function keeping(
    lease: SessionLease,
    remains: Remains,
  ): { readonly finished: Watched<void>; readonly keep: Mock<(lease: SessionLease) => void> } {
    const keep = vi.fn<(lease: SessionLease) => void>();
    const { finished } = new CleanUp(currentQueue, lease, () => remains, { keep });
    return { finished: new Watched(finished), keep };
  }

  test("is handed over once it has left, and not ended", async () => {
    const lease = newLease();
    answering({ leave: () => after(100, undefined) });
    const { finished, keep } = keeping(lease, HOLDER);
    await vi.advanceTimersByTimeAsync(99);
    expect(keep).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(keep.mock.calls).toEqual([[lease]]);
    expect(finished.outcome).toEqual({ value: undefined, at: start + 100 });
    expect(requests).toEqual(["leave"]);
    // It is renewed all the while.
    await vi.advanceTimersByTimeAsync(TTL / 2);
    expect(sessions.of("renew")).toHaveLength(1);
    lease.stop();
    await vi.advanceTimersByTimeAsync(2 * TTL);
    expect(requests).toEqual(["leave"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is none where a write has gone unanswered: what is on its way must find it gone", async () => {
    const { keep } = keeping(newLease(), { ...HOLDER, hasUnanswered: true });
    await vi.advanceTimersByTimeAsync(0);
    expect(requests).toEqual(["leave", "destroy"]);
    expect(keep).not.toHaveBeenCalled();
  });

  test("is none where its first attempt has failed, which may yet be carried out", async () => {
    answering({ leave: inTurn<[], Promise<unknown>>(failWith(updateFailed), succeed) });
    const { keep } = keeping(newLease(), HOLDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(requests).toEqual(["leave", "leave", "destroy"]);
    expect(sessions.of("renew")).toEqual([]);
    expect(keep).not.toHaveBeenCalled();
  });

  test("is none where it has failed for good", async () => {
    answering({ leave: failWith(forbidden) });
    const { finished, keep } = keeping(newLease(), HOLDER);
    await vi.advanceTimersByTimeAsync(0);
    expect(finished.outcome).toEqual({ error: forbidden, at: start });
    expect(requests).toEqual(["leave", "destroy"]);
    expect(keep).not.toHaveBeenCalled();
  });

  test("is none of the user's, who has it anyway", async () => {
    const { keep } = keeping(newLease({ own: false }), HOLDER);
    await vi.advanceTimersByTimeAsync(0);
    expect(requests).toEqual(["leave"]);
    expect(keep).not.toHaveBeenCalled();
  });
});

describe("a cleanup that fails for good", () => {
  test("rejects at once, after it has ended the session of ours", async () => {
    answering({ leave: failWith(forbidden), destroy: () => after(300, undefined) });
    const { finished } = cleaningUp(newLease(), HOLDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(requests).toEqual(["leave", "destroy"]);
    expect(finished.outcome).toEqual({ error: forbidden, at: start + 300 });
    expect(vi.getTimerCount()).toBe(0);
  });

  test("rejects with that also where the session cannot be ended either", async () => {
    answering({ leave: failWith(forbidden), destroy: failWith(refusal(500)) });
    const { finished } = cleaningUp(newLease(), HOLDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(finished.outcome).toEqual({ error: forbidden, at: start });
    expect(requests).toEqual(["leave", "destroy"]);
  });

  test("lets a session of the user's live, without an entry, so that its slot counts as dead", async () => {
    answering({ leave: failWith(forbidden) });
    const { finished } = cleaningUp(newLease({ own: false }), HOLDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(finished.outcome).toEqual({ error: forbidden, at: start });
    expect(requests).toEqual(["leave", "delete contender"]);
  });

  test("rejects with that also where that entry cannot be deleted either", async () => {
    const worse = new SemaphoreRequestError("SEMAPHORE_LEAVE_FAILED", refusal(403));
    answering({ leave: failWith(forbidden), deleteContender: failWith(worse) });
    const { finished } = cleaningUp(newLease({ own: false }), HOLDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(finished.outcome).toEqual({ error: forbidden, at: start });
    expect(requests).toEqual(["leave", "delete contender"]);
  });
});

describe("a lock that cannot be read", () => {
  test.each([new SemaphoreConflictError(), new SemaphoreDecodingError("garbage")])(
    "keeps nobody: the contender entry goes all the same, and the error is reported: %s",
    async (error) => {
      answering({ leave: failWith(error) });
      const { finished } = cleaningUp(newLease(), HOLDER);
      await vi.advanceTimersByTimeAsync(TTL);
      expect(requests).toEqual(["leave", "delete contender", "destroy"]);
      expect(finished.outcome).toEqual({ error, at: start });
    },
  );

  test("is read again where the contender entry could not be deleted for now", async () => {
    const error = new SemaphoreConflictError();
    answering({
      leave: failWith(error),
      deleteContender: inTurn<[], Promise<unknown>>(failWith(updateFailed), succeed),
    });
    const { finished } = cleaningUp(newLease({ own: false }), CONTENDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(requests).toEqual(["leave", "delete contender", "leave", "delete contender"]);
    expect(finished.outcome).toEqual({ error, at: start + 50 });
  });
});

describe("a session that cannot be ended", () => {
  test("is tried again, and the cleanup has gone well", async () => {
    const bad = failWith(refusal(500));
    answering({ destroy: inTurn<[], Promise<unknown>>(bad, bad, succeed) });
    const { finished } = cleaningUp(newLease(), HOLDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(requests).toEqual(["leave", "destroy", "destroy", "destroy"]);
    expect(finished.outcome).toEqual({ value: undefined, at: start + 150 });
  });

  test("is left to its TTL, and the cleanup has gone well", async () => {
    answering({ destroy: failWith(failure("CONSUL_UNREACHABLE")) });
    const { finished } = cleaningUp(newLease(), HOLDER);
    await vi.advanceTimersByTimeAsync(2 * TTL);
    expect(finished.outcome).toEqual({ value: undefined, at: start + TTL });
    expect(requests.length).toBeGreaterThan(10);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is tried again for a minute at most, from when the slot is given back", async () => {
    answering({
      leave: () => after(3_000, undefined),
      destroy: failWith(failure("CONSUL_UNREACHABLE")),
    });
    const { finished } = cleaningUp(newLease({ ttl: 3_600_000 }), HOLDER);
    await vi.advanceTimersByTimeAsync(62_999);
    expect(finished.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(finished.outcome).toEqual({ value: undefined, at: start + 63_000 });
    const tried = requests.length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(requests).toHaveLength(tried);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("for good is not tried again, and the cleanup has gone well", async () => {
    answering({ destroy: failWith(refusal(403)) });
    const { finished } = cleaningUp(newLease(), HOLDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(requests).toEqual(["leave", "destroy"]);
    expect(finished.outcome).toEqual({ value: undefined, at: start });
  });
});

describe("a contender entry whose request may yet arrive", () => {
  const LATE: Remains = { ...CONTENDER, mayEnterLate: true, hasUnanswered: true };

  test("is removed a second later, with a session of the user's", async () => {
    const { finished } = cleaningUp(newLease({ own: false }), LATE);
    const timers = vi.spyOn(globalThis, "setTimeout");
    await vi.advanceTimersByTimeAsync(999);
    expect(finished.outcome).toEqual({ value: undefined, at: start });
    expect(requests).toEqual(["leave"]);
    expect(
      timers.mock.results.map(({ type, value }) => type === "return" && value.hasRef()),
    ).toEqual([false]);
    await vi.advanceTimersByTimeAsync(1);
    expect(requests).toEqual(["leave", "leave"]);
    // By then the session may have come by a slot again.
    expect(left[1]).toMatchObject({ session: SESSION, options: { unlessHolder: true } });
    await vi.advanceTimersByTimeAsync(2 * TTL);
    expect(requests).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is removed also after a slot, but not where there is one again", async () => {
    cleaningUp(newLease({ own: false }), { ...LATE, kind: "holder" });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(left.map(({ options }) => options.unlessHolder === true)).toEqual([false, true]);
  });

  test("that cannot be removed is nobody's failure", async () => {
    answering({ leave: inTurn<[], Promise<unknown>>(succeed, failWith(forbidden)) });
    const { finished } = cleaningUp(newLease({ own: false }), LATE);
    await vi.advanceTimersByTimeAsync(2 * TTL);
    expect(finished.outcome).toEqual({ value: undefined, at: start });
    expect(requests).toEqual(["leave", "leave"]);
  });

  test("comes to nothing with a session of ours, which is no more", async () => {
    cleaningUp(newLease(), LATE);
    await vi.advanceTimersByTimeAsync(2 * TTL);
    expect(requests).toEqual(["delete contender", "destroy"]);
  });
});
