// A slot that is released goes to the next in line in the same write, where that is one of the same
// client; and to nobody else.
import { beforeEach, describe, expect, test } from "vitest";

import type { ConsulClient, Semaphore, SemaphoreSlot } from "../../../src/index.js";
import { Scene } from "../client-of-fake.js";
import { FakeTime } from "../fake-time.js";
import { afterRequest, answering, answerLate, silent } from "../faults.js";
import { valueOf, Watched } from "../outcome.js";

const PREFIX = "jobs";
const FLAGS = 0xe0f69a2baa414de0n;

let time: FakeTime;
let scene: Scene;

beforeEach(() => {
  time = new FakeTime();
  scene = new Scene();
});

const semaphoreOf = (client: ConsulClient = scene.client, limit = 1): Semaphore =>
  client.semaphorePrefix(PREFIX, limit);

/** One that waits, and what it waits with. */
interface Waiting {
  readonly sem: Semaphore;
  readonly acquiring: Watched<SemaphoreSlot>;
  readonly stop: AbortController;
}

async function waiting(client: ConsulClient = scene.client, limit = 1): Promise<Waiting> {
  const stop = new AbortController();
  const sem = semaphoreOf(client, limit);
  const acquiring = new Watched(sem.acquire(stop.signal));
  await time.pass(10);
  return { sem, acquiring, stop };
}

const hasSlot = ({ acquiring: { outcome } }: Waiting): boolean =>
  outcome !== undefined && "value" in outcome;

/** A semaphore of ours that holds. */
async function holding(limit = 1): Promise<Semaphore> {
  const sem = semaphoreOf(scene.client, limit);
  await sem.acquire();
  return sem;
}

/** A successor is touched in the same write: the waiter right behind it is woken. */
test("a handover swaps the lock, touches the successor's entry, and takes away the other", async () => {
  const first = await holding();
  const second = await waiting();
  await time.pass(1_000);
  const [leaver, successor] = scene.contenders(PREFIX);
  scene.forget();
  await first.release();
  await time.settle();
  const [write] = scene.of("hand over");
  expect(write?.operations.map(({ Verb, Key }) => [Verb, Key])).toEqual([
    ["check-session", successor?.key],
    ["cas", `${PREFIX}/.lock`],
    ["unlock", successor?.key],
    ["lock", successor?.key],
    ["delete", leaver?.key],
  ]);
  const [entry] = scene.contenders(PREFIX);
  expect(entry).toMatchObject({ key: successor?.key, createIndex: successor?.createIndex });
  expect(entry?.lockIndex).toBe((successor?.lockIndex ?? 0n) + 1n);
  expect(valueOf(second.acquiring)).toMatchObject({
    session: successor?.session,
    fencingToken: entry?.modifyIndex,
  });
});

