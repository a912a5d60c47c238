// What agents of Consul 1.9 to 2.1 do otherwise than the one under test, put before it by a proxy.
import { setTimeout as pause } from "node:timers/promises";

import { describe, expect, test } from "vitest";

import type { ConsulClient, SemaphoreOptions } from "../../src/index.js";
import { rejectionOf } from "../unit/rejection.js";
import {
  abortWithin,
  connect,
  eventually,
  expectNothingLeftOnceClosed,
  makeSession,
  scene,
  sessionsNamed,
  type Scene,
} from "./fixture.js";
import { REQUESTS, type RequestKind } from "./proxy.js";

/** How long what is told "at once" may take on a busy machine. */
const PROMPTLY_MS = 5_000;
/** The `write_timeout` of agents since 1.22.4, after which they cut an answer. */
const WRITE_TIMEOUT_MS = 30_000;
/** A slot that is released sooner is not watched at all. */
const WATCHED_AFTER_MS = 500;
/** For how long requests are limited. */
const LIMITED_MS = 8_000;

function optionsOf({ prefix }: Scene): SemaphoreOptions {
  return { prefix, limit: 1, sessionName: prefix };
}

/** How long it took to be refused, and with what. */
async function refusal(call: Promise<unknown>): Promise<{ error: unknown; took: number }> {
  const start = performance.now();
  const error = await rejectionOf(call);
  return { error, took: performance.now() - start };
}

async function watching({ proxy }: Scene, kind: RequestKind): Promise<void> {
  await eventually(
    () => Promise.resolve(proxy.pending(kind)),
    (requests) => requests.some(REQUESTS["blocking query"]),
  );
}

async function oneWaits({ direct, prefix }: Scene): Promise<void> {
  await eventually(
    () => direct.semaphorePrefix(prefix, 1).inspect(),
    ({ waiters }) => waiters.length === 1,
  );
}

describe.concurrent("an agent that cuts answers after 30 s", () => {
  test("cuts no poll of a holder without a TTL, nor of one with a long TTL, nor of a waiter", async (context) => {
    const [one, two] = [await scene(context), await scene(context)];
    one.proxy.writeTimeout = WRITE_TIMEOUT_MS;
    two.proxy.writeTimeout = WRITE_TIMEOUT_MS;
    const session = await makeSession({ ttl: null }, context);
    const lasting = await one.behind
      .semaphoreOpts({ ...optionsOf(one), session, semaphoreWaitTime: "10m" })
      .acquire();
    const long = await two.behind.semaphoreOpts({ ...optionsOf(two), sessionTTL: "10m" }).acquire();
    const { prefix } = one;
    const waiter = two.behind
      .semaphoreOpts({ ...optionsOf(one), sessionTTL: "10m", semaphoreWaitTime: "10m" })
      .acquire();
    await oneWaits(one);

    await pause(WRITE_TIMEOUT_MS + 5_000);

    expect([one.proxy.cuts, two.proxy.cuts]).toEqual([0, 0]);
    expect([lasting.held, long.held]).toEqual([true, true]);
    // They have been polling, and do so again.
    expect(one.proxy.seen("blocking query").length).toBeGreaterThan(1);
    await lasting.release();
    await (await waiter).release();
    await long.release();
    await expectNothingLeftOnceClosed(two.behind, prefix);
  });

  test.for(["lock read", "entry read"] as const)(
    "ends no slot of a session without a TTL by one %s that is cut, but by the second",
    async (kind, context) => {
      const setting = await scene(context);
      const { behind, proxy } = setting;
      const session = await makeSession({ ttl: null }, context);
      const sem = behind.semaphoreOpts({ ...optionsOf(setting), session });
      const slot = await sem.acquire();
      await watching(setting, kind);
      const before = proxy.seen(kind).length;
      proxy.cut();
      await eventually(
        () => Promise.resolve(proxy.seen(kind).length),
        (seen) => seen > before,
      );
      await watching(setting, kind);
      expect(slot.held).toBe(true);
      proxy.afflict("reset", kind);
      proxy.cut();
      expect(await abortWithin(slot.signal, PROMPTLY_MS)).toMatchObject({
        reason: "monitor-failed",
      });
      proxy.heal();
      await sem.release();
    },
  );
});

