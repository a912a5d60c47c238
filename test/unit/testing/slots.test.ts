// What becomes of slots, as a test of a service sees it.
import {
  SemaphoreClosedError,
  SemaphoreLostError,
  type Semaphore,
  type SemaphoreSlot,
} from "consul-semaphore";
import type { TestConsul } from "consul-semaphore/testing";
import { beforeEach, describe, expect, test } from "vitest";

import { observe, pass, startConsul } from "./test-time.js";

const PREFIX = "jobs/resize";
const TTL_MS = 15_000;

let consul: TestConsul;

beforeEach(() => {
  consul = startConsul();
});

/** A semaphore of a process of its own. */
const semaphore = (limit = 1): Semaphore => consul.client().semaphorePrefix(PREFIX, limit);

/** When a slot is lost, from now on in milliseconds, and why. */
async function lossOf(slot: SemaphoreSlot): Promise<{ after: number; reason: string }> {
  const start = performance.now();
  return new Promise((resolve) => {
    slot.signal.addEventListener("abort", () => {
      const reason: unknown = slot.signal.reason;
      if (!(reason instanceof SemaphoreLostError)) throw new Error("not lost", { cause: reason });
      resolve({ after: performance.now() - start, reason: reason.reason });
    });
  });
}

describe("a slot", () => {
  test("is there at once, for as long as it is wanted, and can be given back", async () => {
    const sem = semaphore();
    const slot = await sem.acquire();
    await pass(60 * 60_000);
    expect(slot.held).toBe(true);
    expect(consul.sessions).toMatchObject([{ id: slot.session, ttl: "15s" }]);
    expect(consul.entries.map(({ key }) => key)).toEqual([
      `${PREFIX}/.lock`,
      `${PREFIX}/${slot.session}`,
    ]);
    await sem.release();
    expect(consul.entries.map(({ key }) => key)).toEqual([`${PREFIX}/.lock`]);
  });

  test("goes to the next in line when it is released", async () => {
    const [first, second] = [semaphore(), semaphore()];
    await first.acquire();
    const acquiring = second.acquire();
    const state = observe(acquiring);
    await pass(10 * 60_000);
    expect(state.settled).toBe(false);
    await first.release();
    await pass(1_000);
    expect(state.settled).toBe(true);
    expect((await acquiring).held).toBe(true);
  });

  test("goes to those who wait in the order in which they came", async () => {
    const first = semaphore();
    await first.acquire();
    const order: number[] = [];
    const turns: Promise<void>[] = [];
    for (const place of [1, 2, 3]) {
      const turn = semaphore().run(() => {
        order.push(place);
        return Promise.resolve();
      });
      turns.push(turn);
      await pass(1_000);
    }
    await first.release();
    await pass(10_000);
    await Promise.all(turns);
    expect(order).toEqual([1, 2, 3]);
  });

  test("is not waited for by tryAcquire for longer than 15 s", async () => {
    await semaphore().acquire();
    const trying = semaphore().tryAcquire();
    const state = observe(trying);
    await pass(14_900);
    expect(state.settled).toBe(false);
    await pass(100);
    expect(state.settled).toBe(true);
    expect(await trying).toBeNull();
  });

  test("outlives an election that is shorter than its TTL", async () => {
    const slot = await semaphore().acquire();
    await pass(60_000);
    consul.loseLeader();
    await pass(10_000);
    consul.electLeader();
    await pass(60_000);
    expect(slot.held).toBe(true);
  });
});

describe("a slot is lost", () => {
  test.each([0, 1_000, 100_000])("with its session, after %d ms", async (held) => {
    const slot = await semaphore().acquire();
    await pass(held);
    const loss = lossOf(slot);
    consul.destroySession(slot.session);
    await pass(1_000);
    const { after, reason } = await loss;
    expect(reason).toBe("session-invalidated");
    expect(after).toBeLessThan(1_000);
  });

  test("with the lock entry", async () => {
    const slot = await semaphore().acquire();
    await pass(1_000);
    const loss = lossOf(slot);
    consul.deleteKey(`${PREFIX}/.lock`);
    await pass(1_000);
    expect(await loss).toMatchObject({ reason: "holder-removed" });
  });

  test("with the contender entry", async () => {
    const slot = await semaphore().acquire();
    await pass(1_000);
    const loss = lossOf(slot);
    consul.deleteKey(`${PREFIX}/${slot.session}`);
    await pass(1_000);
    expect(await loss).toMatchObject({ reason: "session-invalidated" });
  });

  test.each<[string, () => void]>([
    [
      "the network is silent",
      () => {
        consul.cut();
      },
    ],
    [
      "connections are refused",
      () => {
        consul.refuse();
      },
    ],
    [
      "there is no leader",
      () => {
        consul.loseLeader();
      },
    ],
  ])("within its TTL where %s", async (_what, trouble) => {
    const slot = await semaphore().acquire();
    await pass(100_000);
    const loss = lossOf(slot);
    trouble();
    await pass(TTL_MS);
    const { after, reason } = await loss;
    expect(reason).toBe("session-expired");
    // The last renewal was up to a quarter of a TTL ago.
    expect(after).toBeGreaterThanOrEqual((TTL_MS * 3) / 4);
    expect(after).toBeLessThanOrEqual(TTL_MS);
  });

  test("before anybody else has it", async () => {
    const client = consul.client();
    const slot = await client.semaphorePrefix(PREFIX, 1).acquire();
    const next = semaphore().acquire();
    const state = observe(next);
    await pass(60_000);
    consul.cut(client);
    await pass(TTL_MS);
    expect(slot.held).toBe(false);
    expect(state.settled).toBe(false);
    // Consul ends a session at twice its TTL, and its slot is taken within a second of that.
    await pass(TTL_MS + 1_000);
    expect((await next).held).toBe(true);
  });

  test("when the Consul is closed, as far as who holds it can tell", async () => {
    const slot = await semaphore().acquire();
    const waiting = semaphore().acquire();
    const refusal = expect(waiting).rejects.toBeInstanceOf(SemaphoreClosedError);
    await pass(1_000);
    await consul.close();
    expect(slot.signal.aborted).toBe(true);
    await refusal;
  });
});
