// How an acquire ends that does not succeed: at once where it was aborted or where no later try can
// go better, and clean in every case. What another try can mend, it mends.
import { getEventListeners } from "node:events";

import { describe, expect, test } from "vitest";
import { Agent } from "undici";

import {
  SemaphoreNotHeldError,
  type ConsulClient,
  type ConsulClientConfig,
  type Semaphore,
  type SemaphoreOptions,
  type SemaphoreSlot,
} from "../../src/index.js";
import {
  connect,
  consul,
  eventually,
  expectNothingLeft,
  expectNothingLeftOnceClosed,
  freshPrefix,
  keysBelow,
  lockBelow,
  makeSession,
  scene,
  sessionsNamed,
  type Scene,
} from "./fixture.js";
import { Proxy, REQUESTS, type Ending, type Fate, type RequestKind } from "./proxy.js";

// Those that take long do little but wait.

type WhoseSession = "its own" | "the user's";

/** How a slot is come by: in one write with the contender entry, or out of the queue. */
type Way = "at once" | "by the queue";

/** The requests of an uncontended acquire; and of one whose join at once does not get through. */
const STEPS = {
  "at once": { "its own": ["session create", "prefix listing", "join"], "the user's": [] },
  "by the queue": {
    "its own": ["contender entry", "join in turn"],
    "the user's": ["session renewal", "contender entry", "join in turn"],
  },
} as const satisfies Record<Way, Record<WhoseSession, readonly RequestKind[]>>;

type Step = (typeof STEPS)[Way][WhoseSession][number];

interface Case {
  readonly whose: WhoseSession;
  readonly way: Way;
  readonly step: Step;
}

const CASES: readonly Case[] = (["at once", "by the queue"] as const).flatMap((way) =>
  (["its own", "the user's"] as const).flatMap((whose) =>
    STEPS[way][whose].map((step) => ({ whose, way, step })),
  ),
);

const FAILURES: Readonly<Record<Step | "lock read", string>> = {
  "session create": "failed to create session: ",
  "session renewal": "failed to create session: ",
  "contender entry": "failed to make contender entry: ",
  "prefix listing": "failed to read prefix: ",
  "lock read": "failed to read prefix: ",
  join: "failed to update lock: ",
  "join in turn": "failed to update lock: ",
};

/** A prefix that cannot be read first is read with the contender entry: that has to fail as well. */
function allThatDoFor(step: Step): RequestKind {
  return step === "prefix listing" ? "prefix reading" : step;
}

/** How long "at once" may take, far below the 15 s of a blocking query, far above a busy machine. */
const AT_ONCE_MS = 5_000;
/** For how long an acquire tries to get into the queue. */
const PATIENCE_MS = 15_000;
/** Node's timers may come this much too soon. */
const TIMER_EARLINESS_MS = 10;

async function rejectionAtOnce(attempt: Promise<unknown>): Promise<unknown> {
  const start = performance.now();
  const reason = await rejectionOf(attempt);
  expect(performance.now() - start).toBeLessThan(AT_ONCE_MS);
  return reason;
}

async function rejectionOf(attempt: Promise<unknown>): Promise<unknown> {
  return await attempt.then(
    () => "no rejection",
    (error: unknown) => error,
  );
}

async function occupiedSemaphore(client: ConsulClient, prefix: string): Promise<Semaphore> {
  const holder = client.semaphorePrefix(prefix, 1);
  await holder.acquire();
  return holder;
}

async function inQueue(observer: Semaphore, count: number): Promise<void> {
  await eventually(
    () => observer.inspect(),
    ({ waiters }) => waiters.length === count,
  );
}

/** A scene in which a slot is come by in one way, and has to be. */
async function sceneOf(way: Way, ending: Ending): Promise<Scene> {
  const setting = await scene(ending);
  if (way === "by the queue") setting.proxy.bar("join at once");
  return setting;
}

