// A queue of more than fifty, in which who enters asks only for the tail. Each waiter is in
// a process of its own, and has seen how long the queue is.
import { beforeEach, describe, expect, test } from "vitest";

import type { ConsulClient, Semaphore, SemaphoreSlot } from "../../../src/index.js";
import { Scene } from "../client-of-fake.js";
import { FakeTime } from "../fake-time.js";
import { answerLate, answerLost, silent, type Fault } from "../faults.js";
import { valueOf, Watched } from "../outcome.js";

const PREFIX = "jobs";
/** With them, more than fifty contend. */
const OTHERS = 51;

let time: FakeTime;
let scene: Scene;

beforeEach(() => {
  time = new FakeTime();
  scene = new Scene();
});

/** A process that acquires and releases, and a record of what it sends. */
class Process {
  readonly client: ConsulClient;
  readonly #semaphore: Semaphore;
  readonly #stop = new AbortController();
  #wait: Watched<SemaphoreSlot> | undefined;

  constructor(client = scene.newClient()) {
    this.client = client;
    this.#semaphore = client.semaphorePrefix(PREFIX, 1);
  }

  async acquire(timeout?: string): Promise<void> {
    const { signal } = this.#stop;
    this.#wait = new Watched(this.#semaphore.acquire({ signal, timeout }));
    await time.pass(1);
  }

  get outcome(): unknown {
    return this.#wait?.outcome;
  }

  get holds(): boolean {
    return this.#wait?.outcome !== undefined && valueOf(this.#wait).held;
  }

  async release(): Promise<void> {
    if (this.#wait !== undefined) await valueOf(this.#wait).release();
  }

  async giveUp(): Promise<void> {
    this.#stop.abort();
    await time.settle();
  }

  /** What it has asked of the prefix since the scene forgot. */
  get steps(): readonly string[] {
    return scene.sent
      .filter(({ client, step }) => client === this.client && step !== "renew")
      .map(({ step }) => step);
  }
}

const tails = (): readonly string[] =>
  scene.consul.entries.filter(({ key }) => key.includes("/.tail/")).map(({ key }) => key);

/** So many come after a holder, one after the other, each of whom has seen the queue. */
async function queue(newcomers: number) {
  const all = Array.from({ length: 1 + OTHERS + newcomers }, () => new Process());
  for (const each of all) await each.acquire();
  scene.forget();
  return { all, last: all.slice(-newcomers) };
}

/** Lets one after the other have its turn, and says in which order they had it. */
async function serve(all: readonly Process[]): Promise<readonly number[]> {
  const order: number[] = [];
  while (order.length < all.length) {
    const place = all.findIndex(({ holds }) => holds);
    order.push(place);
    await all[place]?.release();
    await time.pass(1);
  }
  return order;
}

describe("a long queue", { timeout: 30_000 }, () => {
  test("is served in the order of arrival, and read by nobody", async () => {
    const { all, last } = await queue(5);
    expect(await serve(all)).toEqual(all.map((_, place) => place));
    for (const { steps } of last) {
      expect(steps).not.toContain("read prefix");
    }
    const ofIts = last.at(-1)?.steps.filter((step) => !step.startsWith("watch"));
    expect(ofIts).toEqual(["join", "leave"]);
  });

  const secondCopyAnswers: Fault = (request, receiver, consul) => {
    consul(request, { response: () => undefined, error: () => undefined });
    const timer = setTimeout(() => consul(request, receiver), 20);
    return () => {
      clearTimeout(timer);
    };
  };

  test.each([
    ["the answer to its write is lost", answerLost],
    ["its write is carried out twice", secondCopyAnswers],
  ])("is served in that order where one comes as %s", async (_, fault) => {
    const { all } = await queue(1);
    scene.next("enter as tail", fault);
    const [first, second] = [new Process(), new Process()];
    await first.acquire();
    await second.acquire();
    await time.pass(1_000);
    const everybody = [...all, first, second];
    expect(await serve(everybody)).toEqual([...everybody.keys()]);
  });

  test("has one tail, which goes with its session", async () => {
    const { last } = await queue(3);
    expect(tails()).toHaveLength(1);
    const { client } = last[2] ?? {};
    await client?.close();
    expect(tails()).toEqual([]);
  });

  test("is entered behind a waiter of the same client without a look at who was last", async () => {
    const { all, last } = await queue(1);
    const second = new Process(last[0]?.client);
    await second.acquire();
    expect(second.steps.filter((step) => step.startsWith("enter"))).toEqual(["enter"]);
    const session = scene.contenders(PREFIX).at(-1)?.session ?? "";
    expect(tails()).toEqual([`${PREFIX}/.tail/${session}`]);
    expect(await serve([...all, second])).toEqual([...all.keys(), all.length]);
  });

  test("is no less known where the waiter that another came behind leaves meanwhile", async () => {
    const { last } = await queue(1);
    scene.next("enter", answerLate(100));
    scene.always("read prefix", silent);
    const second = new Process(last[0]?.client);
    await second.acquire("1s");
    await last[0]?.giveUp();
    await time.pass(2_000);
    expect(second.outcome).toMatchObject({ error: { held: 1, limit: 1 } });
  });

  test("has its tail wait behind whoever is ahead of one that gives up", async () => {
    const { all, last } = await queue(3);
    await last[1]?.giveUp();
    // What is ahead of that one it has to read.
    expect(last[2]?.steps.filter((step) => step.includes("read"))).toEqual(["read prefix"]);
    const others = all.filter((each) => each !== last[1]);
    expect(await serve(others)).toEqual(others.map((_, place) => place));
  });

  test("does so where the session of one ends", async () => {
    const { all, last } = await queue(3);
    const session = scene.contenders(PREFIX).at(-2)?.session ?? "";
    // Its process does not hear of that.
    scene.always(
      ({ client }) => client === last[1]?.client,
      () => () => undefined,
    );
    scene.consul.destroySession(session);
    await time.settle();
    expect(last[2]?.steps.filter((step) => step.includes("read"))).toEqual(["read prefix"]);
    const others = all.filter((each) => each !== last[1]);
    expect(await serve(others)).toEqual(others.map((_, place) => place));
  });

  test("passes one over that has stopped, within seconds", async () => {
    const { all, last } = await queue(3);
    scene.always(
      ({ client }) => client === last[1]?.client,
      () => () => undefined,
    );
    await serve(all.slice(0, -2));
    await time.pass(8_000);
    expect(last[2]?.holds).toBe(true);
  });

  test("keeps the order of those that have not seen how long it is", async () => {
    const short = new Process();
    await short.acquire();
    await short.release();
    const { all } = await queue(2);
    const newcomer = new Process();
    expect(tails()).toHaveLength(1);
    await newcomer.acquire();
    expect(tails()).toHaveLength(1);
    expect(await serve([...all, newcomer])).toEqual([...all, newcomer].map((_, place) => place));
  });
});
