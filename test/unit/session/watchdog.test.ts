import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { Watchdog, Watchdogs } from "../../../src/session/watchdog.js";

let group: Watchdogs;
let start: number;
let expire: ReturnType<typeof vi.fn<() => void>>;

/** How far the clock is ahead of the timers. */
let ahead: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  ahead = 0;
  const now = performance.now.bind(performance);
  vi.spyOn(performance, "now").mockImplementation(() => now() + ahead);
  group = new Watchdogs();
  start = performance.now();
  expire = vi.fn<() => void>();
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const watchdogIn = (ms: number): Watchdog => new Watchdog(group, start + ms, expire);

describe("a watchdog", () => {
  test("expires once, when its time has come and not before", () => {
    const watchdog = watchdogIn(15_000);
    vi.advanceTimersByTime(14_999);
    expect(watchdog.check()).toBe(false);
    expect(expire).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(expire).toHaveBeenCalledTimes(1);
    expect(watchdog.check()).toBe(true);
    vi.advanceTimersByTime(60_000);
    expect(expire).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("for a time that is over expires with the next timers, or when it is asked", () => {
    watchdogIn(-5_000);
    expect(expire).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(expire).toHaveBeenCalledTimes(1);
    expect(watchdogIn(0).check()).toBe(true);
    expect(expire).toHaveBeenCalledTimes(2);
  });

  test("that never expires has no timer", () => {
    const watchdog = watchdogIn(Infinity);
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(2 ** 33);
    expect(watchdog.check()).toBe(false);
    expect(expire).not.toHaveBeenCalled();
  });

  test.each([2 ** 31 + 10, 3 * 2 ** 31 + 5])("waits also for %d ms, which no timer can", (ms) => {
    const watchdog = watchdogIn(ms);
    vi.advanceTimersByTime(ms - 1);
    expect(watchdog.check()).toBe(false);
    expect(expire).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(expire).toHaveBeenCalledTimes(1);
  });

  test("does not keep the process alive, from the first timer to the last", () => {
    const timers = vi.spyOn(globalThis, "setTimeout");
    const watchdog = watchdogIn(2 ** 31 + 10);
    vi.advanceTimersByTime(2 ** 31);
    watchdog.extend(start + 2 ** 32);
    expect(timers).toHaveBeenCalledTimes(3);
    for (const { type, value } of timers.mock.results) {
      expect(type === "return" && value.hasRef()).toBe(false);
    }
  });
});

describe("a timer", () => {
  test("that comes up to 2 ms before its time counts: Node's do", () => {
    watchdogIn(1_000);
    ahead = -1.9;
    vi.advanceTimersByTime(1_000);
    expect(expire).toHaveBeenCalledTimes(1);
  });

  test("that comes earlier is set again", () => {
    watchdogIn(1_000);
    ahead = -2;
    vi.advanceTimersByTime(1_000);
    expect(expire).not.toHaveBeenCalled();
    vi.advanceTimersByTime(2);
    expect(expire).toHaveBeenCalledTimes(1);
  });
});

describe("a look at the clock", () => {
  test("is ahead of the timer where the event loop was blocked", () => {
    const watchdog = watchdogIn(15_000);
    ahead = 14_999;
    expect(watchdog.check()).toBe(false);
    ahead = 15_000;
    expect(expire).not.toHaveBeenCalled();
    expect(watchdog.check()).toBe(true);
    expect(expire).toHaveBeenCalledTimes(1);
    // The timer has nothing more to say.
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(15_000);
    expect(watchdog.check()).toBe(true);
    expect(expire).toHaveBeenCalledTimes(1);
  });

  test("from within the expiry sees it, and does not repeat it", () => {
    const seen: boolean[] = [];
    const watchdog = new Watchdog(group, start + 1_000, () => {
      seen.push(watchdog.check());
    });
    vi.advanceTimersByTime(1_000);
    expect(seen).toEqual([true]);
  });
});

describe("putting the time off", () => {
  test("counts from the last time that was given", () => {
    const watchdog = watchdogIn(10_000);
    vi.advanceTimersByTime(9_000);
    watchdog.extend(start + 20_000);
    watchdog.extend(start + 18_000);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(8_999);
    expect(expire).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(expire).toHaveBeenCalledTimes(1);
  });

  test("for ever leaves no timer", () => {
    const watchdog = watchdogIn(10_000);
    watchdog.extend(Infinity);
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(10_000);
    expect(watchdog.check()).toBe(false);
  });

  test("is not possible once it has come", () => {
    const watchdog = watchdogIn(10_000);
    vi.advanceTimersByTime(10_000);
    watchdog.extend(start + 20_000);
    expect(vi.getTimerCount()).toBe(0);
    expect(watchdog.check()).toBe(true);
    expect(expire).toHaveBeenCalledTimes(1);
  });

  test("is not possible either where it has come and no timer has said so yet", () => {
    const watchdog = watchdogIn(10_000);
    ahead = 10_000;
    watchdog.extend(start + 20_000);
    expect(expire).toHaveBeenCalledTimes(1);
    expect(watchdog.check()).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a watchdog that was stopped", () => {
  test("never expires, whatever it is asked or told", () => {
    const watchdog = watchdogIn(10_000);
    watchdog.stop();
    expect(vi.getTimerCount()).toBe(0);
    watchdog.extend(start + 11_000);
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(20_000);
    expect(watchdog.check()).toBe(false);
    expect(expire).not.toHaveBeenCalled();
  });

  test("after it has expired stays so", () => {
    const watchdog = watchdogIn(10_000);
    vi.advanceTimersByTime(10_000);
    watchdog.stop();
    expect(watchdog.check()).toBe(true);
  });
});

describe("a look at the clock by all of a group", () => {
  test("ends those whose time has come, in the order in which they began, and no others", () => {
    const expired: string[] = [];
    const watch = (name: string, ms: number, of = group): Watchdog =>
      new Watchdog(of, start + ms, () => {
        expired.push(name);
      });
    watch("a", 10_000);
    watch("of another group", 5_000, new Watchdogs());
    watch("b", 5_000);
    watch("later", 10_001);
    watch("stopped", 5_000).stop();
    const off = watch("put off", 5_000);
    off.extend(start + 20_000);
    ahead = 10_000;
    group.check();
    expect(expired).toEqual(["a", "b"]);
    group.check();
    expect(expired).toEqual(["a", "b"]);
  });

  test("passes over those that have ended: nothing is kept of them", () => {
    const expired = new Watchdog(group, start, expire);
    expired.check();
    const stopped = new Watchdog(group, start + 1_000, expire);
    stopped.stop();
    const looks = [expired, stopped].map((watchdog) => vi.spyOn(watchdog, "check"));
    group.check();
    for (const look of looks) expect(look).not.toHaveBeenCalled();
  });

  test("is possible where there is none", () => {
    expect(() => {
      group.check();
    }).not.toThrow();
  });

  test("may stop others of the group, which then do not expire", () => {
    const others: Watchdog[] = [];
    new Watchdog(group, start, () => {
      for (const other of others) other.stop();
    });
    others.push(new Watchdog(group, start, expire));
    group.check();
    expect(expire).not.toHaveBeenCalled();
  });
});