/** A semaphore behind the proxy; a session of its own is named after the prefix. */
async function semaphoreOf(
  whose: WhoseSession,
  { behind, prefix }: Scene,
  ending: Ending,
  options: Partial<SemaphoreOptions> = {},
): Promise<Semaphore> {
  return behind.semaphoreOpts({
    prefix,
    limit: 1,
    ...(whose === "its own" ? { sessionName: prefix } : { session: await makeSession({}, ending) }),
    ...options,
  });
}

/** Each call waits until the one before has cleared away all that it had to. */
async function settled(sem: Semaphore): Promise<void> {
  await expect(sem.release()).rejects.toThrow(SemaphoreNotHeldError);
}

test("a waiting acquire rejects at once with the signal's reason and leaves nothing", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const holder = await occupiedSemaphore(client, prefix);
  const before = await keysBelow(prefix);
  const controller = new AbortController();
  const sem = client.semaphoreOpts({ prefix, limit: 1, sessionName: prefix });
  const attempt = sem.acquire(controller.signal);
  await inQueue(holder, 1);

  const reason = new Error("shutting down");
  controller.abort(reason);

  expect(await rejectionAtOnce(attempt)).toBe(reason);
  expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  await eventually(
    () => keysBelow(prefix),
    (keys) => keys.join() === before.join(),
  );
  await eventually(
    () => sessionsNamed(prefix),
    (sessions) => sessions.length === 0,
  );
  expect(sem.isHeld).toBe(false);
  await holder.release();
  await sem.acquire();
  await sem.release();
});

test("with a session of the user's, its contender entry goes and the session stays", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const holder = await occupiedSemaphore(client, prefix);
  const session = await makeSession();
  const controller = new AbortController();
  const attempt = client.semaphoreOpts({ prefix, limit: 1, session }).acquire(controller.signal);
  await inQueue(holder, 1);

  controller.abort();

  expect(await rejectionAtOnce(attempt)).toMatchObject({ name: "AbortError" });
  await inQueue(holder, 0);
  expect((await client.session.info(session)).value?.id).toBe(session);
  await holder.release();
});

test("a signal that has aborted before costs no request", async () => {
  const proxy = await Proxy.start();
  const sem = connect({ address: proxy.address }).semaphorePrefix(freshPrefix(), 1);
  const reason = new Error("too late");
  await expect(sem.acquire(AbortSignal.abort(reason))).rejects.toBe(reason);
  await expect(sem.tryAcquire(AbortSignal.abort(reason))).rejects.toBe(reason);
  expect(proxy.requests).toEqual([]);
});

test("an acquire that waits for its turn behind another rejects at once too", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const holder = await occupiedSemaphore(client, prefix);
  const sem = client.semaphorePrefix(prefix, 1);
  const first = sem.acquire();
  const controller = new AbortController();
  const second = sem.acquire(controller.signal);
  controller.abort();
  expect(await rejectionAtOnce(second)).toMatchObject({ name: "AbortError" });
  expect(getEventListeners(controller.signal, "abort")).toEqual([]);

  await holder.release();
  expect((await first).held).toBe(true);
  await sem.release();
});

test("tryAcquire rejects when aborted, as acquire does", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const holder = await occupiedSemaphore(client, prefix);
  const controller = new AbortController();
  const sem = client.semaphoreOpts({ prefix, limit: 1, semaphoreWaitTime: "10m" });
  const attempt = sem.tryAcquire(controller.signal);
  await inQueue(holder, 1);
  controller.abort();
  expect(await rejectionAtOnce(attempt)).toMatchObject({ name: "AbortError" });
  await holder.release();
});

