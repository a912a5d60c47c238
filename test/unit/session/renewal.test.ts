import { getEventListeners } from "node:events";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { OwnRequestOptions } from "../../../src/consul/http/request-options.js";
import type { SessionEntry } from "../../../src/consul/session.js";
import type { SemaphoreLostError } from "../../../src/errors.js";
import {
  HOLDER_RENEWALS,
  renewSession,
  sendRenewal,
  ttlOf,
  WAITER_RENEWALS,
} from "../../../src/session/renewal.js";
import type { SessionTerm } from "../../../src/session/term.js";
import { FakeSessions, read, SESSION, sessionEntry } from "./fake-sessions.js";
import { after, failure, hang, inTurn } from "../failures.js";
import { consulErrorOf, rejectionOf } from "../rejection.js";

const TTL = 16_000;

type Renew = (options: OwnRequestOptions) => Promise<SessionEntry | null>;

let start: number;
let controller: AbortController;
/** How often in each TTL, and what tells that this has changed. */
let pace: { perTtl: number; changed: AbortController };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  // Each pause in full.
  vi.spyOn(Math, "random").mockReturnValue(0);
  start = performance.now();
  controller = new AbortController();
  pace = { perTtl: HOLDER_RENEWALS, changed: new AbortController() };
});

afterEach(() => {
  controller.abort();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const elapsed = (): number => performance.now() - start;

/** A renewal that is under way, and what is to be seen of it. Times count from the start. */
interface ObservedRenewal {
  /** When each request was sent. */
  readonly sent: number[];
  readonly options: OwnRequestOptions[];
  readonly terms: SessionTerm[];
  readonly failures: unknown[];
  /** When each was said to be due. */
  readonly due: number[];
  /** How and when it ended; nothing as long as it runs. */
  end: { readonly loss: SemaphoreLostError | undefined; readonly at: number } | undefined;
}

function renewing(renew: Renew, ttl = TTL): ObservedRenewal {
  const observed: ObservedRenewal = {
    sent: [],
    options: [],
    terms: [],
    failures: [],
    due: [],
    end: undefined,
  };
  void renewSession({
    term: { sentAt: start, ttl },
    pace: () => ({ perTtl: pace.perTtl, changed: pace.changed.signal }),
    sleepsUntil: (at) => {
      observed.due.push(at - start);
    },
    signal: controller.signal,
    renew: (options) => {
      observed.sent.push(elapsed());
      observed.options.push(options);
      return renew(options);
    },
    renewed: (term) => {
      observed.terms.push(term);
    },
    failed: (error) => {
      observed.failures.push(error);
    },
  }).then((loss) => {
    observed.end = { loss, at: elapsed() };
  });
  return observed;
}

const refusal = new Error("connection refused");
const succeed: Renew = () => Promise.resolve(sessionEntry());
const refuse: Renew = () => Promise.reject(refusal);
const vanish: Renew = () => Promise.resolve(null);

/** From now on it is renewed so often. */
function changePace(perTtl: number): void {
  const { changed } = pace;
  pace = { perTtl, changed: new AbortController() };
  changed.abort();
}

function expectNothingLeft(): void {
  expect(vi.getTimerCount()).toBe(0);
  for (const { signal } of [controller, pace.changed]) {
    expect(getEventListeners(signal, "abort")).toHaveLength(0);
  }
}

describe("a session", () => {
  test("is renewed as often as its pace says: a waiter's as in Go, a holder's twice as often", () => {
    expect(WAITER_RENEWALS).toBe(2);
    expect(HOLDER_RENEWALS).toBe(4);
  });

  test("is renewed each quarter of its TTL where a slot hangs on it", async () => {
    const observed = renewing(succeed);
    await vi.advanceTimersByTimeAsync(TTL / 4 - 1);
    expect(observed.sent).toEqual([]);
    await vi.advanceTimersByTimeAsync(TTL + 1);
    expect(observed.sent).toEqual([4_000, 8_000, 12_000, 16_000, 20_000]);
    expect(observed.end).toBeUndefined();
  });

  test("is renewed each half of its TTL where somebody waits with it", async () => {
    pace.perTtl = WAITER_RENEWALS;
    const observed = renewing(succeed);
    await vi.advanceTimersByTimeAsync(2 * TTL);
    expect(observed.sent).toEqual([8_000, 16_000, 24_000, 32_000]);
    expect(observed.due).toEqual([8_000, 16_000, 24_000, 32_000, 40_000]);
  });

  test("that took long to create is first renewed a quarter after that was sent", async () => {
    await vi.advanceTimersByTimeAsync(3_000);
    const observed = renewing(succeed);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(observed.sent).toEqual([4_000]);
  });

  test.each([TTL / 4 + 1, 2 * TTL])(
    "that took %d ms to create is renewed at once: the watchdog has the last word",
    async (ms) => {
      await vi.advanceTimersByTimeAsync(ms);
      const observed = renewing(succeed);
      await vi.advanceTimersByTimeAsync(1);
      expect(observed.sent).toHaveLength(1);
      expect(observed.end).toBeUndefined();
    },
  );

  test("lasts from when its renewal was sent, not from when that was answered", async () => {
    const observed = renewing(() => after(3_000, sessionEntry()));
    await vi.advanceTimersByTimeAsync(6_999);
    expect(observed.terms).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(observed.terms).toEqual([{ sentAt: start + 4_000, ttl: TTL }]);
    // And from then also counts the time until the next one.
    await vi.advanceTimersByTimeAsync(1_000);
    expect(observed.sent).toEqual([4_000, 8_000]);
  });

  test.each([
    ["a longer TTL", "32s", 32_000],
    ["a shorter TTL", "10s", 10_000],
    ["a TTL in Go's long form", "1m4s", 64_000],
  ])("goes by the TTL that the server tells: %s", async (_, told, ttl) => {
    const observed = renewing(() => Promise.resolve(sessionEntry({ ttl: told })));
    await vi.advanceTimersByTimeAsync(4_000 + ttl / 4);
    expect(observed.sent).toEqual([4_000, 4_000 + ttl / 4]);
    expect(observed.terms[0]).toEqual({ sentAt: start + 4_000, ttl });
  });

  test.each(["", "0s", "-5s", "soon"])(
    "keeps its TTL where the server tells none that makes sense: %j",
    async (told) => {
      const observed = renewing(() => Promise.resolve(sessionEntry({ ttl: told })));
      await vi.advanceTimersByTimeAsync(TTL / 2);
      expect(observed.terms).toEqual([
        { sentAt: start + 4_000, ttl: TTL },
        { sentAt: start + 8_000, ttl: TTL },
      ]);
      expect(observed.failures).toEqual([]);
    },
  );

  test("does not keep the process alive, neither before a renewal nor before a retry", async () => {
    const timers = vi.spyOn(globalThis, "setTimeout");
    renewing(inTurn(succeed, refuse));
    await vi.advanceTimersByTimeAsync(TTL / 2 + 100);
    expect(timers.mock.results.length).toBeGreaterThanOrEqual(4);
    for (const { type, value } of timers.mock.results) {
      expect(type === "return" && value.hasRef()).toBe(false);
    }
  });
});

describe("one renewal", () => {
  test.each([
    ["an eighth of the TTL", 16_000, 2_000],
    ["ten seconds", 96_000, 10_000],
  ])("has %s at most", async (_, ttl, timeout) => {
    const observed = renewing(() => Promise.resolve(sessionEntry({ ttl: `${ttl}ms` })), ttl);
    await vi.advanceTimersByTimeAsync(ttl / 2);
    expect(observed.options).toEqual([
      { timeout, signal: controller.signal },
      { timeout, signal: controller.signal },
    ]);
  });

  test("has twice as long after one that failed, but no longer than what is left", async () => {
    const observed = renewing(hang);
    await vi.advanceTimersByTimeAsync(TTL);
    // Each hangs until its time is over; then follows a pause of 50, 100, 200 ms.
    expect(observed.sent).toEqual([4_000, 6_050, 10_150, 14_350]);
    expect(observed.options.map(({ timeout }) => timeout)).toEqual([2_000, 4_000, 4_000, 1_650]);
  });

  test("has ten seconds at most also after one that failed", async () => {
    const observed = renewing(hang, 96_000);
    await vi.advanceTimersByTimeAsync(50_000);
    expect(observed.options.map(({ timeout }) => timeout)).toEqual([10_000, 10_000, 10_000]);
  });

  test("has an eighth of the TTL again after one that succeeded", async () => {
    const observed = renewing(inTurn(refuse, succeed, succeed));
    await vi.advanceTimersByTimeAsync(9_000);
    expect(observed.options.map(({ timeout }) => timeout)).toEqual([2_000, 4_000, 2_000]);
  });

  test("has a millisecond where nothing is left: no request may have less", async () => {
    await vi.advanceTimersByTimeAsync(2 * TTL);
    const observed = renewing(succeed);
    await vi.advanceTimersByTimeAsync(1);
    expect(observed.options[0]?.timeout).toBe(1);
  });
});

describe("a renewal that fails", () => {
  test("is told, and tried again after pauses that grow to a second", async () => {
    const observed = renewing(refuse);
    await vi.advanceTimersByTimeAsync(4_000 + 2_550);
    expect(observed.sent.map((at) => at - 4_000)).toEqual([0, 50, 150, 350, 750, 1_550, 2_550]);
    expect(observed.failures).toEqual(Array.from({ length: 7 }, () => refusal));
    expect(observed.terms).toEqual([]);
  });

  test("is tried again more often towards the end of the term: an outage may be over just in time", async () => {
    const observed = renewing(() => (elapsed() < TTL - 100 ? refuse({}) : succeed({})));
    await vi.advanceTimersByTimeAsync(TTL);
    const renewedAt = (observed.terms[0]?.sentAt ?? NaN) - start;
    expect(renewedAt).toBeGreaterThanOrEqual(TTL - 100);
    expect(renewedAt).toBeLessThan(TTL);
    expect(observed.sent.length).toBeLessThan(40);
  });

  test("counts no more than the one before it where the end of the term has cut it short", async () => {
    const late = failure("CONSUL_TIMEOUT");
    const hang: Renew = async ({ timeout }) => {
      await new Promise((resolve) => setTimeout(resolve, timeout));
      throw late;
    };
    const observed = renewing(inTurn(refuse, hang));
    await vi.advanceTimersByTimeAsync(2 * TTL);
    // The second and the third have a quarter of the TTL each, the fourth what is left of it.
    expect(observed.sent.slice(0, 4)).toEqual([4_000, 4_050, 8_150, 12_350]);
    expect(observed.failures).toEqual([refusal, late, late]);
  });

  test("is tried again every 10 ms at most, also when the term is over", async () => {
    const observed = renewing(refuse);
    await vi.advanceTimersByTimeAsync(TTL);
    const before = observed.sent.length;
    await vi.advanceTimersByTimeAsync(100);
    expect(observed.sent.length - before).toBe(10);
  });

  test("is tried again after pauses that are shortened by chance, to a half at the least", async () => {
    vi.spyOn(Math, "random").mockReturnValue(1);
    const observed = renewing(refuse);
    await vi.advanceTimersByTimeAsync(4_000 + 1_275);
    expect(observed.sent.map((at) => at - 4_000)).toEqual([0, 25, 75, 175, 375, 775, 1_275]);
  });

  test("starts again with short pauses after one that succeeded", async () => {
    const observed = renewing(inTurn(refuse, refuse, refuse, succeed, refuse));
    await vi.advanceTimersByTimeAsync(4_350 + 4_000 + 150);
    expect(observed.sent).toEqual([4_000, 4_050, 4_150, 4_350, 8_350, 8_400, 8_500]);
    expect(observed.terms).toEqual([{ sentAt: start + 4_350, ttl: TTL }]);
    expect(observed.failures).toHaveLength(6);
  });

  test("goes on being tried beyond the TTL, until it is told to end", async () => {
    const observed = renewing(refuse);
    await vi.advanceTimersByTimeAsync(5 * TTL);
    expect(observed.end).toBeUndefined();
    expect(observed.sent.at(-1)).toBeGreaterThan(5 * TTL - 1_000);
    controller.abort();
    await vi.advanceTimersByTimeAsync(0);
    expect(observed.end).toEqual({ loss: undefined, at: 5 * TTL });
    expectNothingLeft();
  });

  test("ends the session at once where the client was closed", async () => {
    const closed = failure("CONSUL_CLOSED");
    const observed = renewing(() => Promise.reject(closed));
    await vi.advanceTimersByTimeAsync(TTL);
    expect(observed.end?.at).toBe(4_000);
    expect(observed.end?.loss).toMatchObject({
      name: "SemaphoreLostError",
      code: "SEMAPHORE_LOST",
      reason: "session-expired",
      cause: closed,
    });
    expect(observed.sent).toHaveLength(1);
    expect(observed.failures).toEqual([]);
    expectNothingLeft();
  });
});

describe("a session that Consul no longer has", () => {
  test("is lost at once, also after failures, which are no reason of it", async () => {
    const observed = renewing(inTurn(refuse, vanish));
    await vi.advanceTimersByTimeAsync(TTL);
    expect(observed.end?.at).toBe(4_050);
    expect(observed.end?.loss).toMatchObject({
      reason: "session-invalidated",
      message: "Semaphore slot lost: its session or contender entry is gone",
    });
    expect(observed.end?.loss?.cause).toBeUndefined();
    expect(observed.sent).toHaveLength(2);
    expectNothingLeft();
  });
});

describe("another pace", () => {
  beforeEach(() => {
    pace.perTtl = WAITER_RENEWALS;
  });

  test("counts from when the term was asked for, not from the change", async () => {
    const observed = renewing(succeed);
    await vi.advanceTimersByTimeAsync(3_000);
    changePace(HOLDER_RENEWALS);
    await vi.advanceTimersByTimeAsync(TTL - 3_000);
    expect(observed.sent).toEqual([4_000, 8_000, 12_000, 16_000]);
  });

  test("that makes a renewal overdue has it sent at once", async () => {
    const observed = renewing(succeed);
    await vi.advanceTimersByTimeAsync(7_000);
    changePace(HOLDER_RENEWALS);
    await vi.advanceTimersByTimeAsync(4_000);
    expect(observed.sent).toEqual([7_000, 11_000]);
  });

  test("during a renewal counts from the next pause on", async () => {
    const observed = renewing(() => after(1_000, sessionEntry()));
    await vi.advanceTimersByTimeAsync(8_500);
    changePace(HOLDER_RENEWALS);
    await vi.advanceTimersByTimeAsync(4_000);
    expect(observed.sent).toEqual([8_000, 12_000]);
  });

  test("does not change the pause after a failure", async () => {
    pace.perTtl = HOLDER_RENEWALS;
    const observed = renewing(refuse);
    await vi.advanceTimersByTimeAsync(4_025);
    changePace(WAITER_RENEWALS);
    await vi.advanceTimersByTimeAsync(50);
    expect(observed.sent).toEqual([4_000, 4_050]);
  });

  test("leaves nothing behind", async () => {
    renewing(succeed);
    await vi.advanceTimersByTimeAsync(3_000);
    const { changed } = pace;
    changePace(HOLDER_RENEWALS);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(getEventListeners(changed.signal, "abort")).toEqual([]);
    controller.abort();
    await vi.advanceTimersByTimeAsync(0);
    expectNothingLeft();
  });
});

describe("the end of the renewal", () => {
  test("comes at once when it is told to between two renewals, and is no loss", async () => {
    const observed = renewing(succeed);
    await vi.advanceTimersByTimeAsync(10_000);
    controller.abort();
    await vi.advanceTimersByTimeAsync(0);
    expect(observed.end).toEqual({ loss: undefined, at: 10_000 });
    expectNothingLeft();
  });

  test("comes at once when it is told to during a renewal, and is no loss", async () => {
    const observed = renewing(hang);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(observed.sent).toHaveLength(1);
    expect(observed.options[0]?.signal?.aborted).toBe(false);
    controller.abort();
    expect(observed.options[0]?.signal?.aborted).toBe(true);
    await vi.advanceTimersByTimeAsync(0);
    expect(observed.end).toEqual({ loss: undefined, at: 5_000 });
    expect(observed.failures).toEqual([]);
    expectNothingLeft();
  });

  test("comes at once where it was told to before the start", async () => {
    controller.abort();
    const observed = renewing(succeed);
    await vi.advanceTimersByTimeAsync(0);
    expect(observed.end).toEqual({ loss: undefined, at: 0 });
    expect(observed.sent).toEqual([]);
    expectNothingLeft();
  });
});

describe("sending a renewal", () => {
  const options = { namespace: "team-a", timeout: 2_000 };
  let sessions: FakeSessions;

  beforeEach(() => {
    sessions = new FakeSessions();
    sessions.onRenew = () => Promise.resolve(null);
  });

  test("is one request where that tells the session", async () => {
    const renewed = sessionEntry();
    sessions.onRenew = () => Promise.resolve(renewed);
    expect(await sendRenewal(sessions, SESSION, options)).toBe(renewed);
    expect(sessions.calls).toMatchObject([{ method: "renew", id: SESSION, options }]);
  });

  test("finds no session only where a consistent look finds none either", async () => {
    sessions.onInfo = () => read(null);
    expect(await sendRenewal(sessions, SESSION, options)).toBeNull();
    expect(sessions.calls.map(({ method, id, options }) => [method, id, options])).toEqual([
      ["renew", SESSION, options],
      ["info", SESSION, { ...options, consistent: true }],
    ]);
  });

  test("fails for now where that look finds the session, and tells its index", async () => {
    sessions.onInfo = () => read(sessionEntry(), 23n);
    const error = await consulErrorOf(sendRenewal(sessions, SESSION, options));
    expect(error).toMatchObject({
      message: `session ${SESSION} is there at index 23, and was not renewed`,
      code: "CONSUL_BAD_ANSWER",
      method: "PUT",
      path: `/v1/session/renew/${SESSION}`,
      status: undefined,
      retryable: true,
    });
  });

  test("fails as either of the requests does", async () => {
    const [first, second] = [failure("CONSUL_UNREACHABLE"), failure("CONSUL_TIMEOUT")];
    sessions.onInfo = () => Promise.reject(second);
    expect(await rejectionOf(sendRenewal(sessions, SESSION, options))).toBe(second);
    sessions.onRenew = () => Promise.reject(first);
    expect(await rejectionOf(sendRenewal(sessions, SESSION, options))).toBe(first);
    expect(sessions.methods).toEqual(["renew", "info", "renew"]);
  });
});

describe("the TTL of a session", () => {
  test.each([
    ["16s", 16_000],
    ["1m4s", 64_000],
    ["", undefined],
    ["0s", undefined],
    ["-5s", undefined],
    ["soon", undefined],
  ])("is read as Consul tells it: %j", (ttl, ms) => {
    expect(ttlOf(sessionEntry({ ttl }))).toBe(ms);
  });
});
