// What a network does that goes silent: no connection is closed, no request fails, nothing arrives.
// Each test waits for Consul's own times to pass, so that all of them run side by side.
import { setTimeout as pause } from "node:timers/promises";

import { expect, inject, test, type TestContext } from "vitest";
import { z } from "zod";

import { ConsulClient, SemaphoreError } from "../../src/index.js";
import { SilentProxy } from "../harness/silent-proxy.js";
import { withinTimeLimit } from "../harness/time-limit.js";
import { abortWithin, consul, eventually, keysBelow } from "./fixture.js";

/** The least that Consul allows. It frees a session between one and two TTLs after its renewal. */
const TTL = "10s";
const TTL_MS = 10_000;
/** How late a timer may be on a busy machine; nothing may ever be early. */
const LATE_MS = 1_000;
/** A session of the user's that outlives the test, so that nothing goes away just with it. */
const LONG_TTL = "60s";

const WHOSE_SESSION = ["its own", "the user's"] as const;
type WhoseSession = (typeof WHOSE_SESSION)[number];

interface Scene {
  /** Also the name of all sessions but for those of `bystander`. */
  readonly prefix: string;
  readonly proxy: SilentProxy;
  /** Talks to Consul through the proxy. */
  readonly behind: ConsulClient;
  /** Talks to Consul directly. */
  readonly direct: ConsulClient;
}

/** Tests that run side by side have to be told by their context when they are over. */
async function scene({ task, onTestFinished }: TestContext): Promise<Scene> {
  const prefix = `test/${task.id}-${Date.now()}/semaphore`;
  const proxy = await SilentProxy.start(inject("consulAddress"));
  const behind = new ConsulClient({ address: proxy.address });
  const direct = new ConsulClient({ address: inject("consulAddress") });
  onTestFinished(async () => {
    proxy.resume();
    await Promise.all([behind.close(), direct.close()]);
    await proxy.stop();
    await consul("DELETE", `/v1/kv/${prefix}?recurse`);
    for (const session of await sessionsNamed(prefix)) {
      await consul("PUT", `/v1/session/destroy/${session}`);
    }
  });
  return { prefix, proxy, behind, direct };
}

/** The options for a session; the user's is made past the library, which alone may renew it. */
async function sessionOptions(
  whose: WhoseSession,
  prefix: string,
  userTTL = TTL,
): Promise<{ session: string } | { sessionName: string; sessionTTL: string }> {
  if (whose === "its own") return { sessionName: prefix, sessionTTL: TTL };
  const spec = JSON.stringify({ Name: prefix, TTL: userTTL, Behavior: "delete", Checks: [] });
  const answer = await consul("PUT", "/v1/session/create", spec);
  return { session: z.object({ ID: z.string() }).parse(JSON.parse(answer)).ID };
}

const sessionListSchema = z.array(z.object({ ID: z.string(), Name: z.string() }));

async function sessionsNamed(name: string): Promise<string[]> {
  const sessions = sessionListSchema.parse(JSON.parse(await consul("GET", "/v1/session/list")));
  return sessions.filter(({ Name }) => Name === name).map(({ ID }) => ID);
}

function renewals({ proxy }: Scene): number[] {
  return proxy.passed
    .filter(({ path }) => path.startsWith("/v1/session/renew/"))
    .map(({ at }) => at);
}

/** Nothing has gone through the proxy for a while: whatever was under way has come to its end. */
async function quiet({ proxy }: Scene): Promise<void> {
  const resumedAt = performance.now();
  await eventually(
    () => Promise.resolve(performance.now() - (proxy.passed.at(-1)?.at ?? 0)),
    (stillFor) => stillFor > 1_000 && performance.now() - resumedAt > 1_000,
  );
}

/** At most the lock entry stays, and nobody that is alive in it. */
async function expectNothingLeft({ prefix, direct }: Scene): Promise<void> {
  await eventually(
    async () => (await keysBelow(prefix)).filter((key) => key !== `${prefix}/.lock`),
    (keys) => keys.length === 0,
  );
  expect(await direct.semaphorePrefix(prefix, 1).inspect()).toMatchObject({
    holders: [],
    waiters: [],
  });
}

async function expectNoSessionLeft({ prefix }: Scene): Promise<void> {
  await eventually(
    () => sessionsNamed(prefix),
    (sessions) => sessions.length === 0,
  );
}