describe.concurrent("aborted while its request hangs", () => {
  test.for(CASES)(
    "($step, $whose session, $way), it rejects at once and clears away once that is answered",
    async ({ whose, way, step }, context) => {
      const setting = await sceneOf(way, context);
      const { proxy, prefix } = setting;
      const controller = new AbortController();
      let answer: (fate: Fate) => void = () => undefined;
      const arrived = new Promise<void>((resolve) => {
        proxy.decide = (request): Fate | Promise<Fate> => {
          if (!REQUESTS[step](request)) return "pass";
          proxy.heal();
          resolve();
          return new Promise<Fate>((decided) => (answer = decided));
        };
      });
      const sem = await semaphoreOf(whose, setting, context);
      const attempt = sem.acquire(controller.signal);
      attempt.catch(() => undefined);
      await arrived;

      controller.abort();

      expect(await rejectionAtOnce(attempt)).toMatchObject({ name: "AbortError" });
      answer("pass");
      await settled(sem);
      await expectNothingLeft(prefix);
      expect(sem.isHeld).toBe(false);
    },
  );
});

/** What a waiter asks for, time and again, that is second in the queue. */
const WAITING = ["blocking query", "holders check"] as const;

interface Waiting extends Scene {
  /** Comes last. */
  readonly sem: Semaphore;
  readonly attempt: Promise<SemaphoreSlot>;
  /** Lets it have its turn. */
  readonly makeRoom: () => Promise<void>;
}

/** Behind the proxy somebody waits behind another waiter, who talks to Consul directly. */
async function waitingBehindAnother(ending: Ending, signal?: AbortSignal): Promise<Waiting> {
  const setting = await scene(ending);
  const { direct, prefix } = setting;
  const holder = await occupiedSemaphore(direct, prefix);
  const other = direct.semaphorePrefix(prefix, 1);
  const othersTurn = other.acquire();
  // Each blocking query lasts that long.
  const sem = await semaphoreOf("its own", setting, ending, { semaphoreWaitTime: "1s" });
  await inQueue(holder, 1);
  const attempt = sem.acquire(signal);
  attempt.catch(() => undefined);
  await inQueue(holder, 2);
  const makeRoom = async (): Promise<void> => {
    await holder.release();
    await othersTurn;
    await other.release();
  };
  return { ...setting, sem, attempt, makeRoom };
}

describe.concurrent("a waiter that is aborted", () => {
  test.for(WAITING.flatMap((step) => (["hang", "fail"] as const).map((fate) => ({ step, fate }))))(
    "while its next requests go wrong ($step, $fate) rejects at once and leaves nothing",
    async ({ step, fate }, context) => {
      const controller = new AbortController();
      const waiting = await waitingBehindAnother(context, controller.signal);
      const { proxy, prefix, sem, attempt, makeRoom } = waiting;
      const arrived = new Promise<void>((resolve) => {
        proxy.decide = (request): Fate => {
          if (!REQUESTS[step](request)) return "pass";
          resolve();
          return fate;
        };
      });
      await arrived;

      const reason = new Error("shutting down");
      controller.abort(reason);

      expect(await rejectionAtOnce(attempt)).toBe(reason);
      await settled(sem);
      expect(await sessionsNamed(prefix)).toEqual([]);
      await makeRoom();
      expect((await sem.inspect()).waiters).toEqual([]);
    },
  );
});

describe.concurrent("a failure is mended where others are ahead, too", () => {
  const fates = ["fail", "throttle", "reset", "lose the answer"] as const;

  test.for(WAITING.flatMap((step) => fates.map((fate) => ({ step, fate }))))(
    "($step, $fate)",
    async ({ step, fate }, context) => {
      const TIMES = 3;
      // A connection that is refused is not tried again at once: it looks at the key instead.
      const isRefused = step === "blocking query" && fate !== "fail";
      const waiting = await waitingBehindAnother(context);
      const { proxy, prefix, behind, sem, attempt, makeRoom } = waiting;
      const before = proxy.seen(step).length;
      proxy.afflict(fate, step, TIMES);
      await eventually(
        () => Promise.resolve(proxy.seen(step).length),
        (count) => count > before + (isRefused ? 0 : TIMES),
      );

      await makeRoom();

      const slot = await attempt;
      expect(slot.held).toBe(true);
      expect(proxy.seen("contender entry")).toHaveLength(1);
      expect(await sessionsNamed(prefix)).toEqual([slot.session]);
      await sem.release();
      await expectNothingLeftOnceClosed(behind, prefix);
    },
  );
});

