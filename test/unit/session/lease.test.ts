import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { OwnRequestOptions } from "../../../src/consul/http/request-options.js";
import type { SessionEntry } from "../../../src/consul/session.js";
import { SessionLease } from "../../../src/session/lease.js";
import { Watchdogs } from "../../../src/session/watchdog.js";
import { FakeSessions, read, SESSION, sessionEntry } from "./fake-sessions.js";
import { after, failure, hang, inTurn, refusal, silence } from "../failures.js";
import { rejectionOf } from "../rejection.js";

const TTL = 16_000;
const SCOPE = { namespace: "team-a", partition: "west" };

interface LeaseOptions {
  readonly ttl: number;
  readonly own: boolean;
  readonly destroyStrays: (options: OwnRequestOptions) => Promise<void>;
}

let sessions: FakeSessions;
let leases: SessionLease[];
let watchdogs: Watchdogs;
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
  sessions = new FakeSessions();
  leases = [];
  watchdogs = new Watchdogs();
  start = performance.now();
});

afterEach(() => {
  for (const lease of leases) lease.stop();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function newLease({ ttl = TTL, own = true, ...given }: Partial<LeaseOptions> = {}): SessionLease {
  const term = { sentAt: start, ttl };
  const lease = new SessionLease(sessions, {
    ...{ id: SESSION, term, watchdogs, own, scope: SCOPE },
    ...given,
  });
  // What is said of a slot's session is said of any.
  lease.holdsSlot();
  leases.push(lease);
  return lease;
}

/** When a lease is lost, from the start. */
function lossOf(lease: SessionLease): { at: number | undefined } {
  const loss: { at: number | undefined } = { at: undefined };
  lease.lost.onAbort(() => {
    loss.at = performance.now() - start;
  });
  return loss;
}

const succeed = (): Promise<SessionEntry> => Promise.resolve(sessionEntry());
const vanish = (): Promise<null> => Promise.resolve(null);

describe("a lease", () => {
  test("knows its session, its TTL and its end from the start", () => {
    const lease = newLease();
    expect(lease).toMatchObject({ id: SESSION, own: true, ttl: TTL, expiresAt: start + TTL });
    expect(lease.checkLost()).toBe(false);
    expect(lease.lost.aborted).toBe(false);
  });

  test("renews its session where that lives, and lasts a TTL more each time", async () => {
    sessions.onRenew = succeed;
    const lease = newLease();
    await vi.advanceTimersByTimeAsync(10 * TTL + 1);
    expect(lease.checkLost()).toBe(false);
    expect(lease.expiresAt).toBe(start + 11 * TTL);
    expect(sessions.calls).toHaveLength(40);
    expect(sessions.calls[0]).toMatchObject({
      method: "renew",
      id: SESSION,
      options: { ...SCOPE, timeout: TTL / 8 },
    });
  });

  test("goes by the TTL that Consul tells", async () => {
    sessions.onRenew = () => Promise.resolve(sessionEntry({ ttl: "1m4s" }));
    const lease = newLease();
    await vi.advanceTimersByTimeAsync(TTL / 4);
    expect(lease.ttl).toBe(64_000);
    expect(lease.expiresAt).toBe(start + TTL / 4 + 64_000);
  });

  test("of a session without a TTL lasts for ever, and nobody is asked", async () => {
    const lease = newLease({ ttl: Infinity });
    expect(vi.getTimerCount()).toBe(0);
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(lease.checkLost()).toBe(false);
    expect(lease).toMatchObject({ ttl: Infinity, expiresAt: Infinity });
    expect(sessions.calls).toEqual([]);
  });
});

describe("the pace of the renewals", () => {
  const sentAt = (): readonly number[] => sessions.of("renew").map(({ at }) => at - start);

  beforeEach(() => {
    sessions.onRenew = succeed;
  });

  test("is a waiter's from the start, and a holder's once a slot hangs on it", async () => {
    const lease = newLease();
    lease.holdsNoSlot();
    await vi.advanceTimersByTimeAsync(TTL + 1);
    expect(sentAt()).toEqual([8_000, 16_000]);
    lease.holdsSlot();
    await vi.advanceTimersByTimeAsync(TTL);
    expect(sentAt().slice(2)).toEqual([20_000, 24_000, 28_000, 32_000]);
    lease.holdsNoSlot();
    await vi.advanceTimersByTimeAsync(TTL);
    // The one that was coming anyway may come as it is.
    expect(sentAt().slice(6)).toEqual([36_000, 44_000]);
  });

  test("has a renewal sent at once where a holder's would have been by now", async () => {
    const lease = newLease();
    lease.holdsNoSlot();
    await vi.advanceTimersByTimeAsync(7_000);
    lease.holdsSlot();
    await vi.advanceTimersByTimeAsync(4_000);
    expect(sentAt()).toEqual([7_000, 11_000]);
  });

  test("is not disturbed by being told the same again and again", async () => {
    const lease = newLease();
    for (let second = 0; second < 16; second += 1) {
      lease.holdsSlot();
      await vi.advanceTimersByTimeAsync(1_000);
    }
    expect(sentAt()).toEqual([4_000, 8_000, 12_000, 16_000]);
  });

  test("does not bring a stopped lease back to life", async () => {
    const lease = newLease();
    lease.stop();
    lease.holdsSlot();
    await vi.advanceTimersByTimeAsync(2 * TTL);
    expect(sentAt()).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a session that cannot be renewed", () => {
  test("is lost a TTL after it was created, with the last failure as the cause", async () => {
    const failures = ["first", "last"].map((text) => refusal(500, text));
    sessions.onRenew = inTurn(
      ...failures.map((error) => () => Promise.reject<SessionEntry>(error)),
      silence,
    );
    const lease = newLease();
    const loss = lossOf(lease);
    await vi.advanceTimersByTimeAsync(TTL - 1);
    expect(lease.checkLost()).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(loss.at).toBe(TTL);
    expect(lease.lost.reason).toMatchObject({
      name: "SemaphoreLostError",
      reason: "session-expired",
      cause: failures[1],
    });
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is lost in time also where a renewal does not even end with its time limit", async () => {
    sessions.onRenew = silence;
    const lease = newLease();
    const loss = lossOf(lease);
    await vi.advanceTimersByTimeAsync(10 * TTL);
    expect(loss.at).toBe(TTL);
    expect(lease.lost.reason).toMatchObject({ reason: "session-expired" });
    expect(lease.lost.reason).not.toHaveProperty("cause");
    expect(sessions.calls).toHaveLength(1);
    expect(sessions.calls[0]?.options.signal?.aborted).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is lost in time where all renewals hang until their time limit", async () => {
    sessions.onRenew = (_, options) => hang(options ?? {});
    const lease = newLease();
    const loss = lossOf(lease);
    await vi.advanceTimersByTimeAsync(10 * TTL);
    expect(loss.at).toBe(TTL);
    expect(lease.lost.reason).toMatchObject({ cause: { code: "CONSUL_TIMEOUT" } });
    expect(sessions.calls).toHaveLength(4);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is lost a TTL after the last that succeeded was sent, however late it was answered", async () => {
    sessions.onRenew = inTurn(succeed, () => after(3_000, sessionEntry()), silence);
    const lease = newLease();
    const loss = lossOf(lease);
    await vi.advanceTimersByTimeAsync(10 * TTL);
    expect(loss.at).toBe(TTL / 2 + TTL);
    // What came after it is no failure.
    expect(lease.lost.reason).not.toHaveProperty("cause");
  });

  test("is not lost for a failure from before the last success", async () => {
    sessions.onRenew = inTurn(
      () => Promise.reject<SessionEntry>(refusal(500, "No cluster leader")),
      succeed,
      silence,
    );
    const lease = newLease();
    await vi.advanceTimersByTimeAsync(10 * TTL);
    expect(lease.lost.reason).toMatchObject({ reason: "session-expired" });
    expect(lease.lost.reason).not.toHaveProperty("cause");
  });

  test("is lost at once where the client was closed", async () => {
    const closed = failure("CONSUL_CLOSED");
    sessions.onRenew = () => Promise.reject(closed);
    const loss = lossOf(newLease());
    await vi.advanceTimersByTimeAsync(TTL);
    expect(loss.at).toBe(TTL / 4);
    expect(leases[0]?.lost.reason).toMatchObject({ reason: "session-expired", cause: closed });
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("an answer", () => {
  test("that is read after the expiry does not bring the session back", async () => {
    let answer: (session: SessionEntry) => void = () => undefined;
    sessions.onRenew = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    const lease = newLease();
    const loss = lossOf(lease);
    await vi.advanceTimersByTimeAsync(TTL / 4);
    // The answer waits in the socket all the time that the event loop is blocked.
    blockedFor = TTL;
    answer(sessionEntry());
    await vi.advanceTimersByTimeAsync(0);
    expect(loss.at).toBe(TTL / 4 + TTL);
    expect(lease.lost.reason).toMatchObject({ reason: "session-expired" });
    expect(lease.checkLost()).toBe(true);
    expect(lease.expiresAt).toBe(start + TTL);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a look at the clock", () => {
  test("sees that the term is over before any timer does", () => {
    const lease = newLease();
    blockedFor = TTL - 1;
    expect(lease.checkLost()).toBe(false);
    blockedFor = TTL;
    expect(lease.lost.aborted).toBe(false);
    expect(lease.checkLost()).toBe(true);
    expect(lease.lost.reason).toMatchObject({ reason: "session-expired" });
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a look at the clock for all sessions of a client", () => {
  test("sees that the term is over, unless the lease was stopped", () => {
    const [lease, stopped] = [newLease(), newLease()];
    stopped.stop();
    blockedFor = TTL;
    new Watchdogs().check();
    expect(lease.lost.aborted).toBe(false);
    watchdogs.check();
    expect(lease.lost.reason).toMatchObject({ reason: "session-expired" });
    expect(stopped.lost.aborted).toBe(false);
  });
});

describe("a renewal that finds no session", () => {
  test("costs it at once where a consistent look says so as well", async () => {
    sessions.onRenew = vanish;
    sessions.onInfo = () => read(null);
    const loss = lossOf(newLease());
    await vi.advanceTimersByTimeAsync(TTL);
    expect(loss.at).toBe(TTL / 4);
    expect(leases[0]?.lost.reason).toMatchObject({ reason: "session-invalidated" });
    expect(sessions.methods).toEqual(["renew", "info"]);
    const [renewal, look] = sessions.calls;
    expect(look).toMatchObject({
      id: SESSION,
      options: { ...SCOPE, consistent: true, timeout: TTL / 8 },
    });
    expect(look?.options.signal).toBe(renewal?.options.signal);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("counts as a failure where the session is there, and is tried again", async () => {
    sessions.onRenew = inTurn<[], Promise<SessionEntry | null>>(vanish, succeed);
    sessions.onInfo = () => read(sessionEntry());
    const lease = newLease();
    await vi.advanceTimersByTimeAsync(TTL / 4 + 50);
    expect(sessions.methods).toEqual(["renew", "info", "renew"]);
    expect(lease.expiresAt).toBe(start + TTL / 4 + 50 + TTL);
    await vi.advanceTimersByTimeAsync(2 * TTL);
    expect(lease.checkLost()).toBe(false);
  });

  test("does not bring the session a longer life, though it is there", async () => {
    sessions.onRenew = vanish;
    sessions.onInfo = () => read(sessionEntry());
    const loss = lossOf(newLease());
    await vi.advanceTimersByTimeAsync(2 * TTL);
    expect(loss.at).toBe(TTL);
    expect(leases[0]?.lost.reason).toMatchObject({
      reason: "session-expired",
      cause: { message: `session ${SESSION} is there at index 7, and was not renewed` },
    });
  });

  test("counts as a failure where nobody can say whether it is there", async () => {
    const leaderless = refusal(500, "No cluster leader");
    sessions.onRenew = vanish;
    sessions.onInfo = () => Promise.reject(leaderless);
    const loss = lossOf(newLease());
    await vi.advanceTimersByTimeAsync(2 * TTL);
    expect(loss.at).toBe(TTL);
    expect(leases[0]?.lost.reason).toMatchObject({ reason: "session-expired", cause: leaderless });
  });
});

describe("a lease that was stopped", () => {
  test("renews no more, is never lost, and leaves nothing behind", async () => {
    sessions.onRenew = succeed;
    const lease = newLease();
    await vi.advanceTimersByTimeAsync(TTL / 2);
    expect(sessions.calls).toHaveLength(2);
    lease.stop();
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(0);
    await vi.advanceTimersByTimeAsync(10 * TTL);
    expect(lease.checkLost()).toBe(false);
    expect(sessions.calls).toHaveLength(2);
    // Until when Consul keeps the session is still good to know.
    expect(lease.expiresAt).toBe(start + TTL / 2 + TTL);
  });

  test("gives up the renewal that is under way", async () => {
    sessions.onRenew = (_, options) => hang(options ?? {});
    const lease = newLease();
    await vi.advanceTimersByTimeAsync(TTL / 4);
    lease.stop();
    await vi.advanceTimersByTimeAsync(0);
    expect(sessions.calls[0]?.options.signal?.aborted).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
    expect(lease.lost.aborted).toBe(false);
  });
});

describe("destroying", () => {
  test("ends a session of ours, in its scope, and stops the renewal", async () => {
    sessions.onRenew = succeed;
    const lease = newLease();
    await lease.destroy({ timeout: 1_000 });
    expect(sessions.calls).toMatchObject([
      { method: "destroy", id: SESSION, options: { ...SCOPE, timeout: 1_000 } },
    ]);
    await vi.advanceTimersByTimeAsync(2 * TTL);
    expect(sessions.calls).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("ends what tries to create the session have left as well, after the session", async () => {
    const destroyStrays = vi.fn<(options: OwnRequestOptions) => Promise<void>>(() => {
      expect(sessions.methods).toEqual(["destroy"]);
      return Promise.resolve();
    });
    await newLease({ destroyStrays }).destroy({ timeout: 1_000 });
    expect(destroyStrays.mock.calls).toEqual([[{ timeout: 1_000 }]]);
  });

  test("rejects where what was left cannot be ended", async () => {
    const leaderless = refusal(500, "No cluster leader");
    const lease = newLease({ destroyStrays: () => Promise.reject(leaderless) });
    expect(await rejectionOf(lease.destroy())).toBe(leaderless);
  });

  test("leaves a borrowed session alone, and stops the renewal all the same", async () => {
    sessions.onRenew = succeed;
    const lease = newLease({ own: false });
    await lease.destroy();
    await vi.advanceTimersByTimeAsync(2 * TTL);
    expect(sessions.calls).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("rejects with what Consul says, and stops the renewal all the same", async () => {
    const leaderless = refusal(500, "No cluster leader");
    sessions.onDestroy = () => Promise.reject(leaderless);
    expect(await rejectionOf(newLease().destroy())).toBe(leaderless);
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});
