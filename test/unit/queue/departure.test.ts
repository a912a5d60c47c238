import { getEventListeners } from "node:events";

import { afterEach, beforeEach, describe, expect, test, vi, type Mock } from "vitest";

import { depart, type Traces } from "../../../src/queue/departure.js";
import {
  SemaphoreConflictError,
  SemaphoreDecodingError,
  SemaphoreRequestError,
} from "../../../src/errors.js";
import { SessionLease } from "../../../src/session/lease.js";
import { FakeSessions, SESSION, sessionEntry } from "../session/fake-sessions.js";
import { FakeStore, leftAsItIs } from "../fake-store.js";
import { after, failure, hang, inTurn, refusal } from "../failures.js";
import { Watched } from "../outcome.js";

const TTL = 16_000;

const NOTHING: Traces = {
  contender: false,
  lateContender: false,
  holder: false,
  inDoubt: false,
};
const CONTENDER: Traces = { ...NOTHING, contender: true };
const HOLDER: Traces = { ...CONTENDER, holder: true };

/** All requests, in their order: those of the store and those of the session. */
let requests: string[];
let store: FakeStore;
let sessions: FakeSessions;
let told: { readonly failure: unknown; readonly at: number }[];
let start: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  // Each pause in full.
  vi.spyOn(Math, "random").mockReturnValue(0);
  start = performance.now();
  told = [];
  requests = [];
  store = new FakeStore();
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

/** Answers the requests of a departure so, and succeeds in the others. */
function answering({
  leave = succeed,
  deleteContender = succeed,
  destroy = succeed,
}: {
  readonly leave?: Answer;
  readonly deleteContender?: Answer;
  readonly destroy?: Answer;
}): void {
  store.onLeave = async () => {
    requests.push("leave");
    await leave();
    return leftAsItIs;
  };
  store.onDeleteContender = async () => {
    requests.push("deleteContender");
    await deleteContender();
  };
  sessions.onDestroy = async () => {
    requests.push("destroy");
    await destroy();
    return true;
  };
}

function newLease({ own = true, ttl = TTL } = {}): SessionLease {
  const term = { sentAt: performance.now(), ttl };
  return new SessionLease(sessions, { id: SESSION, term, own, scope: {} });
}

function departing(lease: SessionLease, traces: Traces, { patience = 1_000 } = {}): Watched<void> {
  const gaveUp = (failure: unknown): void => {
    told.push({ failure, at: performance.now() - start });
  };
  return new Watched(depart(store, lease, traces, { patience, gaveUp }));
}

const updateFailed = new SemaphoreRequestError(
  "SEMAPHORE_UPDATE_FAILED",
  refusal(500, "no leader"),
);
const forbidden = new SemaphoreRequestError("SEMAPHORE_UPDATE_FAILED", refusal(403));