describe.concurrent("aborted when an answer is lost", () => {
  const moments = ["at that moment", "at its next request"] as const;

  test.for(CASES.flatMap((testCase) => moments.map((moment) => ({ ...testCase, moment }))))(
    "($step, $whose session, $way, $moment), it rejects with the reason and leaves nothing",
    async ({ whose, way, step, moment }, context) => {
      const setting = await sceneOf(way, context);
      const { proxy, prefix } = setting;
      const controller = new AbortController();
      const reason = new Error("shutting down");
      proxy.afflict("lose the answer", step, 1);
      proxy.lost = () => {
        if (moment === "at that moment") {
          controller.abort(reason);
          return;
        }
        proxy.decide = () => {
          controller.abort(reason);
          return "pass";
        };
      };
      const sem = await semaphoreOf(whose, setting, context);

      expect(await rejectionAtOnce(sem.acquire(controller.signal))).toBe(reason);

      await settled(sem);
      expect(getEventListeners(controller.signal, "abort")).toEqual([]);
      await expectNothingLeft(prefix);
      await sem.acquire();
      await sem.release();
    },
  );
});

describe.concurrent("a failure that another try can mend is mended", () => {
  const fates = ["fail", "throttle", "reset", "lose the answer"] as const;

  test.for(
    CASES.flatMap((testCase) =>
      fates.flatMap((fate) => [1, 3].map((times) => ({ ...testCase, fate, times }))),
    ),
  )(
    "($step, $whose session, $way, $fate, times: $times)",
    async ({ whose, way, step, fate, times }, context) => {
      const setting = await sceneOf(way, context);
      const { proxy, prefix, behind } = setting;
      const failing = allThatDoFor(step);
      proxy.afflict(fate, failing, times);
      const sem = await semaphoreOf(whose, setting, context);

      const slot = await sem.acquire();

      expect(proxy.seen(failing).length).toBeGreaterThan(times);
      expect(slot.held).toBe(true);
      expect(await lockBelow(prefix)).toEqual({
        value: `{"Limit":1,"Holders":{"${slot.session}":true}}`,
        modifyIndex: slot.fencingToken,
      });
      expect(await keysBelow(prefix)).toEqual([`${prefix}/.lock`, `${prefix}/${slot.session}`]);
      expect(await sessionsNamed(prefix)).toEqual(whose === "its own" ? [slot.session] : []);
      await sem.release();
      await expectNothingLeftOnceClosed(behind, prefix);
      expect(await lockBelow(prefix)).toMatchObject({ value: '{"Limit":1,"Holders":{}}' });
    },
  );
});

describe.concurrent("a failure is mended where the semaphore was occupied, too", () => {
  const fates = ["fail", "throttle", "reset", "lose the answer", "repeat"] as const;

  test.for(
    (["contender entry", "join in turn"] as const).flatMap((step) =>
      fates.flatMap((fate) => [1, 3].map((times) => ({ step, fate, times }))),
    ),
  )("($step, $fate, times: $times)", async ({ step, fate, times }, context) => {
    const setting = await scene(context);
    const { proxy, prefix, direct, behind } = setting;
    const holder = await occupiedSemaphore(direct, prefix);
    proxy.afflict(fate, step, times);
    const sem = await semaphoreOf("its own", setting, context);
    const attempt = sem.acquire();
    await inQueue(holder, 1);

    await holder.release();

    const slot = await attempt;
    expect(proxy.seen("join at once")).toEqual([]);
    const tries = proxy.seen(step).length;
    // An entry that is made twice is made.
    if (step === "contender entry" && fate === "repeat") expect(tries).toBe(1);
    else expect(tries).toBeGreaterThan(times);
    expect(await lockBelow(prefix)).toEqual({
      value: `{"Limit":1,"Holders":{"${slot.session}":true}}`,
      modifyIndex: slot.fencingToken,
    });
    expect(await sessionsNamed(prefix)).toEqual([slot.session]);
    await sem.release();
    await expectNothingLeftOnceClosed(behind, prefix);
  });
});

