import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { SessionEntry } from "../../../src/consul/session.js";
import type { SessionLease } from "../../../src/session/lease.js";
import {
  openBorrowedSession,
  openOwnSession,
  type BorrowedSessionOptions,
  type OwnSessionOptions,
} from "../../../src/session/creation.js";
import { Watchdogs } from "../../../src/session/watchdog.js";
import { FakeSessions, read, SESSION, sessionEntry } from "./fake-sessions.js";
import { after, failure, hang, inTurn, refusal } from "../failures.js";
import { Watched } from "../outcome.js";

const OTHER = "00000000-0000-4000-8000-000000000000";
const NAME = "the name";
const SCOPE = { namespace: "team-a" };

let sessions: FakeSessions;
let start: number;
/** The searches for what is left that go on behind the caller. */
let searches: Watched<unknown>[];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  // Each pause in full; and then the mark is the lock-delay itself.
  vi.spyOn(Math, "random").mockReturnValue(0);
  sessions = new FakeSessions();
  start = performance.now();
  searches = [];
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function opening(given: Partial<OwnSessionOptions> = {}): Watched<SessionLease> {
  return new Watched(
    openOwnSession(sessions, {
      name: NAME,
      ttl: "16s",
      checks: ["serfHealth"],
      scope: SCOPE,
      watchdogs: new Watchdogs(),
      until: start + 15_000,
      signal: undefined,
      background: (work) => {
        searches.push(new Watched(work));
      },
      ...given,
    }),
  );
}

/** The lease that was opened, which nobody renews from here on. */
function leaseOf({ outcome }: Watched<SessionLease>): SessionLease {
  if (outcome === undefined || !("value" in outcome)) {
    throw new Error("there is no lease", { cause: outcome });
  }
  outcome.value.stop();
  return outcome.value;
}

const created = (): Promise<string> => Promise.resolve(SESSION);
const failWith = (error: unknown) => (): Promise<never> => Promise.reject(error);