describe("a slot is passed on", () => {
  test("to the first of ours, again and again", async () => {
    const first = await holding();
    const others = [await waiting(), await waiting(), await waiting()];
    await time.pass(1_000);
    let last = first;
    for (const next of others) {
      await last.release();
      await time.settle();
      expect(hasSlot(next)).toBe(true);
      last = next.sem;
    }
    expect(scene.of("hand over")).toHaveLength(3);
  });

  test("to the next where the first turns out to be gone", async () => {
    const first = await holding();
    const [second, third] = [await waiting(), await waiting()];
    await time.pass(1_000);
    // So that all of them are known.
    await semaphoreOf().inspect();
    const gone = scene.contenders(PREFIX)[1]?.session ?? "";
    scene.consul.destroySession(gone);
    await first.release();
    await time.settle();
    expect([hasSlot(second), hasSlot(third)]).toEqual([false, true]);
    await third.sem.release();
    await time.pass(20_000);
    expect(hasSlot(second)).toBe(true);
  });

  test("not past others who let their turn go by: for them it is free first", async () => {
    const foreign = scene.newClient();
    const first = await holding();
    const stopped = await waiting(foreign);
    const [second, third] = [await waiting(), await waiting()];
    await time.pass(1_000);
    scene.always(({ client, step }) => client === foreign && step !== "renew", silent);
    await first.release();
    await time.pass(5_000);
    expect(hasSlot(second)).toBe(true);
    await time.pass(1_000);
    scene.forget();
    await second.sem.release();
    await time.settle();
    expect(scene.steps[0]).toBe("leave");
    await time.pass(5_000);
    expect([hasSlot(stopped), hasSlot(third)]).toEqual([false, true]);
  });

  test.each([
    { held: 200, step: "hand over" },
    { held: 300, step: "leave" },
  ])(
    "for a moment after the turn of another's waiter, which may have passed some: after $held ms ($step)",
    async ({ held, step }) => {
      const first = await holding();
      const ahead = await waiting();
      const others = [await waiting(scene.newClient()), await waiting(scene.newClient())];
      const [second, third] = [await waiting(), await waiting()];
      await first.release();
      for (const { sem } of [ahead, ...others]) {
        await time.pass(10);
        await sem.release();
      }
      await time.pass(held);
      expect(hasSlot(second)).toBe(true);
      scene.forget();
      await second.sem.release();
      await time.settle();
      expect(scene.steps.find((it) => it !== "read lock")).toBe(step);
      await time.pass(1_000);
      expect(hasSlot(third)).toBe(true);
    },
  );

  test("and given back where its successor gives up meanwhile", async () => {
    const first = await holding();
    const second = await waiting();
    await time.pass(1_000);
    scene.next("hand over", answerLate(50));
    const releasing = new Watched(first.release());
    await time.pass(10);
    second.stop.abort(new Error("enough"));
    await time.pass(2_000);
    expect(releasing.outcome).toMatchObject({ value: undefined });
    expect(second.acquiring.outcome).toMatchObject({ error: { message: "enough" } });
    expect(scene.lock(PREFIX)?.holders).toEqual([]);
    expect(scene.contenders(PREFIX)).toEqual([]);
  });

  test("and given back where its successor's session is over by then", async () => {
    const first = await holding();
    const second = await waiting();
    await time.pass(7_000);
    scene.next("hand over", answerLate(100));
    scene.always("renew", silent);
    const releasing = new Watched(first.release());
    await time.pass(99);
    // The event loop is blocked until the answer is read.
    time.block(15_000);
    await time.pass(1);
    expect(hasSlot(second)).toBe(false);
    scene.heal();
    await time.pass(20_000);
    expect(releasing.outcome).toBeDefined();
    // It has come back with another session.
    expect(hasSlot(second)).toBe(true);
    expect(scene.lock(PREFIX)?.holders).toEqual([valueOf(second.acquiring).session]);
  });
});

describe("a slot is not passed on", () => {
  test("to ours where others are before them", async () => {
    const first = await holding();
    const foreign = await waiting(scene.newClient());
    const ours = await waiting();
    await time.pass(1_000);
    await first.release();
    await time.settle();
    expect(scene.of("hand over")).toEqual([]);
    expect([hasSlot(foreign), hasSlot(ours)]).toEqual([true, false]);
  });

  test("to one of ours that came behind another, between whom others may have come", async () => {
    const first = await holding();
    const second = await waiting();
    const foreign = await waiting(scene.newClient());
    const third = await waiting();
    await time.pass(1_000);
    await first.release();
    await second.sem.release();
    await time.pass(1_000);
    expect([hasSlot(second), hasSlot(foreign), hasSlot(third)]).toEqual([true, true, false]);
  });

  test("where there are more holders than slots", async () => {
    const first = await holding();
    const second = await waiting();
    await time.pass(1_000);
    const [leaver] = scene.contenders(PREFIX);
    const intruder = await scene.client.session.create({ behavior: "delete" });
    const key = `${PREFIX}/${intruder}`;
    await scene.client.kv.acquire({ key, session: intruder, flags: FLAGS });
    const Holders = { [leaver?.session ?? ""]: true, [intruder]: true };
    const value = JSON.stringify({ Limit: 1, Holders });
    await scene.client.kv.put({ key: `${PREFIX}/.lock`, value, flags: FLAGS });
    await first.release();
    await time.pass(1_000);
    expect(hasSlot(second)).toBe(false);
    expect(scene.lock(PREFIX)?.holders).toEqual([intruder]);
    await scene.client.session.destroy(intruder);
    await time.pass(1_000);
    expect(hasSlot(second)).toBe(true);
  });

  test("to one that has just given up", async () => {
    const first = await holding();
    const [second, third] = [await waiting(), await waiting()];
    await time.pass(1_000);
    scene.always("delete entry", silent);
    second.stop.abort(new Error("enough"));
    await first.release();
    await time.pass(1_000);
    expect([hasSlot(second), hasSlot(third)]).toEqual([false, true]);
    scene.heal();
  });

  test("to one that is about to take it by itself", async () => {
    const first = await holding(2);
    const other = semaphoreOf(scene.newClient(), 2);
    await other.acquire();
    const third = await waiting(scene.client, 2);
    await time.pass(1_000);
    scene.next("join", answerLate(500));
    await other.release();
    await time.pass(10);
    expect(scene.of("join")).toHaveLength(1);
    const releasing = new Watched(first.release());
    await time.pass(2_000);
    expect(releasing.outcome).toMatchObject({ value: undefined });
    expect(scene.of("hand over")).toEqual([]);
    expect(hasSlot(third)).toBe(true);
    expect(scene.lock(PREFIX)?.holders).toHaveLength(1);
  });
});

