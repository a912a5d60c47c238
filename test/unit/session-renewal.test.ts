import { getEventListeners } from "node:events";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { ConsulError } from "../../src/consul/consul-error.js";
import type { RequestOptions } from "../../src/consul/request-options.js";
import type { SessionEntry } from "../../src/consul/session.js";
import type { SemaphoreLostError } from "../../src/semaphore-errors.js";
import { renewSession, type SessionTerm } from "../../src/session-renewal.js";

const TTL = 16_000;

const session = (ttl = "16s"): SessionEntry => ({
  id: "2d1b6b3e-0d53-4f55-8c4b-3b0a4cf0d1f2",
  name: "",
  node: "agent-one",
  lockDelay: 15_000,
  behavior: "delete",
  ttl,
  checks: [],
  createIndex: 1n,
  modifyIndex: 1n,
});

type Renew = (options: RequestOptions) => Promise<SessionEntry | null>;

let start: number;
let controller: AbortController;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  start = performance.now();
  controller = new AbortController();
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const elapsed = (): number => performance.now() - start;

/** A renewal that is under way, and what is to be seen of it. Times count from the start. */
interface ObservedRenewal {
  /** When each request was sent. */
  readonly sent: number[];
  readonly options: RequestOptions[];
  readonly terms: SessionTerm[];
  /** How and when it ended; nothing as long as it runs. */
  end: { readonly loss: SemaphoreLostError | undefined; readonly at: number } | undefined;
}

function renewing(renew: Renew, ttl = TTL): ObservedRenewal {
  const observed: ObservedRenewal = { sent: [], options: [], terms: [], end: undefined };
  void renewSession({
    term: { sentAt: start, ttl },
    signal: controller.signal,
    renew: (options) => {
      observed.sent.push(elapsed());
      observed.options.push(options);
      return renew(options);
    },
    renewed: (term) => {
      observed.terms.push(term);
    },
  }).then((loss) => {
    observed.end = { loss, at: elapsed() };
  });
  return observed;
}

