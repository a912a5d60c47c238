import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { IdleSessions } from "../../../src/session/idle-sessions.js";
import { SessionLease } from "../../../src/session/lease.js";
import { Watchdogs } from "../../../src/session/watchdog.js";
import { FakeSessions, sessionEntry } from "./fake-sessions.js";
import { after, refusal } from "../failures.js";
import { Watched } from "../outcome.js";

const USE = "jobs";

let sessions: FakeSessions;
let kept: IdleSessions;
let start: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  start = performance.now();
  sessions = new FakeSessions();
  sessions.onRenew = (id) => Promise.resolve(sessionEntry({ id, ttl: "1h" }));
  kept = new IdleSessions();
});

afterEach(async () => {
  await kept.close();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** A session that was used and has left nothing behind. */
function leaseOf(id: string, ttl = 60_000): SessionLease {
  const term = { sentAt: performance.now(), ttl };
  return new SessionLease(sessions, { id, term, watchdogs: new Watchdogs(), own: true, scope: {} });
}

const destroyed = (): readonly (string | undefined)[] => sessions.of("destroy").map(({ id }) => id);

describe("sessions that are kept", () => {
  test("are given out for the same use, the last first, each once", () => {
    for (const id of ["a", "b", "c"]) kept.keep(USE, leaseOf(id));
    kept.keep("another", leaseOf("d"));
    const taken = Array.from({ length: 4 }, () => kept.take(USE)?.id);
    expect(taken).toEqual(["c", "b", "a", undefined]);
    expect(kept.take("another")?.id).toBe("d");
    expect(destroyed()).toEqual([]);
  });

  test("are renewed meanwhile, and after, though no more often than for a waiter", async () => {
    sessions.onRenew = () => Promise.resolve(sessionEntry({ ttl: "8s" }));
    const used = leaseOf("a", 8_000);
    used.holdsSlot();
    await vi.advanceTimersByTimeAsync(2_000);
    kept.keep(USE, used);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(sessions.of("renew").map(({ at }) => at - start)).toEqual([2_000, 4_000]);
    const lease = kept.take(USE);
    await vi.advanceTimersByTimeAsync(8_000);
    expect(sessions.of("renew").map(({ at }) => at - start)).toEqual([2_000, 4_000, 8_000, 12_000]);
    expect(lease?.checkLost()).toBe(false);
    lease?.stop();
  });

  test.each([
    ["five seconds", 60_000, 5_000],
    ["five seconds without a TTL", Infinity, 5_000],
    ["a third of a short TTL", 9_000, 3_000],
  ])("are ended after %s", async (_, ttl, ms) => {
    kept.keep(USE, leaseOf("a", ttl));
    await vi.advanceTimersByTimeAsync(ms - 1);
    expect(destroyed()).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(destroyed()).toEqual(["a"]);
    expect(sessions.of("destroy")).toMatchObject([{ options: { timeout: 1_000 } }]);
    expect(kept.take(USE)).toBeUndefined();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("are ended each in its time: those that nobody needs grow old", async () => {
    kept.keep(USE, leaseOf("old"));
    await vi.advanceTimersByTimeAsync(3_000);
    kept.keep(USE, leaseOf("new"));
    await vi.advanceTimersByTimeAsync(2_000);
    expect(destroyed()).toEqual(["old"]);
    expect(kept.take(USE)?.id).toBe("new");
  });

  test("are not ended once they are taken", async () => {
    kept.keep(USE, leaseOf("a"));
    const lease = kept.take(USE);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(destroyed()).toEqual([]);
    lease?.stop();
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("do not keep the process alive", () => {
    const timers = vi.spyOn(globalThis, "setTimeout");
    kept.keep(USE, leaseOf("a"));
    expect(timers).toHaveBeenCalled();
    for (const { type, value } of timers.mock.results) {
      expect(type === "return" && value.hasRef()).toBe(false);
    }
  });

  test("are not given out once they are lost", async () => {
    sessions.onRenew = () => Promise.resolve(null);
    sessions.onInfo = () =>
      Promise.resolve({ value: null, meta: { index: 7n, knownLeader: true, lastContact: 0 } });
    const [lives, lost] = [leaseOf("lives"), leaseOf("lost", 12_000)];
    await vi.advanceTimersByTimeAsync(3_000);
    kept.keep(USE, lives);
    kept.keep(USE, lost);
    // It is renewed half a TTL after it was created.
    await vi.advanceTimersByTimeAsync(3_000);
    const lease = kept.take(USE);
    expect(lease?.id).toBe("lives");
    lease?.stop();
    expect(kept.take(USE)).toBeUndefined();
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("are not given out once they are lost by the clock alone", () => {
    kept.keep(USE, leaseOf("a"));
    vi.spyOn(performance, "now").mockReturnValue(start + 60_000);
    expect(kept.take(USE)).toBeUndefined();
  });

  test("are none that are over when they come", async () => {
    const lease = leaseOf("a");
    vi.spyOn(performance, "now").mockReturnValue(start + 60_000);
    kept.keep(USE, lease);
    expect(kept.take(USE)).toBeUndefined();
    expect(destroyed()).toEqual(["a"]);
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("that cannot be ended at once are tried again, for as long as they last", async () => {
    sessions.onDestroy = () => Promise.reject(refusal(500));
    kept.keep(USE, leaseOf("a"));
    kept.keep(USE, leaseOf("b", 20_000));
    await vi.advanceTimersByTimeAsync(10_000);
    sessions.onDestroy = (id) => (id === "a" ? after(0, true) : Promise.reject(refusal(500)));
    await vi.advanceTimersByTimeAsync(10_000);
    const [last, ...before] = destroyed().filter((id) => id === "a");
    expect([last, before.length > 0]).toEqual(["a", true]);
    const attempts = destroyed().length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(destroyed().slice(attempts)).not.toContain("a");
    expect(vi.getTimerCount()).toBe(0);
  });

  test("that cannot be ended at all are left to their TTL", async () => {
    sessions.onDestroy = () => Promise.reject(refusal(403));
    kept.keep(USE, leaseOf("a"));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(destroyed()).toEqual(["a"]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("closing", () => {
  test("ends all that are kept, and leaves nothing behind", async () => {
    kept.keep(USE, leaseOf("a"));
    kept.keep(USE, leaseOf("b"));
    kept.keep("another", leaseOf("c"));
    sessions.onDestroy = (id) => after(id === "b" ? 500 : 10, true);
    const closing = new Watched(kept.close());
    expect(destroyed()).toEqual(["a", "b", "c"]);
    await vi.advanceTimersByTimeAsync(499);
    expect(closing.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(closing.outcome).toEqual({ value: undefined, at: start + 500 });
    expect(vi.getTimerCount()).toBe(0);
    expect(kept.take(USE)).toBeUndefined();
  });

  test("waits for one whose time was over already: the end of the client would cut that off", async () => {
    sessions.onDestroy = () => after(500, true);
    kept.keep(USE, leaseOf("a"));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(destroyed()).toEqual(["a"]);
    const closing = new Watched(kept.close());
    await vi.advanceTimersByTimeAsync(499);
    expect(closing.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(closing.outcome).toEqual({ value: undefined, at: start + 5_500 });
  });

  test("is done also where one cannot be ended", async () => {
    sessions.onDestroy = () => Promise.reject(refusal(500));
    kept.keep(USE, leaseOf("a"));
    await kept.close();
    expect(destroyed()).toEqual(["a"]);
  });

  test("waits for no further attempt", async () => {
    sessions.onDestroy = () => Promise.reject(refusal(500));
    kept.keep(USE, leaseOf("a"));
    await vi.advanceTimersByTimeAsync(6_000);
    const attempts = destroyed().length;
    const closing = new Watched(kept.close());
    await vi.advanceTimersByTimeAsync(0);
    expect(closing.outcome).toEqual({ value: undefined, at: start + 6_000 });
    expect(destroyed()).toHaveLength(attempts);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("keeps none from then on", async () => {
    await kept.close();
    kept.keep(USE, leaseOf("late"));
    expect(kept.take(USE)).toBeUndefined();
    expect(destroyed()).toEqual(["late"]);
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});