describe("a write on the way out", () => {
  const isWayOut = ({ step }: { readonly step: string }): boolean =>
    step.startsWith("leave") || step === "hand over";

  test("is tried again, as often as somebody else comes between", async () => {
    const sem = semaphoreOf();
    const { session } = await sem.acquire();
    let writes = 0;
    scene.always(isWayOut, (request, receiver, consul) => {
      if ((writes += 1) > 4) return consul(request, receiver);
      const lock = JSON.stringify({ Limit: 1, Holders: { [session]: true }, writes });
      const path = `/v1/kv/${PREFIX}/.lock?flags=${FLAGS}`;
      return afterRequest("PUT", path, lock)(request, receiver, consul);
    });
    await sem.release();
    expect(writes).toBe(5);
    expect(scene.lock(PREFIX)?.holders).toEqual([]);
    expect(scene.contenders(PREFIX)).toEqual([]);
  });

  test("fails in Consul's words where it is refused again with nothing changed", async () => {
    const sem = semaphoreOf();
    await sem.acquire();
    const refusal = { Results: null, Errors: [{ OpIndex: 0, What: "the words of Consul" }] };
    scene.always(isWayOut, answering(409, JSON.stringify(refusal)));
    const releasing = new Watched(sem.release());
    await time.settle();
    expect(releasing.outcome).toMatchObject({
      error: {
        code: "SEMAPHORE_UPDATE_FAILED",
        message: 'failed to update lock: the words of Consul: "jobs"',
      },
    });
    // The slot goes with its session.
    expect(scene.left).toEqual([]);
  });
});

describe("a write on the way in", () => {
  const refusal = { Results: null, Errors: [{ OpIndex: 1, What: "the words of Consul" }] };

  test("fails in Consul's words where it is refused again and again with nothing changed", async () => {
    const isSwap = ({ step }: { readonly step: string }): boolean =>
      step === "join" || step === "enter and join";
    scene.always(isSwap, answering(409, JSON.stringify(refusal)));
    const acquiring = new Watched(semaphoreOf().acquire());
    await time.pass(1_000);
    expect(acquiring.outcome).toMatchObject({
      error: {
        code: "SEMAPHORE_UPDATE_FAILED",
        message: 'failed to update lock: the words of Consul: "jobs"',
      },
    });
    expect(scene.left).toEqual([]);
  });

  test("fails where Consul does not report its index, and what it may have got is given back", async () => {
    scene.always("enter and join", (request, receiver, consul) =>
      consul(request, {
        response: (response) => {
          receiver.response({ ...response, body: '{"Results":[],"Errors":null}' });
        },
        error: (error) => {
          receiver.error(error);
        },
      }),
    );
    const acquiring = new Watched(semaphoreOf().acquire());
    await time.pass(1_000);
    expect(acquiring.outcome).toMatchObject({ error: { code: "SEMAPHORE_UPDATE_FAILED" } });
    expect(scene.lock(PREFIX)?.holders).toEqual([]);
    expect(scene.left).toEqual([]);
  });

  test(
    "that others overtake all the time is tried after pauses that grow",
    { timeout: 30_000 },
    async () => {
      scene.always("enter and join", answering(409, JSON.stringify(refusal)));
      let writes = 0;
      scene.always("join", (request, receiver, consul) => {
        writes += 1;
        const lock = JSON.stringify({ Limit: 1, Holders: {}, writes });
        const path = `/v1/kv/${PREFIX}/.lock?flags=${FLAGS}`;
        const overtaken = afterRequest("PUT", path, lock);
        return answerLate(1)(request, receiver, (sent, to) => overtaken(sent, to, consul));
      });
      const { acquiring, stop } = await waiting();
      await time.pass(500);
      expect(acquiring.outcome).toBeUndefined();
      expect(writes).toBeGreaterThan(3);
      expect(writes).toBeLessThan(50);
      stop.abort(new Error("enough"));
      await time.pass(1_000);
      expect(scene.left).toEqual([]);
    },
  );
});