describe.concurrent("a refusal is told at once, and nothing stays", () => {
  // Who may not renew a session can still use it.
  const refusable = CASES.filter(({ step }) => step !== "session renewal");

  test.for(refusable.flatMap((testCase) => [1, Infinity].map((times) => ({ ...testCase, times }))))(
    "($step, $whose session, $way, times: $times)",
    async ({ whose, way, step, times }, context) => {
      const setting = await sceneOf(way, context);
      const { proxy, prefix } = setting;
      proxy.afflict("refuse", step, times);
      const sem = await semaphoreOf(whose, setting, context);

      const failure = await rejectionAtOnce(sem.acquire());

      expect(String(failure)).toContain(FAILURES[step]);
      expect(failure).toMatchObject({
        name: "SemaphoreRequestError",
        retryable: false,
        cause: { name: "ConsulError", code: "CONSUL_STATUS", status: 403 },
      });
      expect(proxy.seen(step)).toHaveLength(1);
      await settled(sem);
      await expectNothingLeft(prefix);
      proxy.heal();
      await sem.acquire();
      await sem.release();
    },
  );

  test.for(["its own", "the user's"] as const)(
    "(all transactions, as a gateway does that knows the key/value store only; %s session)",
    async (whose, context) => {
      const setting = await scene(context);
      const { proxy, prefix } = setting;
      proxy.decide = ({ path }) => (path.startsWith("/v1/txn") ? "refuse" : "pass");
      const sem = await semaphoreOf(whose, setting, context);

      // A newcomer whose reading has taken long has to queue first.
      const { join, "contender entry": entry } = FAILURES;
      const expected = whose === "its own" ? [join, entry] : [entry];
      const failure = String(await rejectionAtOnce(sem.acquire()));
      expect(
        expected.some((words) => failure.includes(words)),
        failure,
      ).toBe(true);

      await settled(sem);
      await expectNothingLeft(prefix);
    },
  );

  test("(all that might show whether its swap held; the user's session)", async (context) => {
    const setting = await scene(context);
    const { proxy, prefix, direct } = setting;
    proxy.afflict("lose the answer", "join", 1);
    proxy.lost = () => {
      proxy.decide = ({ method }) => (method === "GET" ? "refuse" : "pass");
    };
    const sem = await semaphoreOf("the user's", setting, context);

    expect(String(await rejectionAtOnce(sem.acquire()))).toContain(FAILURES["lock read"]);

    await settled(sem);
    // It is still in the lock, but without a contender entry it counts as dead.
    const other = direct.semaphorePrefix(prefix, 1);
    expect(await other.inspect()).toMatchObject({ holders: [], waiters: [] });
    expect((await other.acquire()).held).toBe(true);
    await other.release();
  });

  test("but a session that may be used and not renewed is used", async (context) => {
    const setting = await scene(context);
    setting.proxy.afflict("refuse", "session renewal");
    const sem = await semaphoreOf("the user's", setting, context);
    expect((await sem.acquire()).held).toBe(true);
    await sem.release();
    await expectNothingLeft(setting.prefix);
  });
});