describe.concurrent("what can never pass is refused at once, with advice", () => {
  const CALLS: Readonly<Record<string, (client: ConsulClient, it: Scene) => Promise<unknown>>> = {
    acquire: (client, it) => client.semaphoreOpts(optionsOf(it)).acquire(),
    tryAcquire: (client, it) => client.semaphoreOpts(optionsOf(it)).tryAcquire(),
    run: (client, it) => client.semaphoreOpts(optionsOf(it)).run(() => undefined),
    inspect: (client, it) => client.semaphoreOpts(optionsOf(it)).inspect(),
    destroy: (client, it) => client.semaphoreOpts(optionsOf(it)).destroy(),
  };

  test.for(Object.entries(CALLS))(
    "the name of a key that agents since 1.21.5 refuse: %s",
    async ([, call], context) => {
      const setting = await scene(context);
      const { proxy, behind, prefix } = setting;
      // Transactions are not checked.
      proxy.decide = ({ path }) => (path.startsWith("/v1/kv/") ? "newer: key" : "pass");
      const { error, took } = await refusal(call(behind, setting));
      expect(error).toMatchObject({ code: "SEMAPHORE_READ_FAILED", retryable: false, prefix });
      expect(String(error)).toMatch(/1\.21\.5.*letters, digits.*disable_kv_key_validation/);
      expect(took).toBeLessThan(PROMPTLY_MS);
      expect(proxy.requests.filter(({ path }) => path.startsWith("/v1/kv/"))).toHaveLength(1);
      await expectNothingLeftOnceClosed(behind, prefix);
    },
  );

  test("a session in another datacenter than the client agent's", async (context) => {
    const setting = await scene(context);
    const { proxy, behind } = setting;
    proxy.afflict("newer: datacenter", "session create");
    const { error, took } = await refusal(behind.semaphoreOpts(optionsOf(setting)).acquire());
    expect(error).toMatchObject({ code: "SEMAPHORE_SESSION_FAILED", retryable: false });
    expect(String(error)).toContain("ask a server of that datacenter");
    expect(took).toBeLessThan(PROMPTLY_MS);
    expect(proxy.requests).toHaveLength(1);
  });

  test("a session on a node that nobody has registered", async (context) => {
    const setting = await scene(context);
    const { proxy, behind } = setting;
    const sem = behind.semaphoreOpts({ ...optionsOf(setting), sessionNode: "mistyped" });
    const { error, took } = await refusal(sem.acquire());
    expect(error).toMatchObject({ code: "SEMAPHORE_SESSION_FAILED" });
    expect(String(error)).toMatch(/Missing node registration.*\/v1\/catalog\/register/);
    expect(took).toBeLessThan(PROMPTLY_MS);
    expect(proxy.requests).toHaveLength(1);
  });

  test.for([
    ["prefix listing", "SEMAPHORE_READ_FAILED"],
    ["session create", "SEMAPHORE_SESSION_FAILED"],
  ] as const)(
    "a permission that agents since 1.12 name (%s), and nothing else is said of it",
    async ([kind, code], context) => {
      const setting = await scene(context);
      const { proxy, prefix } = setting;
      proxy.afflict("newer: permission", kind);
      const client = connect({ address: proxy.address, token: "some-token" }, context);
      const { error, took } = await refusal(client.semaphoreOpts(optionsOf(setting)).acquire());
      expect(error).toMatchObject({ code, retryable: false });
      expect(String(error)).toContain(`lacks permission 'key:list' on "jobs/"`);
      expect(String(error)).not.toMatch(/key:read|key:write|session:write/);
      expect(took).toBeLessThan(PROMPTLY_MS);
      expect(await sessionsNamed(prefix)).toEqual([]);
    },
  );
});