async function inQueue({ prefix, direct }: Scene, count: number): Promise<void> {
  await eventually(
    () => direct.semaphorePrefix(prefix, 1).inspect(),
    ({ waiters }) => waiters.length === count,
  );
}

test.concurrent.for(WHOSE_SESSION)(
  "a holder is told before the next one is let in (%s session)",
  { timeout: 120_000 },
  async (whose, context) => {
    const setting = await scene(context);
    const { prefix, proxy, behind, direct } = setting;
    const options = await sessionOptions(whose, prefix);
    const first = behind.semaphoreOpts({ prefix, limit: 1, ...options });
    const second = direct.semaphoreOpts({
      prefix,
      limit: 1,
      sessionName: prefix,
      sessionTTL: TTL,
    });
    const slot = await first.acquire();
    let toldAt = Infinity;
    slot.signal.addEventListener("abort", () => (toldAt = performance.now()));
    const next = second.acquire().then((slot) => ({ slot, letInAt: performance.now() }));
    await inQueue(setting, 1);
    await eventually(
      () => Promise.resolve(renewals(setting).length),
      (count) => count > 0,
    );
    // Until its answer is there: this renewal is the last one that succeeds.
    await pause(300);

    proxy.silence();
    const { slot: nextSlot, letInAt } = await next;

    expect(toldAt).toBeLessThan(letInAt);
    const renewedAt = renewals(setting).at(-1) ?? -Infinity;
    expect(toldAt - renewedAt).toBeLessThan(TTL_MS + LATE_MS);
    // Nor long before: the slot was its own until then.
    expect(toldAt - renewedAt).toBeGreaterThan(TTL_MS - LATE_MS);
    expect(slot.signal.reason).toMatchObject({
      name: "SemaphoreLostError",
      reason: "session-expired",
    });
    expect(slot.held).toBe(false);

    proxy.resume();
    await quiet(setting);
    expect(nextSlot.held).toBe(true);
    await first.release().catch((error: unknown) => {
      expect(error).toBeInstanceOf(SemaphoreError);
    });
    expect(nextSlot.held).toBe(true);
    expect((await second.inspect()).holders).toMatchObject([{ session: nextSlot.session }]);
    await second.release();
    await expectNothingLeft(setting);
    await expectNoSessionLeft(setting);
  },
);

test.concurrent.for([
  ["its own", "shorter than its TTL", 3_000],
  ["its own", "in which its session ends", 25_000],
  ["the user's", "shorter than its TTL", 25_000],
] as const)(
  "a waiter comes back from a silence and gets its turn (%s session, %s)",
  { timeout: 120_000 },
  async ([whose, , ms], context) => {
    const setting = await scene(context);
    const { prefix, proxy, behind, direct } = setting;
    const holder = direct.semaphoreOpts({ prefix, limit: 1 });
    await holder.acquire();
    const options = await sessionOptions(whose, prefix, LONG_TTL);
    const waiter = behind.semaphoreOpts({ prefix, limit: 1, ...options });
    const waiting = waiter.acquire();
    await inQueue(setting, 1);

    proxy.silence();
    await pause(ms / 2);
    await holder.release();
    await pause(ms / 2);
    proxy.resume();

    // The longest pause of a backoff, and then a few requests.
    const slot = await withinTimeLimit(waiting, 20_000, "the turn");
    expect(slot.held).toBe(true);
    await waiter.release();
    await expectNothingLeft(setting);
    if (whose === "its own") await expectNoSessionLeft(setting);
  },
);

test.concurrent(
  "an acquire that outlives a silence has one session, whatever arrives late of its tries",
  { timeout: 120_000 },
  async (context) => {
    const setting = await scene(context);
    const { prefix, proxy, behind } = setting;
    const options = await sessionOptions("its own", prefix);
    const sem = behind.semaphoreOpts({ prefix, limit: 1, ...options });
    proxy.silence();
    const acquiring = sem.acquire();
    // Longer than any request is waited for, so that it has been made again.
    await pause(12_000);
    proxy.resume();

    const slot = await withinTimeLimit(acquiring, 20_000, "the turn");
    await quiet(setting);
    expect(await sessionsNamed(prefix)).toEqual([slot.session]);
    await sem.release();
    await behind.close();
    expect(await sessionsNamed(prefix)).toEqual([]);
    await expectNothingLeft(setting);
  },
);