describe.concurrent("what no other try can mend is told at once", () => {
  test.for([
    ["a lock of Consul's", "", "3304740253564472344", "Existing key does not match semaphore use"],
    ["another limit", '{"Limit":2,"Holders":{}}', "16210313421097356768", "limit conflict"],
    ["garbage", "<html>", "16210313421097356768", "lock decoding failed"],
  ] as const)("(%s in the way)", async ([, value, flags, words], context) => {
    const setting = await scene(context);
    const { proxy, prefix } = setting;
    await consul("PUT", `/v1/kv/${prefix}/.lock?flags=${flags}`, value);
    const sem = await semaphoreOf("its own", setting, context);

    expect(String(await rejectionAtOnce(sem.acquire()))).toContain(words);

    expect(proxy.seen("prefix listing")).toHaveLength(1);
    await settled(sem);
    expect(await keysBelow(prefix)).toEqual([`${prefix}/.lock`]);
    expect(await sessionsNamed(prefix)).toEqual([]);
  });

  test("(a TTL that Consul does not allow)", async (context) => {
    const setting = await scene(context);
    const sem = await semaphoreOf("its own", setting, context, { sessionTTL: "48h" });
    const failure = await rejectionAtOnce(sem.acquire());
    expect(String(failure)).toMatch(/failed to create session: .*must be between \[10s=24h0m0s\]/);
    expect(failure).toMatchObject({ retryable: false, cause: { status: 500 } });
    expect(setting.proxy.requests).toHaveLength(1);
  });

  test("(a session of the user's that is no more)", async (context) => {
    const setting = await scene(context);
    const session = "11111111-2222-3333-4444-555555555555";
    const sem = await semaphoreOf("the user's", setting, context, { session });
    expect(String(await rejectionAtOnce(sem.acquire()))).toMatch(
      /failed to make contender entry: .*invalid session/,
    );
    expect(setting.proxy.seen("contender entry")).toHaveLength(1);
    await expectNothingLeft(setting.prefix);
  });

  // A resolver of our own: what the machine's says of a name depends on its network.
  const knowsNoName = new Agent({
    connect: {
      lookup: (hostname, _, done) => {
        const error = new Error(`getaddrinfo ENOTFOUND ${hostname}`);
        done(Object.assign(error, { code: "ENOTFOUND" }), []);
      },
    },
  });
  const nobodyThere: [string, ConsulClientConfig, string][] = [
    ["nobody listens", { address: "127.0.0.1:1" }, "ECONNREFUSED"],
    ["there is no such socket", { address: "unix:///no/such/socket" }, "ENOENT"],
    [
      "there is no such host",
      { address: "consul.invalid", dispatcher: knowsNoName },
      "getaddrinfo ENOTFOUND consul.invalid",
    ],
  ];

  test.for(nobodyThere)("(an address where %s)", async ([, config, words], context) => {
    const sem = connect(config, context).semaphorePrefix("nowhere", 1);
    const failure = await rejectionAtOnce(sem.acquire());
    expect(failure).toMatchObject({
      code: "SEMAPHORE_SESSION_FAILED",
      // The agent may not be up yet: but that is for the caller to know.
      retryable: true,
      cause: { code: "CONSUL_UNREACHABLE" },
    });
    expect(String(failure)).toContain(words);
  });
});

