// A crowd in several clients, with a network that loses some of what it carries: nobody is one too
// many, everybody is served, and nothing is left.
import { describe, expect, test } from "vitest";

import type { SemaphoreSlot } from "../../../src/index.js";
import { Scene } from "../client-of-fake.js";
import {
  answerLost,
  answerSwallowed,
  delayed,
  leaderless,
  page,
  requestLate,
  silent,
  unsent,
  type Fault,
} from "../faults.js";
import { FakeTime } from "../fake-time.js";
import { Watched } from "../outcome.js";

const PREFIX = "jobs";
const CALLS = 40;

const FAULTS: readonly Fault[] = [
  ...[answerLost, answerSwallowed, unsent, silent],
  ...[leaderless, page(502), requestLate(200)],
];

/** Whole numbers below a bound, the same for each seed. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed * 7_919;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** What is to be seen of those who work in slots. */
class Workers {
  readonly #inside = new Set<SemaphoreSlot>();
  readonly tokens: bigint[] = [];
  most = 0;

  async work(slot: SemaphoreSlot, ms: number): Promise<void> {
    this.tokens.push(slot.fencingToken);
    this.#inside.add(slot);
    this.most = Math.max(this.most, [...this.#inside].filter(({ held }) => held).length);
    await new Promise((resolve) => setTimeout(resolve, ms));
    this.#inside.delete(slot);
  }
}

describe.each([
  ["all goes well", 0],
  ["one request in a hundred goes wrong", 10],
  ["one request in ten goes wrong", 100],
])("where %s", (_, faultsPerMille) => {
  test.each([1, 2, 3, 4, 5, 6])("crowd %d", { timeout: 60_000 }, async (seed) => {
    const time = new FakeTime();
    const scene = new Scene();
    const random = randomNumbers(seed);
    const limit = 1 + (seed % 3);
    const clients = [scene.client, scene.newClient(), scene.newClient()].slice(0, 1 + (seed % 3));
    const workers = new Workers();
    scene.always(
      () => true,
      (...given) => {
        // Of a session whose answer is lost nobody learns for a while: that is another test.
        const [{ path }] = given;
        const isSpared = path.startsWith("/v1/session/create") || random(1_000) >= faultsPerMille;
        const fault = isSpared ? undefined : FAULTS[random(FAULTS.length)];
        return delayed(1 + random(20), 1 + random(20), fault)(...given);
      },
    );
    const calls: Watched<void>[] = [];
    for (let i = 0; i < CALLS; i += 1) {
      const sem = (clients[random(clients.length)] ?? scene.client).semaphoreOpts({
        ...{ prefix: PREFIX, limit, semaphoreWaitTime: "2s" },
      });
      const work = random(random(10) === 0 ? 6_000 : 600);
      const stop = new AbortController();
      const tries = async (): Promise<void> => {
        await using slot = await sem.tryAcquire(stop.signal);
        if (slot !== null) await workers.work(slot, work);
      };
      const call =
        random(4) === 0 ? tries() : sem.run((slot) => workers.work(slot, work), stop.signal);
      if (random(6) === 0) {
        setTimeout(() => {
          stop.abort(new Error("enough"));
        }, random(3_000));
      }
      calls.push(new Watched(call));
      await time.pass(random(random(3) === 0 ? 20 : 400));
    }
    await time.pass(240_000);
    scene.heal();
    await time.pass(60_000);
    expect(calls.filter(({ outcome }) => outcome === undefined)).toEqual([]);
    expect(workers.most).toBeLessThanOrEqual(limit);
    expect(workers.tokens.length).toBeGreaterThan(CALLS / 3);
    expect(new Set(workers.tokens).size).toBe(workers.tokens.length);
    if (limit === 1) expect(workers.tokens).toEqual(workers.tokens.toSorted(byValue));
    expect(scene.lock(PREFIX)?.holders).toEqual([]);
    expect(scene.left).toEqual([]);
  });
});

const byValue = (a: bigint, b: bigint): number => (a < b ? -1 : 1);