/** A request that ends, as a client's does, when its timeout is over or its signal aborts. */
const hang: Renew = ({ timeout, signal }) =>
  new Promise((_, reject) => {
    const abort = (): void => {
      clearTimeout(timer);
      reject(new Error("aborted"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      reject(new Error("no answer in time"));
    }, timeout);
    signal?.addEventListener("abort", abort);
  });

const succeed: Renew = () => Promise.resolve(session());
const refuse: Renew = () => Promise.reject(new Error("connection refused"));

function expectNothingLeft(): void {
  expect(vi.getTimerCount()).toBe(0);
  expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
}

describe("a session", () => {
  test("is renewed each half of its TTL", async () => {
    const observed = renewing(succeed);
    await vi.advanceTimersByTimeAsync(TTL / 2 - 1);
    expect(observed.sent).toEqual([]);
    await vi.advanceTimersByTimeAsync(4 * TTL);
    expect(observed.sent.slice(0, 4)).toEqual([8_000, 16_000, 24_000, 32_000]);
    expect(observed.end).toBeUndefined();
    controller.abort();
  });

  test("that took long to create is first renewed half a TTL after that was sent", async () => {
    await vi.advanceTimersByTimeAsync(5_000);
    const observed = renewing(succeed);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(observed.sent).toEqual([8_000]);
    controller.abort();
  });

  test("that took more than half a TTL to create is renewed at once", async () => {
    await vi.advanceTimersByTimeAsync(9_000);
    const observed = renewing(succeed);
    await vi.advanceTimersByTimeAsync(1);
    expect(observed.sent).toHaveLength(1);
    controller.abort();
  });

  test("that took a TTL to create is lost, and Consul is not asked", async () => {
    await vi.advanceTimersByTimeAsync(TTL);
    const observed = renewing(succeed);
    await vi.advanceTimersByTimeAsync(1);
    expect(observed.sent).toEqual([]);
    expect(observed.end?.loss?.reason).toBe("session-expired");
    expectNothingLeft();
  });

  test("lasts from when its renewal was sent, not from when that was answered", async () => {
    const observed = renewing(
      () =>
        new Promise((resolve) => {
          setTimeout(() => {
            resolve(session());
          }, 3_000);
        }),
    );
    await vi.advanceTimersByTimeAsync(10_999);
    expect(observed.terms).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(observed.terms).toEqual([{ sentAt: start + 8_000, ttl: TTL }]);
    controller.abort();
  });

  test.each([
    ["a longer TTL", "32s", 32_000],
    ["a shorter TTL", "10s", 10_000],
    ["a TTL in Go's long form", "1m4s", 64_000],
  ])("goes by the TTL that the server tells: %s", async (_, told, ttl) => {
    const observed = renewing(() => Promise.resolve(session(told)));
    await vi.advanceTimersByTimeAsync(8_000 + ttl / 2);
    expect(observed.sent).toEqual([8_000, 8_000 + ttl / 2]);
    expect(observed.terms[0]).toEqual({ sentAt: start + 8_000, ttl });
    controller.abort();
  });

  test.each(["", "0s", "-5s", "soon"])(
    "keeps its TTL where the server tells none that makes sense: %j",
    async (told) => {
      const observed = renewing(() => Promise.resolve(session(told)));
      await vi.advanceTimersByTimeAsync(TTL);
      expect(observed.terms).toEqual([
        { sentAt: start + 8_000, ttl: TTL },
        { sentAt: start + 16_000, ttl: TTL },
      ]);
      controller.abort();
    },
  );
});

describe("a renewal that fails", () => {
  test("is tried again soon, and all is well when one succeeds", async () => {
    const answers: Renew[] = [refuse, refuse, succeed];
    const observed = renewing((options) => (answers.shift() ?? succeed)(options));
    await vi.advanceTimersByTimeAsync(TTL);
    expect(observed.sent.length).toBeGreaterThanOrEqual(3);
    const success = observed.terms[0]?.sentAt ?? NaN;
    expect(success - start).toBe(observed.sent[2]);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(observed.end).toBeUndefined();
    controller.abort();
  });

  test("goes on being tried until the TTL is over, and then the session has expired", async () => {
    const observed = renewing(refuse);
    await vi.advanceTimersByTimeAsync(TTL - 1);
    expect(observed.end).toBeUndefined();
    expect(observed.sent.length).toBeGreaterThanOrEqual(4);
    await vi.advanceTimersByTimeAsync(1);
    expect(observed.end?.at).toBe(TTL);
    expect(observed.end?.loss).toMatchObject({
      name: "SemaphoreLostError",
      code: "SEMAPHORE_LOST",
      reason: "session-expired",
    });
    expect(observed.end?.loss?.message).toContain("connection refused");
    expect(observed.end?.loss?.cause).toMatchObject({ message: "connection refused" });
    expectNothingLeft();
  });

  test("costs the session one TTL after the last that succeeded was sent", async () => {
    const slow: Renew = () =>
      new Promise((resolve) => {
        setTimeout(() => {
          resolve(session());
        }, 2_000);
      });
    const answers: Renew[] = [succeed, slow];
    const observed = renewing((options) => (answers.shift() ?? refuse)(options));
    await vi.advanceTimersByTimeAsync(5 * TTL);
    const lastSuccess = observed.sent[1] ?? NaN;
    expect(observed.terms).toHaveLength(2);
    expect(observed.end?.at).toBe(lastSuccess + TTL);
    expect(observed.end?.loss?.reason).toBe("session-expired");
    expectNothingLeft();
  });

  test("counts from the TTL that the server told last", async () => {
    const answers: Renew[] = [() => Promise.resolve(session("10s"))];
    const observed = renewing((options) => (answers.shift() ?? refuse)(options));
    await vi.advanceTimersByTimeAsync(5 * TTL);
    expect(observed.end?.at).toBe(8_000 + 10_000);
  });

  test("by silence leaves time for another one", async () => {
    const observed = renewing(hang);
    await vi.advanceTimersByTimeAsync(2 * TTL);
    expect(observed.sent.length).toBeGreaterThanOrEqual(2);
    // Node's shortest timer takes 1 ms.
    expect(observed.end?.at).toBeGreaterThanOrEqual(TTL);
    expect(observed.end?.at).toBeLessThanOrEqual(TTL + 1);
    expect(observed.end?.loss?.cause).toMatchObject({ message: "no answer in time" });
    expectNothingLeft();
  });

  test("never has longer than what is left of the TTL", async () => {
    const observed = renewing(hang);
    await vi.advanceTimersByTimeAsync(2 * TTL);
    for (const [attempt, sent] of observed.sent.entries()) {
      const timeout = observed.options[attempt]?.timeout ?? Infinity;
      expect(timeout).toBeGreaterThan(0);
      expect(sent + timeout).toBeLessThanOrEqual(TTL);
    }
  });

  test("is no reason of a later expiry either, as when the process was stopped for long", async () => {
    const answers: Renew[] = [refuse, succeed];
    const observed = renewing((options) => (answers.shift() ?? succeed)(options));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(observed.terms).toHaveLength(1);
    // The clock goes on while no timer fires.
    vi.spyOn(performance, "now").mockReturnValue(start + 10 * TTL);
    await vi.advanceTimersByTimeAsync(TTL);
    expect(observed.sent).toHaveLength(2);
    expect(observed.end?.loss?.reason).toBe("session-expired");
    expect(observed.end?.loss?.cause).toBeUndefined();
  });

  test("is no reason of a later loss once one has succeeded", async () => {
    const answers: Renew[] = [refuse, succeed, () => Promise.resolve(null)];
    const observed = renewing((options) => (answers.shift() ?? succeed)(options));
    await vi.advanceTimersByTimeAsync(3 * TTL);
    expect(observed.end?.loss?.reason).toBe("session-invalidated");
    expect(observed.end?.loss?.cause).toBeUndefined();
  });
});

describe("a session that Consul no longer has", () => {
  test("is lost at once", async () => {
    const observed = renewing(() => Promise.resolve(null));
    await vi.advanceTimersByTimeAsync(8_000);
    expect(observed.end?.at).toBe(8_000);
    expect(observed.end?.loss).toMatchObject({
      reason: "session-invalidated",
      message: "Semaphore slot lost: its session or contender entry is gone",
    });
    expect(observed.sent).toHaveLength(1);
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
    await vi.advanceTimersByTimeAsync(9_000);
    expect(observed.sent).toHaveLength(1);
    expect(observed.options[0]?.signal?.aborted).toBe(false);
    controller.abort();
    expect(observed.options[0]?.signal?.aborted).toBe(true);
    await vi.advanceTimersByTimeAsync(0);
    expect(observed.end).toEqual({ loss: undefined, at: 9_000 });
    expect(vi.getTimerCount()).toBe(0);
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

test("a renewal is sent half a TTL after the last was sent, however slow that was", async () => {
  const sent: number[] = [];
  void renewSession({
    term: { sentAt: start, ttl: TTL },
    signal: controller.signal,
    renew: () => {
      sent.push(performance.now() - start);
      return new Promise((resolve) => {
        setTimeout(() => {
          resolve(session());
        }, 3_900);
      });
    },
    renewed: () => undefined,
  });
  await vi.advanceTimersByTimeAsync(TTL);
  controller.abort();
  expect(sent).toEqual([TTL / 2, TTL]);
});

test("a session whose renewals hang is over at its TTL, to the millisecond", async () => {
  let over = NaN;
  void renewSession({
    term: { sentAt: start, ttl: TTL },
    signal: controller.signal,
    renew: ({ timeout }) =>
      new Promise((_, reject) => {
        setTimeout(() => {
          reject(new Error("no answer"));
        }, timeout);
      }),
    renewed: () => undefined,
  }).then(() => {
    over = performance.now() - start;
  });
  await vi.advanceTimersByTimeAsync(TTL);
  expect(over).toBe(TTL);
});

test("a closed client's session is over at once", async () => {
  const details = { code: "CONSUL_CLOSED", method: "PUT", path: "/v1/session/renew/x" } as const;
  const closed = new ConsulError("closed", details);
  const ended = renewSession({
    term: { sentAt: start, ttl: TTL },
    signal: controller.signal,
    renew: () => Promise.reject(closed),
    renewed: () => undefined,
  });
  await vi.advanceTimersByTimeAsync(TTL / 2);
  expect(await ended).toMatchObject({ reason: "session-expired", cause: closed });
});