test.concurrent.for([
  ["before", "its own"],
  ["in", "its own"],
  ["before", "the user's"],
  ["in", "the user's"],
] as const)(
  "begun %s a silence and aborted in it, an acquire rejects at once and leaves nothing (%s session)",
  { timeout: 120_000 },
  async ([begun, whose], context) => {
    const setting = await scene(context);
    const { prefix, proxy, behind, direct } = setting;
    const holder = direct.semaphoreOpts({ prefix, limit: 1 });
    await holder.acquire();
    const options = await sessionOptions(whose, prefix, LONG_TTL);
    const controller = new AbortController();
    if (begun === "in") proxy.silence();
    const attempt = behind
      .semaphoreOpts({ prefix, limit: 1, ...options })
      .acquire(controller.signal);
    attempt.catch(() => undefined);
    if (begun === "before") await inQueue(setting, 1);
    proxy.silence();
    await pause(1_000);

    const reason = new Error("shutting down");
    const abortedAt = performance.now();
    controller.abort(reason);
    await expect(attempt).rejects.toBe(reason);
    expect(performance.now() - abortedAt).toBeLessThan(LATE_MS);

    // Long enough for whatever tries to clear away to have given up on its first requests.
    await pause(8_000);
    proxy.resume();
    await inQueue(setting, 0);
    if (whose === "its own") await expectNoSessionLeft(setting);
    // What was written in the silence has arrived by now, and has been cleared away after it.
    await quiet(setting);
    await inQueue(setting, 0);
    await holder.release();
    await expectNothingLeft(setting);
  },
);

test.concurrent.for(WHOSE_SESSION)(
  "a release in a silence settles within one TTL and leaves nothing (%s session)",
  { timeout: 120_000 },
  async (whose, context) => {
    const setting = await scene(context);
    const { prefix, proxy, behind } = setting;
    const options = await sessionOptions(whose, prefix);
    const sem = behind.semaphoreOpts({ prefix, limit: 1, ...options });
    const slot = await sem.acquire();
    proxy.silence();

    const releasing = withinTimeLimit(sem.release(), TTL_MS + 2 * LATE_MS, "the release");
    // Either will do, but not an error of the limit's.
    const settled = releasing.catch((error: unknown) => {
      expect(error).toBeInstanceOf(SemaphoreError);
    });
    await abortWithin(slot.signal, LATE_MS);
    expect(slot.held).toBe(false);
    await settled;

    proxy.resume();
    await expectNothingLeft(setting);
    await expectNoSessionLeft(setting);
    await quiet(setting);
    await expectNothingLeft(setting);
  },
);

test.concurrent.for(WHOSE_SESSION)(
  "a release in a short silence is done once that is over (%s session)",
  { timeout: 120_000 },
  async (whose, context) => {
    const setting = await scene(context);
    const { prefix, proxy, behind, direct } = setting;
    const options = await sessionOptions(whose, prefix, LONG_TTL);
    const sem = behind.semaphoreOpts({ prefix, limit: 1, ...options });
    await sem.acquire();
    proxy.silence();

    const releasing = sem.release();
    await pause(3_000);
    proxy.resume();
    await withinTimeLimit(releasing, 5_000, "the release");

    expect(await keysBelow(prefix)).toEqual([`${prefix}/.lock`]);
    const next = direct.semaphoreOpts({ prefix, limit: 1 });
    expect(await withinTimeLimit(next.acquire(), 2_000, "the next turn")).toMatchObject({
      held: true,
    });
    await next.release();
    if (whose === "its own") await expectNoSessionLeft(setting);
  },
);

test.concurrent.for(WHOSE_SESSION)(
  "short silences cost no slot (%s session)",
  { timeout: 120_000 },
  async (whose, context) => {
    const setting = await scene(context);
    const { prefix, proxy, behind } = setting;
    const options = await sessionOptions(whose, prefix);
    const sem = behind.semaphoreOpts({ prefix, limit: 1, ...options });
    const slot = await sem.acquire();
    // In all longer than any TTL, and one of them falls on a renewal that is on its way.
    for (let round = 0; round < 4; round += 1) {
      proxy.silence();
      await pause(3_000);
      proxy.resume();
      await pause(3_000);
    }
    expect(slot.signal.reason).toBeUndefined();
    expect(slot.held).toBe(true);
    await sem.release();
    await expectNothingLeft(setting);
  },
);