describe("opening a session of our own", () => {
  test("creates it as it is to be, and lets it last from when that was sent", async () => {
    sessions.onCreate = () => after(2_000, SESSION);
    const opened = opening();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(leaseOf(opened)).toMatchObject({
      id: SESSION,
      own: true,
      ttl: 16_000,
      expiresAt: start + 16_000,
    });
    expect(sessions.calls).toEqual([
      {
        method: "create",
        spec: {
          name: NAME,
          ttl: "16s",
          checks: ["serfHealth"],
          behavior: "delete",
          lockDelay: marks()[0],
        },
        options: { ...SCOPE, timeout: 10_000 },
        at: start,
      },
    ]);
    expect(searches).toEqual([]);
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("gives it a mark of its own: a lock-delay of Consul's 15 s and a bit", async () => {
    vi.mocked(Math.random).mockRestore();
    sessions.onCreate = created;
    for (let count = 0; count < 20; count += 1) {
      const opened = opening();
      await vi.advanceTimersByTimeAsync(0);
      leaseOf(opened);
    }
    expect(Math.min(...marks())).toBeGreaterThanOrEqual(15_000);
    expect(Math.max(...marks())).toBeLessThan(16_000);
    expect(new Set(marks()).size).toBeGreaterThan(15);
    // Whole nanoseconds, as Consul keeps them: it tells the mark as it was given.
    for (const ms of marks()) expect(Number(ms.toFixed(6))).toBe(ms);
  });

  test("renews it from then on, as often as a waiter needs", async () => {
    sessions.onCreate = created;
    sessions.onRenew = () => Promise.resolve(sessionEntry());
    const opened = opening();
    await vi.advanceTimersByTimeAsync(16_000);
    expect(sessions.of("renew").map(({ at }) => at - start)).toEqual([8_000, 16_000]);
    leaseOf(opened);
  });

  test("is tried again where it was refused for now, and needs no look for what was left", async () => {
    sessions.onCreate = inTurn(failWith(refusal(429)), failWith(refusal(429)), created);
    const opened = opening();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(leaseOf(opened).expiresAt).toBe(start + 150 + 16_000);
    expect(sessions.calls.map(({ method, at }) => [method, at - start])).toEqual([
      ["create", 0],
      ["create", 50],
      ["create", 150],
    ]);
  });
});

/** The marks of all creates so far. */
const marks = (): readonly number[] =>
  sessions.of("create").map(({ spec }) => {
    if (typeof spec?.lockDelay !== "number")
      throw new Error("a session was created without a mark");
    return spec.lockDelay;
  });

/** All sessions that there are: one for each create, whatever was answered, and those of others. */
const allOfThem = (): ReturnType<FakeSessions["list"]> =>
  read([
    sessionEntry({ id: OTHER, name: NAME, lockDelay: 15_000.5 }),
    sessionEntry({ id: OTHER, name: "another name", lockDelay: marks()[0] ?? NaN }),
    ...marks().map((lockDelay, number) =>
      sessionEntry({ id: `session ${number}`, name: NAME, lockDelay }),
    ),
  ]);

const destroyed = (): readonly (string | undefined)[] => sessions.of("destroy").map(({ id }) => id);

const LOST_ANSWERS = [
  ["nobody answered", failure("CONSUL_UNREACHABLE")],
  ["no answer came in time", failure("CONSUL_TIMEOUT")],
  ["the leader fell", refusal(500, "leadership lost while committing log")],
  ["a proxy gave up", refusal(502)],
] as const;

describe("a create of which nobody knows what became", () => {
  const timeout = failWith(failure("CONSUL_TIMEOUT"));

  beforeEach(() => {
    // Each create has a mark of its own.
    vi.mocked(Math.random).mockRestore();
    sessions.onList = allOfThem;
  });

  test.each(LOST_ANSWERS)(
    "is looked for and destroyed before the next one, where %s",
    async (_, error) => {
      sessions.onCreate = inTurn(failWith(error), created);
      const opened = opening();
      await vi.advanceTimersByTimeAsync(500);
      expect(leaseOf(opened).id).toBe(SESSION);
      expect(sessions.methods).toEqual(["create", "list", "destroy", "create"]);
      const [, list, destroy] = sessions.calls;
      const options = { ...SCOPE, timeout: 10_000 };
      expect(list?.options).toEqual({ ...options, consistent: true });
      expect(destroy).toMatchObject({ id: "session 0", options });
      expect(new Set(marks()).size).toBe(2);
      expect(searches).toEqual([]);
    },
  );

  test("is not followed by another before that look has succeeded", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    sessions.onCreate = inTurn(timeout, created);
    const leaderless = failWith(refusal(500, "No cluster leader"));
    sessions.onList = inTurn(leaderless, leaderless, leaderless, () => read([]));
    const opened = opening();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(sessions.calls.map(({ method, at }) => [method, at - start])).toEqual([
      ["create", 0],
      ["list", 50],
      ["list", 150],
      ["list", 350],
      ["list", 750],
      ["create", 750],
    ]);
    leaseOf(opened);
  });

  test.each([
    ["of the create, where the look fails for the time being", refusal(500, "No cluster leader")],
    ["of the look, where it is refused", refusal(403, "Permission denied")],
  ])("comes to the failure %s", async (_, lookFailure) => {
    sessions.onCreate = timeout;
    sessions.onList = failWith(lookFailure);
    const opened = opening();
    await vi.advanceTimersByTimeAsync(20_000);
    const error = lookFailure.retryable ? { code: "CONSUL_TIMEOUT" } : lookFailure;
    expect(opened.outcome).toMatchObject({ error });
  });

  test("is not followed by another before what it left is destroyed", async () => {
    sessions.onCreate = inTurn(timeout, created);
    sessions.onDestroy = inTurn(failWith(refusal(503)), () => Promise.resolve(true));
    const opened = opening();
    await vi.advanceTimersByTimeAsync(500);
    expect(sessions.methods).toEqual(["create", "list", "destroy", "list", "destroy", "create"]);
    expect(destroyed()).toEqual(["session 0", "session 0"]);
    leaseOf(opened);
  });

  test("is looked for after each of them, along with those before: they may come late", async () => {
    sessions.onCreate = inTurn(timeout, timeout, created);
    const opened = opening();
    await vi.advanceTimersByTimeAsync(500);
    expect(sessions.methods.filter((method) => method !== "destroy")).toEqual([
      "create",
      "list",
      "create",
      "list",
      "create",
    ]);
    expect(destroyed()).toEqual(["session 0", "session 0", "session 1"]);
    leaseOf(opened);
  });

  test("is not looked for again before a create that follows one that was refused", async () => {
    sessions.onCreate = inTurn(timeout, failWith(refusal(429)), created);
    const opened = opening();
    await vi.advanceTimersByTimeAsync(500);
    expect(sessions.methods).toEqual(["create", "list", "destroy", "create", "create"]);
    leaseOf(opened);
  });

  test("is looked for once more a second after one that succeeded, which lives", async () => {
    sessions.onCreate = inTurn(timeout, () => after(100, SESSION));
    const opened = opening();
    // The pause before the second create ends at a time that is left to chance.
    while (opened.outcome === undefined) await vi.advanceTimersByTimeAsync(1);
    const timers = vi.getTimerCount();
    sessions.calls.splice(2);
    leaseOf(opened);
    await vi.advanceTimersByTimeAsync(999);
    expect(sessions.methods).toEqual(["create", "list"]);
    expect(timers).toBeGreaterThan(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(sessions.methods).toEqual(["create", "list", "list", "destroy"]);
    expect(destroyed()).toEqual(["session 0"]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sessions.calls).toHaveLength(4);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is no reason for the process to stay, nor for a failure, when it is looked for late", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    sessions.onCreate = inTurn(timeout, created);
    sessions.onList = inTurn(allOfThem, failWith(refusal(500)));
    const opened = opening();
    const timers = vi.spyOn(globalThis, "setTimeout");
    await vi.advanceTimersByTimeAsync(50);
    leaseOf(opened);
    const look = timers.mock.results[timers.mock.calls.findIndex(([, ms]) => ms === 1_000)];
    expect(look?.type === "return" && look.value.hasRef()).toBe(false);
    expect(look).toBeDefined();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sessions.of("list")).toHaveLength(2);
  });

  test("is looked for once more when the session is ended", async () => {
    sessions.onCreate = inTurn(timeout, created);
    const opened = opening();
    await vi.advanceTimersByTimeAsync(500);
    const lease = leaseOf(opened);
    sessions.calls.splice(0, sessions.calls.length, ...sessions.of("create"));
    await lease.destroy({ timeout: 1_234 });
    expect(sessions.methods).toEqual(["create", "create", "destroy", "list", "destroy"]);
    expect(destroyed()).toEqual([SESSION, "session 0"]);
    const options = { ...SCOPE, timeout: 1_234 };
    expect(sessions.calls.slice(2).map((call) => call.options)).toEqual([
      options,
      { ...options, consistent: true },
      options,
    ]);
  });
});

test("a session that was created at the first try is ended without any look", async () => {
  sessions.onCreate = created;
  const opened = opening();
  await vi.advanceTimersByTimeAsync(0);
  await leaseOf(opened).destroy();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(sessions.methods).toEqual(["create", "destroy"]);
});

describe("opening that comes to nothing", () => {
  test.each([
    ["it is forbidden", refusal(403, "Permission denied")],
    ["the request is wrong", refusal(400, "Request decode failed")],
    ["Consul calls something invalid", refusal(500, "Invalid Session TTL '1', must be between")],
    ["the client was closed", failure("CONSUL_CLOSED")],
  ])("is told at once where %s, and nothing is looked for", async (_, error) => {
    sessions.onCreate = failWith(error);
    const opened = opening();
    await vi.advanceTimersByTimeAsync(0);
    expect(opened.outcome).toEqual({ error, at: start });
    expect(sessions.methods).toEqual(["create"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is told before the search for what it left is over", async () => {
    const error = failure("CONSUL_BAD_ANSWER", { status: 200, text: "<html>" });
    sessions.onCreate = failWith(error);
    sessions.onList = async () => {
      await after(3_000, undefined);
      return await read([sessionEntry({ name: NAME, lockDelay: marks()[0] ?? NaN })]);
    };
    const opened = opening({ until: start });
    await vi.advanceTimersByTimeAsync(2_999);
    expect(opened.outcome).toEqual({ error, at: start });
    expect(searches).toMatchObject([{ outcome: undefined }]);
    await vi.advanceTimersByTimeAsync(1);
    expect(sessions.methods).toEqual(["create", "list", "destroy"]);
    expect(sessions.calls.at(-1)?.id).toBe(SESSION);
    expect(searches).toMatchObject([{ outcome: { at: start + 3_000 } }]);
  });

  test("is tried until its time is over, and told with the last failure", async () => {
    sessions.onCreate = () => Promise.reject(refusal(500, `${sessions.of("create").length}`));
    sessions.onList = () => read([]);
    const opened = opening({ until: start + 300 });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(sessions.calls.map(({ method, at }) => [method, at - start])).toEqual([
      ["create", 0],
      ["list", 50],
      ["create", 50],
      ["list", 150],
      ["create", 150],
      ["list", 300],
      ["create", 300],
      ["list", 300],
    ]);
    expect(opened.outcome).toMatchObject({ error: { text: "4" }, at: start + 300 });
  });

  test("goes on looking for what was left for a TTL, without keeping the process alive", async () => {
    const error = failure("CONSUL_TIMEOUT");
    sessions.onCreate = failWith(error);
    sessions.onList = failWith(refusal(500, "No cluster leader"));
    const opened = opening({ until: start });
    const timers = vi.spyOn(globalThis, "setTimeout");
    await vi.advanceTimersByTimeAsync(15_999);
    expect(opened.outcome).toEqual({ error, at: start });
    expect(searches).toMatchObject([{ outcome: undefined }]);
    await vi.advanceTimersByTimeAsync(1);
    // That it has found nothing is nobody's failure.
    expect(searches).toMatchObject([{ outcome: { value: undefined, at: start + 16_000 } }]);
    expect(timers.mock.results.length).toBeGreaterThan(15);
    for (const { type, value } of timers.mock.results) {
      expect(type === "return" && value.hasRef()).toBe(false);
    }
    expect(vi.getTimerCount()).toBe(0);
  });

  test("finds what was left as soon as Consul answers again", async () => {
    const error = failure("CONSUL_TIMEOUT");
    sessions.onCreate = failWith(error);
    sessions.onList = inTurn(failWith(refusal(500)), () =>
      read([sessionEntry({ name: NAME, lockDelay: marks()[0] ?? NaN })]),
    );
    const opened = opening({ until: start });
    await vi.advanceTimersByTimeAsync(50);
    expect(sessions.methods).toEqual(["create", "list", "list", "destroy"]);
    expect(opened.outcome).toEqual({ error, at: start });
    expect(searches).toMatchObject([{ outcome: { at: start + 50 } }]);
  });

  test("may be an abort, which cuts no request off but ends the tries", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    sessions.onCreate = (_, options) => hang(options ?? {});
    sessions.onList = () => read([]);
    const opened = opening({ signal });
    await vi.advanceTimersByTimeAsync(1_000);
    controller.abort();
    await vi.advanceTimersByTimeAsync(8_999);
    expect(opened.outcome).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(opened.outcome).toMatchObject({ error: { code: "CONSUL_TIMEOUT" } });
    expect(sessions.methods).toEqual(["create", "list"]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("opening a session of the user's", () => {
  function borrowing(given: Partial<BorrowedSessionOptions> = {}): Watched<SessionLease> {
    return new Watched(
      openBorrowedSession(sessions, {
        id: SESSION,
        scope: SCOPE,
        watchdogs: new Watchdogs(),
        until: start + 15_000,
        signal: undefined,
        ...given,
      }),
    );
  }

  test("renews it to learn its TTL, from when that was sent, and goes on renewing it", async () => {
    sessions.onRenew = inTurn(
      () => after(2_000, sessionEntry({ ttl: "1m4s" })),
      () => Promise.resolve(sessionEntry({ ttl: "1m4s" })),
    );
    const opened = borrowing();
    await vi.advanceTimersByTimeAsync(32_000);
    expect(leaseOf(opened)).toMatchObject({ id: SESSION, own: false, ttl: 64_000 });
    expect(leaseOf(opened).expiresAt).toBe(start + 32_000 + 64_000);
    expect(sessions.calls.map(({ method, id, at }) => [method, id, at - start])).toEqual([
      ["renew", SESSION, 0],
      ["renew", SESSION, 32_000],
    ]);
    expect(sessions.calls[0]?.options).toMatchObject(SCOPE);
  });

  test.each([
    ["it has none", () => Promise.resolve(sessionEntry({ ttl: "" }))],
    ["it has one of nothing", () => Promise.resolve(sessionEntry({ ttl: "0s" }))],
    ["it has one that is no duration", () => Promise.resolve(sessionEntry({ ttl: "soon" }))],
    ["it must not be renewed by us", failWith(refusal(403, "Permission denied"))],
  ] as const)("goes by no TTL where %s", async (_, onRenew) => {
    sessions.onRenew = onRenew;
    const opened = borrowing();
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(opened.outcome?.at).toBe(start);
    expect(leaseOf(opened)).toMatchObject({ own: false, ttl: Infinity, expiresAt: Infinity });
    expect(sessions.methods).toEqual(["renew"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("takes no page of somebody else's for Consul's word that it must not be renewed", async () => {
    sessions.onRenew = inTurn(failWith(refusal(403, "<h1>Forbidden</h1>")), () =>
      Promise.resolve(sessionEntry({ ttl: "1m4s" })),
    );
    const opened = borrowing();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(leaseOf(opened)).toMatchObject({ own: false, ttl: 64_000 });
  });

  test("goes by no TTL where there is no such session, which a consistent look says too", async () => {
    sessions.onRenew = () => Promise.resolve(null);
    sessions.onInfo = () => read(null);
    const opened = borrowing();
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(opened.outcome?.at).toBe(start);
    expect(leaseOf(opened)).toMatchObject({ own: false, ttl: Infinity, expiresAt: Infinity });
    expect(sessions.calls.map(({ method, id, options }) => [method, id, options])).toEqual([
      ["renew", SESSION, { ...SCOPE, timeout: 10_000 }],
      ["info", SESSION, { ...SCOPE, timeout: 10_000, consistent: true }],
    ]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is tried again where a new leader has not heard of the session yet", async () => {
    sessions.onRenew = inTurn<[], Promise<SessionEntry | null>>(
      () => Promise.resolve(null),
      () => Promise.resolve(sessionEntry()),
    );
    sessions.onInfo = () => read(sessionEntry());
    const opened = borrowing();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(sessions.methods).toEqual(["renew", "info", "renew"]);
    expect(leaseOf(opened)).toMatchObject({ ttl: 16_000, expiresAt: start + 50 + 16_000 });
  });

  test("fails where the session is there and is never renewed, once its time is over", async () => {
    sessions.onRenew = () => Promise.resolve(null);
    sessions.onInfo = () => read(sessionEntry());
    const opened = borrowing({ until: start + 100 });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(opened.outcome).toMatchObject({
      error: { message: `session ${SESSION} is there at index 7, and was not renewed` },
      at: start + 100,
    });
  });

  test("is tried again where that failed for now", async () => {
    sessions.onRenew = inTurn(failWith(refusal(500, "No cluster leader")), () =>
      Promise.resolve(sessionEntry()),
    );
    const opened = borrowing();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(leaseOf(opened).expiresAt).toBe(start + 50 + 16_000);
  });

  test("is tried until its time is over", async () => {
    const leaderless = refusal(500, "No cluster leader");
    sessions.onRenew = failWith(leaderless);
    const opened = borrowing({ until: start + 100 });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(sessions.calls.map(({ at }) => at - start)).toEqual([0, 50, 100]);
    expect(opened.outcome).toEqual({ error: leaderless, at: start + 100 });
  });

  test("ends with an abort during a pause", async () => {
    const controller = new AbortController();
    sessions.onRenew = failWith(refusal(500));
    const opened = borrowing({ signal: controller.signal });
    await vi.advanceTimersByTimeAsync(100);
    controller.abort();
    await vi.advanceTimersByTimeAsync(0);
    expect(opened.outcome?.at).toBe(start + 100);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([
    ["a wrong request", refusal(400)],
    ["credentials that a proxy does not know", refusal(401, "<html>")],
  ])("fails at once for %s", async (_, error) => {
    sessions.onRenew = failWith(error);
    const opened = borrowing();
    await vi.advanceTimersByTimeAsync(0);
    expect(opened.outcome).toEqual({ error, at: start });
  });
});