describe.concurrent("tryAcquire keeps its time in an outage", () => {
  const WAIT_MS = 500;
  const outages = CASES.flatMap((testCase) =>
    (["fail", "hang"] as const).map((fate) => ({ ...testCase, fate })),
  );

  test.for(outages)(
    "($step, $whose session, $way, $fate)",
    async ({ whose, way, step, fate }, context) => {
      const setting = await sceneOf(way, context);
      const { proxy, prefix } = setting;
      proxy.afflict(fate, allThatDoFor(step));
      const sem = await semaphoreOf(whose, setting, context, { semaphoreWaitTime: WAIT_MS });
      const start = performance.now();

      const outcome = await sem.tryAcquire().catch(String);

      const passed = performance.now() - start;
      expect(passed).toBeGreaterThan(WAIT_MS - TIMER_EARLINESS_MS);
      expect(passed).toBeLessThan(AT_ONCE_MS);
      // After a look that went well there is nothing to complain of.
      if (step === "join" || step === "join in turn") expect(outcome).toBeNull();
      else
        expect(outcome).toContain(FAILURES[step === "prefix listing" ? "contender entry" : step]);
      proxy.heal();
      await settled(sem);
      await expectNothingLeft(prefix);
    },
  );

  test.for(["fail", "hang"] as const)(
    "(the listing before its entry, %s) and has the slot in time",
    async (fate, context) => {
      const setting = await scene(context);
      const { proxy, behind, prefix } = setting;
      proxy.afflict(fate, "prefix listing");
      const sem = await semaphoreOf("its own", setting, context, { semaphoreWaitTime: WAIT_MS });
      const start = performance.now();

      expect(await sem.tryAcquire()).toMatchObject({ held: true });

      expect(performance.now() - start).toBeLessThan(AT_ONCE_MS);
      expect(proxy.seen("prefix listing")).toHaveLength(1);
      await sem.release();
      await expectNothingLeftOnceClosed(behind, prefix);
    },
  );

  test.for(["fail", "hang"] as const)(
    "(all that follows a first look at an occupied semaphore, %s)",
    async (fate, context) => {
      const setting = await scene(context);
      const { proxy, prefix, direct } = setting;
      const holder = await occupiedSemaphore(direct, prefix);
      const before = await keysBelow(prefix);
      const sem = await semaphoreOf("its own", setting, context, { semaphoreWaitTime: WAIT_MS });
      // The first look in the queue comes with the contender entry.
      proxy.decide = (request) => {
        const [entry] = proxy.seen("contender entry");
        return entry === undefined || request === entry ? "pass" : fate;
      };
      const start = performance.now();

      expect(await sem.tryAcquire()).toBeNull();

      expect(performance.now() - start).toBeLessThan(AT_ONCE_MS);
      proxy.heal();
      await settled(sem);
      expect(await keysBelow(prefix)).toEqual(before);
      expect(await sessionsNamed(prefix)).toEqual([]);
      await holder.release();
    },
  );
});

describe.concurrent("an outage on the way in", () => {
  const outages = [
    { whose: "its own", step: "session create", fate: "fail" },
    { whose: "its own", step: "session create", fate: "lose the answer" },
    { whose: "its own", step: "contender entry", fate: "fail" },
    { whose: "its own", step: "contender entry", fate: "lose the answer" },
    { whose: "the user's", step: "session renewal", fate: "fail" },
    { whose: "the user's", step: "contender entry", fate: "lose the answer" },
  ] as const;
  const CODES = { fail: "CONSUL_STATUS", "lose the answer": "CONSUL_UNREACHABLE" } as const;

  test.for(outages)(
    "that does not end ($step, $whose session, $fate) is told when the patience is over",
    { timeout: 60_000 },
    async ({ whose, step, fate }, context) => {
      const setting = await sceneOf("by the queue", context);
      const { proxy, prefix } = setting;
      proxy.afflict(fate, step);
      const sem = await semaphoreOf(whose, setting, context, {
        ...(whose === "its own" ? { sessionTTL: "10s" } : {}),
      });
      const start = performance.now();

      const failure = await rejectionOf(sem.acquire());

      const passed = performance.now() - start;
      expect(passed).toBeGreaterThan(PATIENCE_MS - TIMER_EARLINESS_MS);
      expect(passed).toBeLessThan(PATIENCE_MS + AT_ONCE_MS);
      expect(String(failure)).toContain(FAILURES[step]);
      expect(failure).toMatchObject({ retryable: true, cause: { code: CODES[fate] } });
      await settled(sem);
      await expectNothingLeft(prefix);
      proxy.heal();
      await sem.acquire();
      await sem.release();
    },
  );
});
