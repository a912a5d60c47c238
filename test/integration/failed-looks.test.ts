// What a holder makes of looks at its slot that fail, or are refused.
import { expect, test } from "vitest";

import {
  SEMAPHORE_FLAG_VALUE,
  type Semaphore,
  type SemaphoreOptions,
  type SemaphoreSlot,
} from "../../src/index.js";
import { abortWithin, connect, consul, eventually, freshPrefix, makeSession } from "./fixture.js";
import { Proxy, REQUESTS, type Ending } from "./proxy.js";

/** By what a holder hears of a loss; who has several slots looks at their entries at one go. */
const LOOKS = [
  { kind: "lock read", holders: 1 },
  { kind: "entry read", holders: 1 },
  { kind: "holders check", holders: 2 },
] as const;

interface Holders {
  readonly proxy: Proxy;
  readonly slots: readonly SemaphoreSlot[];
  /** Ends the blocking queries that are under way. */
  readonly stir: () => Promise<void>;
  readonly release: () => Promise<void>;
}

/** So many slots of one client behind a proxy, each of them watched. */
async function holdersBehindProxy(
  ending: Ending,
  count: number,
  options: (session: string) => Partial<SemaphoreOptions>,
): Promise<Holders> {
  const proxy = await Proxy.start(ending);
  const prefix = freshPrefix(ending);
  const client = connect({ address: proxy.address }, ending);
  const limit = count + 1;
  const semaphores: Semaphore[] = [];
  const slots: SemaphoreSlot[] = [];
  while (slots.length < count) {
    const session = await makeSession({ ttl: null }, ending);
    const sem = client.semaphoreOpts({ prefix, limit, ...options(session) });
    semaphores.push(sem);
    slots.push(await sem.acquire());
  }
  const isWatched = (): boolean =>
    count === 1
      ? proxy.underWay("blocking query") === 2
      : proxy
          .seen("holders check")
          .some(({ body }) => slots.every((it) => body.includes(it.session)));
  await eventually(isWatched, Boolean);
  const another = connect({}, ending).semaphorePrefix(prefix, limit);
  let changes = 0;
  const stir = async (): Promise<void> => {
    await (another.isHeld ? another.release() : another.acquire());
    changes += 1;
    for (const { session } of slots) {
      const entry = `${prefix}/${session}?acquire=${session}&flags=${SEMAPHORE_FLAG_VALUE}`;
      await consul("PUT", `/v1/kv/${entry}`, `${changes}`);
    }
  };
  const release = async (): Promise<void> => {
    proxy.heal();
    await Promise.all(semaphores.map((sem) => sem.release()));
  };
  return { proxy, slots, stir, release };
}

// Without a TTL there is nothing but `monitorRetries` to be patient by.
test.concurrent.for(LOOKS)(
  "rides out failed looks as often as monitorRetries says, and no oftener ($kind, holders: $holders)",
  async ({ kind, holders }, context) => {
    const { proxy, slots, stir, release } = await holdersBehindProxy(
      context,
      holders,
      (session) => ({
        session,
        monitorRetries: 3,
        monitorRetryTime: "50ms",
      }),
    );
    let failures = 0;
    const looks = (): number => proxy.seen(kind).length;
    const failNextLooks = async (count: number): Promise<void> => {
      failures = count;
      await stir();
    };
    proxy.decide = (request) => {
      if (!REQUESTS[kind](request) || failures === 0) return "pass";
      failures -= 1;
      return "fail";
    };
    await failNextLooks(3);
    await eventually(
      () => failures,
      (count) => count === 0,
    );
    const looksSoFar = looks();
    await eventually(looks, (count) => count > looksSoFar);
    expect(slots.map(({ held }) => held)).not.toContain(false);

    await failNextLooks(10);
    for (const { signal } of slots) {
      expect(await abortWithin(signal, 10_000)).toMatchObject({
        reason: "monitor-failed",
        cause: { code: "SEMAPHORE_READ_FAILED", cause: { status: 500 } },
      });
    }
    expect(failures).toBe(10 - 4);
    await release();
  },
);

test.concurrent.for(LOOKS)(
  "without monitorRetries loses its slot at the first failed look, as the original ($kind, holders: $holders)",
  async ({ kind, holders }, context) => {
    const { proxy, slots, stir, release } = await holdersBehindProxy(
      context,
      holders,
      (session) => ({
        session,
      }),
    );
    let failed = 0;
    proxy.decide = (request) => {
      if (!REQUESTS[kind](request)) return "pass";
      failed += 1;
      return "fail";
    };
    await stir();
    for (const { signal } of slots) {
      expect(await abortWithin(signal, 10_000)).toMatchObject({ reason: "monitor-failed" });
    }
    expect(failed).toBe(1);
    await release();
  },
);

test.concurrent.for(LOOKS)(
  "readings that are refused for a while cost no slot whose session lives ($kind, holders: $holders)",
  async ({ kind, holders }, context) => {
    const { proxy, slots, stir, release } = await holdersBehindProxy(context, holders, () => ({}));
    let refused = 0;
    proxy.decide = (request) => {
      if (!REQUESTS[kind](request)) return "pass";
      refused += 1;
      return "refuse";
    };
    await stir();
    await eventually(
      () => refused,
      (count) => count > 3,
    );
    proxy.decide = () => "pass";
    const looksSoFar = proxy.seen(kind).length;
    await eventually(
      () => proxy.seen(kind).length,
      (count) => count > looksSoFar,
    );
    expect(slots.map(({ held }) => held)).not.toContain(false);
    await release();
  },
);