describe.concurrent("a rate limit", () => {
  const LIMITS = ["newer: rate limit of a server", "newer: rate limit of the leader"] as const;

  test.for(LIMITS)(
    "is no doubt of what became of a request, is sent few, and costs nobody anything: %s",
    async (limit, context) => {
      const setting = await scene(context);
      const { prefix, proxy, behind } = setting;
      const other = `${prefix}/other`;
      const holder = behind.semaphoreOpts(optionsOf(setting));
      const slot = await holder.acquire();
      const waiter = behind.semaphoreOpts(optionsOf(setting)).acquire();
      await oneWaits(setting);
      const session = await makeSession({ ttl: null }, context);
      const lasting = behind.semaphoreOpts({ prefix: `${prefix}/lasting`, limit: 1, session });
      const forGood = await lasting.acquire();
      await pause(WATCHED_AFTER_MS);
      const before = proxy.requests.length;

      proxy.afflict(limit);
      proxy.cut();
      const newcomer = behind.semaphoreOpts({ ...optionsOf(setting), prefix: other }).acquire();
      await pause(LIMITED_MS);
      const sent = proxy.requests.slice(before);
      proxy.heal();

      // Four watches of two holders, a waiter, a newcomer, and two sessions: about one a second each.
      expect(sent.length).toBeLessThan(10 * (LIMITED_MS / 1_000));
      expect(sent.filter(({ path }) => path.startsWith("/v1/session/list"))).toEqual([]);
      expect([slot.held, forGood.held]).toEqual([true, true]);
      await (await newcomer).release();
      await holder.release();
      await (await waiter).release();
      await lasting.release();
      await behind.close();
      expect(await sessionsNamed(prefix)).toEqual([]);
    },
  );
});

describe.concurrent("a list that leaves entries out for want of a right", () => {
  test("is refused by inspect, and by a newcomer", async (context) => {
    const setting = await scene(context);
    const { proxy, behind, direct, prefix } = setting;
    const holder = direct.semaphoreOpts(optionsOf(setting));
    await holder.acquire();
    proxy.afflict("filter", "prefix listing");
    const sem = behind.semaphoreOpts(optionsOf(setting));
    for (const call of [() => sem.inspect(), () => sem.acquire(), () => sem.destroy()]) {
      const { error, took } = await refusal(call());
      expect(error).toMatchObject({ code: "SEMAPHORE_READ_FAILED", retryable: false });
      expect(String(error)).toContain(`key_prefix "${prefix}/" with policy read or write`);
      expect(took).toBeLessThan(PROMPTLY_MS);
    }
    expect(proxy.seen("join at once")).toEqual([]);
    await holder.release();
    await expectNothingLeftOnceClosed(direct, prefix);
  });

  test("does not end a slot that is there", async (context) => {
    const setting = await scene(context);
    const { proxy, behind } = setting;
    const sem = behind.semaphoreOpts(optionsOf(setting));
    const slot = await sem.acquire();
    await watching(setting, "entry read");
    proxy.decide = (request) =>
      REQUESTS["entry read"](request) || REQUESTS["prefix listing"](request) ? "filter" : "pass";
    proxy.cut();
    const before = proxy.seen("entry read").length;
    await eventually(
      () => Promise.resolve(proxy.seen("entry read").length),
      (seen) => seen >= before + 3,
    );
    expect(slot.held).toBe(true);
    proxy.heal();
    await watching(setting, "entry read");
    expect(slot.held).toBe(true);
    await sem.release();
  });
});

test.concurrent("a check whose name says that it is invalid may pass", async (context) => {
  const setting = await scene(context);
  const { proxy, behind } = setting;
  proxy.afflict("critical check", "session create", 3);
  const slot = await behind.semaphoreOpts(optionsOf(setting)).acquire();
  expect(slot.held).toBe(true);
  expect(proxy.seen("session create")).toHaveLength(4);
  await slot.release();
});

test.concurrent(
  "a value is taken or refused alike whether a slot is free or not, and by what is handed over",
  async (context) => {
    const setting = await scene(context);
    const { proxy, behind, prefix } = setting;
    const MOST = 190_000;
    const refused = (): unknown =>
      behind.semaphoreOpts({ ...optionsOf(setting), value: "x".repeat(MOST + 1) });
    const options = { ...optionsOf(setting), value: "x".repeat(MOST) };
    expect(refused).toThrow(`invalid value: ${MOST + 1} bytes`);
    const [one, two] = [behind.semaphoreOpts(options), behind.semaphoreOpts(options)];
    await one.acquire();
    expect(refused).toThrow(`invalid value: ${MOST + 1} bytes`);
    const handedOver = two.acquire();
    await eventually(
      () => Promise.resolve(proxy.pending("lock read")),
      // The holder's, and the waiter's.
      (reads) => reads.length === 2,
    );
    await one.release();
    await handedOver;
    const there = setting.direct.semaphoreOpts(options).acquire();
    await oneWaits(setting);
    await two.release();
    await (await there).release();
    expect(proxy.seen("handover")).toHaveLength(1);
    await setting.direct.close();
    await expectNothingLeftOnceClosed(behind, prefix);
  },
);