describe("a departure", () => {
  test.each<[string, boolean, Traces, readonly string[]]>([
    ["an own session with a slot", true, HOLDER, ["leave", "destroy"]],
    ["an own session in the queue", true, CONTENDER, ["deleteContender", "destroy"]],
    ["an own session with nothing", true, NOTHING, ["destroy"]],
    ["a borrowed session with a slot", false, HOLDER, ["leave"]],
    ["a borrowed session in the queue", false, CONTENDER, ["leave"]],
    ["a borrowed session with nothing", false, NOTHING, []],
  ])("of %s takes what there is, and in this order", async (_, own, traces, expected) => {
    const departure = departing(newLease({ own }), traces);
    await vi.advanceTimersByTimeAsync(0);
    expect(departure.outcome).toEqual({ value: undefined, at: start });
    expect(requests).toEqual(expected);
    for (const { session, options } of store.calls) {
      expect(session).toBe(SESSION);
      expect(options).toMatchObject({ timeout: 4_000 });
    }
    await vi.advanceTimersByTimeAsync(2 * TTL);
    expect(told).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("leaves a slot that a borrowed session has brought, but not one that it took", async () => {
    departing(newLease({ own: false }), CONTENDER);
    departing(newLease({ own: false }), HOLDER);
    await vi.advanceTimersByTimeAsync(0);
    expect(store.of("leave").map(({ options }) => options?.unlessHolder === true)).toEqual([
      true,
      false,
    ]);
  });

  test("stops the renewal before anything else", async () => {
    const lease = newLease();
    answering({ leave: () => after(TTL / 2, undefined) });
    departing(lease, HOLDER);
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
    departing(newLease({ ttl }), HOLDER);
    await vi.advanceTimersByTimeAsync(0);
    expect(store.of("leave")).toMatchObject([{ options: { timeout } }]);
    expect(sessions.of("destroy")).toMatchObject([{ options: { timeout } }]);
  });
});

describe("a departure that fails for now", () => {
  test("is repeated after growing pauses until it is done", async () => {
    const bad = failWith(updateFailed);
    answering({ leave: inTurn(bad, bad, bad, succeed) });
    const departure = departing(newLease(), HOLDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(store.of("leave").map(({ at }) => at - start)).toEqual([0, 50, 150, 350]);
    expect(requests.at(-1)).toBe("destroy");
    expect(departure.outcome).toEqual({ value: undefined, at: start + 350 });
    expect(told).toEqual([]);
  });

  test("also from the queue", async () => {
    answering({ deleteContender: inTurn<[], Promise<unknown>>(failWith(updateFailed), succeed) });
    const departure = departing(newLease(), CONTENDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(requests).toEqual(["deleteContender", "deleteContender", "destroy"]);
    expect(departure.outcome).toMatchObject({ value: undefined });
  });

  test("is repeated until the session of ours is over, and then told", async () => {
    answering({ leave: failWith(updateFailed) });
    const departure = departing(newLease(), HOLDER, { patience: Infinity });
    await vi.advanceTimersByTimeAsync(TTL - 1);
    expect(departure.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(departure.outcome).toEqual({ error: updateFailed, at: start + TTL });
    // The session may live on for a while yet: Consul lets each have up to two TTLs.
    expect(requests.filter((request) => request === "destroy")).toHaveLength(1);
    expect(requests.at(-1)).toBe("destroy");
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is repeated for ever with a session of the user's, which may live on", async () => {
    answering({ leave: failWith(updateFailed) });
    const departure = departing(newLease({ own: false }), HOLDER);
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(departure.outcome).toBeUndefined();
    answering({});
    await vi.advanceTimersByTimeAsync(1_000);
    expect(departure.outcome).toMatchObject({ value: undefined });
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("whoever waits for a departure", () => {
  test("is told the last failure when the patience is over, once, while it goes on", async () => {
    const failures = Array.from({ length: 4 }, (_, number) => refusal(500, `failure ${number}`));
    answering({ leave: inTurn<[], Promise<unknown>>(...failures.map(failWith), succeed) });
    const departure = departing(newLease(), HOLDER, { patience: 200 });
    await vi.advanceTimersByTimeAsync(199);
    expect(told).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(told).toEqual([{ failure: failures[2], at: 200 }]);
    expect(departure.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(TTL);
    expect(departure.outcome).toEqual({ value: undefined, at: start + 750 });
    expect(told).toHaveLength(1);
  });

  test("is told also where one request hangs", async () => {
    answering({ leave: inTurn<[], Promise<unknown>>(failWith(updateFailed), () => hang({})) });
    departing(newLease(), HOLDER, { patience: 500 });
    await vi.advanceTimersByTimeAsync(500);
    expect(told).toEqual([{ failure: updateFailed, at: 500 }]);
  });

  test("is told that it takes long where nothing has failed so far", async () => {
    answering({ leave: () => after(TTL / 2, undefined) });
    departing(newLease(), HOLDER, { patience: 500 });
    await vi.advanceTimersByTimeAsync(TTL);
    expect(told).toMatchObject([
      {
        failure: {
          code: "SEMAPHORE_UPDATE_FAILED",
          message: "failed to update lock: not done within 500 ms",
        },
        at: 500,
      },
    ]);
  });

  test("is not told any more, nor kept alive, once it has given up itself", async () => {
    answering({ leave: failWith(updateFailed) });
    const controller = new AbortController();
    const given = { patience: 10_000, gaveUp: vi.fn(), signal: controller.signal };
    const departure = new Watched(depart(store, newLease({ own: false }), HOLDER, given));
    await vi.advanceTimersByTimeAsync(1_000);
    controller.abort();
    await vi.advanceTimersByTimeAsync(1_000);
    const timers = vi.spyOn(globalThis, "setTimeout");
    await vi.advanceTimersByTimeAsync(20_000);
    expect(given.gaveUp).not.toHaveBeenCalled();
    expect(timers).toHaveBeenCalled();
    for (const { type, value } of timers.mock.results) {
      expect(type === "return" && value.hasRef()).toBe(false);
    }
    answering({});
    await vi.advanceTimersByTimeAsync(1_000);
    expect(departure.outcome).toMatchObject({ value: undefined });
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
  });

  test("is not told once all is done", async () => {
    answering({ leave: () => after(499, undefined), destroy: () => after(500, undefined) });
    const departure = departing(newLease(), HOLDER, { patience: 1_000 });
    await vi.advanceTimersByTimeAsync(TTL);
    expect(departure.outcome).toEqual({ value: undefined, at: start + 999 });
    expect(told).toEqual([]);
  });

  test.each<[string, Answer]>([
    ["where nothing has failed", succeed],
    [
      "also where something had failed before",
      inTurn<[], Promise<unknown>>(failWith(updateFailed), succeed),
    ],
  ])("is told of no failure while only the session is still to end, %s", async (_, leave) => {
    answering({ leave, destroy: () => after(3_000, undefined) });
    const departure = departing(newLease(), HOLDER, { patience: 500 });
    await vi.advanceTimersByTimeAsync(499);
    expect(told).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(told).toEqual([{ failure: undefined, at: 500 }]);
    expect(departure.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(TTL);
    expect(departure.outcome).toMatchObject({ value: undefined });
    expect(told).toHaveLength(1);
  });

  test("is told of no failure also where the session cannot be ended, which goes on being tried", async () => {
    answering({ destroy: failWith(refusal(500)) });
    const timers = vi.spyOn(globalThis, "setTimeout");
    departing(newLease(), HOLDER, { patience: 500 });
    await vi.advanceTimersByTimeAsync(500);
    expect(told).toEqual([{ failure: undefined, at: 500 }]);
    const before = requests.length;
    timers.mockClear();
    await vi.advanceTimersByTimeAsync(TTL);
    expect(requests.length).toBeGreaterThan(before + 10);
    for (const { type, value } of timers.mock.results.slice(1)) {
      expect(type === "return" && value.hasRef()).toBe(false);
    }
  });

  test("keeps the process alive only while waiting", async () => {
    answering({ leave: failWith(updateFailed) });
    const timers = vi.spyOn(globalThis, "setTimeout");
    const pausesKeepAlive = (): boolean[] =>
      timers.mock.results.map(({ type, value }) => type === "return" && value.hasRef());
    const lease = newLease();
    timers.mockClear();
    departing(lease, HOLDER, { patience: 200 });
    await vi.advanceTimersByTimeAsync(199);
    // The patience itself, and the pauses after 0, 50 and 150 ms.
    expect(pausesKeepAlive()).toEqual([true, true, true, true]);
    timers.mockClear();
    await vi.advanceTimersByTimeAsync(TTL);
    expect(pausesKeepAlive().length).toBeGreaterThan(10);
    expect(pausesKeepAlive()).not.toContain(true);
  });
});

describe("a session that is kept", () => {
  function keeping(
    lease: SessionLease,
    traces: Traces,
  ): { readonly departure: Watched<void>; readonly keep: Mock<(lease: SessionLease) => void> } {
    const keep = vi.fn<(lease: SessionLease) => void>();
    const given = { patience: 1_000, gaveUp: () => undefined, keep };
    return { departure: new Watched(depart(store, lease, traces, given)), keep };
  }

  test("is handed over once it has left, and not ended", async () => {
    const lease = newLease();
    answering({ leave: () => after(100, undefined) });
    const { departure, keep } = keeping(lease, HOLDER);
    await vi.advanceTimersByTimeAsync(99);
    expect(keep).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(keep.mock.calls).toEqual([[lease]]);
    expect(departure.outcome).toEqual({ value: undefined, at: start + 100 });
    expect(requests).toEqual(["leave"]);
    // It is renewed all the while.
    expect(vi.getTimerCount()).toBe(2);
    lease.stop();
    await vi.advanceTimersByTimeAsync(2 * TTL);
    expect(requests).toEqual(["leave"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each<[string, Traces]>([
    ["where a write has gone unanswered", { ...HOLDER, inDoubt: true }],
    ["where a contender entry may come yet", { ...HOLDER, lateContender: true }],
  ])("is none %s: what is on its way must find the session gone", async (_, traces) => {
    const { keep } = keeping(newLease(), traces);
    await vi.advanceTimersByTimeAsync(0);
    expect(requests).toEqual(["leave", "destroy"]);
    expect(keep).not.toHaveBeenCalled();
  });

  test("is none where its departure has failed at first, which may take place yet", async () => {
    answering({ leave: inTurn<[], Promise<unknown>>(failWith(updateFailed), succeed) });
    const { keep } = keeping(newLease(), HOLDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(requests).toEqual(["leave", "leave", "destroy"]);
    expect(keep).not.toHaveBeenCalled();
  });

  test("is none where its departure has failed for good", async () => {
    answering({ leave: failWith(forbidden) });
    const { departure, keep } = keeping(newLease(), HOLDER);
    await vi.advanceTimersByTimeAsync(0);
    expect(departure.outcome).toEqual({ error: forbidden, at: start });
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

test("a departure that is answered with a proxy's page is tried again", async () => {
  const page = new SemaphoreRequestError("SEMAPHORE_READ_FAILED", failure("CONSUL_BAD_ANSWER"));
  answering({ leave: inTurn<[], Promise<unknown>>(failWith(page), succeed) });
  const departure = departing(newLease({ own: false }), HOLDER);
  await vi.advanceTimersByTimeAsync(100);
  expect(requests).toEqual(["leave", "leave"]);
  expect(departure.outcome).toMatchObject({ value: undefined });
});

test.each([
  [true, false],
  [false, true],
])("a departure (own: %s) reckons with a try for a slot that comes late: %s", async (own, late) => {
  departing(newLease({ own }), HOLDER);
  await vi.advanceTimersByTimeAsync(0);
  expect(store.of("leave").map(({ options }) => options?.joinMayCome)).toEqual([late]);
});

describe("a departure that fails for good", () => {
  test("rejects at once, after it has ended the session of ours", async () => {
    answering({ leave: failWith(forbidden), destroy: () => after(300, undefined) });
    const departure = departing(newLease(), HOLDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(requests).toEqual(["leave", "destroy"]);
    expect(departure.outcome).toEqual({ error: forbidden, at: start + 300 });
    expect(told).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("tells of the leave also where the session cannot be ended either", async () => {
    answering({ leave: failWith(forbidden), destroy: failWith(refusal(500)) });
    const departure = departing(newLease(), HOLDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(departure.outcome).toEqual({ error: forbidden, at: start });
    expect(requests).toEqual(["leave", "destroy"]);
  });

  test("lets a session of the user's live, without an entry, so that its slot counts as dead", async () => {
    answering({ leave: failWith(forbidden) });
    const departure = departing(newLease({ own: false }), HOLDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(departure.outcome).toEqual({ error: forbidden, at: start });
    expect(requests).toEqual(["leave", "deleteContender"]);
  });

  test("tells of the leave also where that entry cannot be deleted either", async () => {
    const worse = new SemaphoreRequestError("SEMAPHORE_LEAVE_FAILED", refusal(403));
    answering({ leave: failWith(forbidden), deleteContender: failWith(worse) });
    const departure = departing(newLease({ own: false }), HOLDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(departure.outcome).toEqual({ error: forbidden, at: start });
    expect(requests).toEqual(["leave", "deleteContender"]);
  });
});

describe("a lock that cannot be read", () => {
  test.each([new SemaphoreConflictError(), new SemaphoreDecodingError("garbage")])(
    "keeps nobody: the contender entry goes all the same, and the error is told: %s",
    async (error) => {
      answering({ leave: failWith(error) });
      const departure = departing(newLease(), HOLDER);
      await vi.advanceTimersByTimeAsync(TTL);
      expect(requests).toEqual(["leave", "deleteContender", "destroy"]);
      expect(departure.outcome).toEqual({ error, at: start });
    },
  );

  test("is read again where the contender entry could not be deleted for now", async () => {
    const error = new SemaphoreConflictError();
    answering({
      leave: failWith(error),
      deleteContender: inTurn<[], Promise<unknown>>(failWith(updateFailed), succeed),
    });
    const departure = departing(newLease({ own: false }), CONTENDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(requests).toEqual(["leave", "deleteContender", "leave", "deleteContender"]);
    expect(departure.outcome).toEqual({ error, at: start + 50 });
  });
});

describe("a session that cannot be ended", () => {
  test("is tried again, and the departure has gone well", async () => {
    const bad = failWith(refusal(500));
    answering({ destroy: inTurn<[], Promise<unknown>>(bad, bad, succeed) });
    const departure = departing(newLease(), HOLDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(requests).toEqual(["leave", "destroy", "destroy", "destroy"]);
    expect(departure.outcome).toEqual({ value: undefined, at: start + 150 });
  });

  test("is left to its TTL, and the departure has gone well", async () => {
    answering({ destroy: failWith(failure("CONSUL_UNREACHABLE")) });
    const departure = departing(newLease(), HOLDER);
    await vi.advanceTimersByTimeAsync(2 * TTL);
    expect(departure.outcome).toEqual({ value: undefined, at: start + TTL });
    expect(requests.length).toBeGreaterThan(10);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is tried again for a minute at most, from when the slot is given back", async () => {
    answering({
      leave: () => after(3_000, undefined),
      destroy: failWith(failure("CONSUL_UNREACHABLE")),
    });
    const departure = departing(newLease({ ttl: 3_600_000 }), HOLDER);
    await vi.advanceTimersByTimeAsync(62_999);
    expect(departure.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(departure.outcome).toEqual({ value: undefined, at: start + 63_000 });
    const tried = requests.length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(requests).toHaveLength(tried);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("for good is not tried again, and the departure has gone well", async () => {
    answering({ destroy: failWith(refusal(403)) });
    const departure = departing(newLease(), HOLDER);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(requests).toEqual(["leave", "destroy"]);
    expect(departure.outcome).toEqual({ value: undefined, at: start });
  });
});

describe("a contender entry whose request may yet arrive", () => {
  const LATE: Traces = { ...CONTENDER, lateContender: true };

  test("is looked for once more a second later, with a session of the user's", async () => {
    const departure = departing(newLease({ own: false }), LATE);
    const timers = vi.spyOn(globalThis, "setTimeout");
    await vi.advanceTimersByTimeAsync(999);
    expect(departure.outcome).toEqual({ value: undefined, at: start });
    expect(requests).toEqual(["leave"]);
    expect(
      timers.mock.results.map(({ type, value }) => type === "return" && value.hasRef()),
    ).toEqual([false]);
    await vi.advanceTimersByTimeAsync(1);
    expect(requests).toEqual(["leave", "leave"]);
    // By then the session may have come by a slot again.
    expect(store.calls[1]).toMatchObject({ session: SESSION, options: { unlessHolder: true } });
    await vi.advanceTimersByTimeAsync(2 * TTL);
    expect(requests).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is looked for also after a slot, and only unless there is one again", async () => {
    departing(newLease({ own: false }), { ...LATE, holder: true });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(store.of("leave").map(({ options }) => options?.unlessHolder === true)).toEqual([
      false,
      true,
    ]);
  });

  test("that cannot be looked for is nobody's failure", async () => {
    answering({ leave: inTurn<[], Promise<unknown>>(succeed, failWith(forbidden)) });
    const departure = departing(newLease({ own: false }), LATE);
    await vi.advanceTimersByTimeAsync(2 * TTL);
    expect(departure.outcome).toEqual({ value: undefined, at: start });
    expect(requests).toEqual(["leave", "leave"]);
  });

  test("comes to nothing with a session of ours, which is no more", async () => {
    departing(newLease(), LATE);
    await vi.advanceTimersByTimeAsync(2 * TTL);
    expect(requests).toEqual(["deleteContender", "destroy"]);
  });
});
