// An agent that is killed under those who hold and wait, and comes back.
import { expect, onTestFinished, test } from "vitest";

import {
  ConsulClient,
  SemaphoreLostError,
  type Semaphore,
  type SemaphoreSlot,
} from "../../src/index.js";
import { abortWithin, eventually } from "./fixture.js";
import { OwnServer } from "./own-agent.js";

const PREFIX = "restart";
/** Long enough for any machine to start an agent in. */
const PATIENT = { prefix: PREFIX, limit: 1, sessionTTL: "120s" };
const BACK_WITHIN_MS = 60_000;

const waitersOf = async (semaphore: Semaphore): Promise<readonly string[]> =>
  (await semaphore.inspect()).waiters.map(({ session }) => session);

async function oneWaiter(semaphore: Semaphore): Promise<string> {
  const [session = ""] = await eventually(
    () => waitersOf(semaphore),
    (sessions) => sessions.length === 1,
  );
  return session;
}

/** At a server of their own, each of a client of its own. */
async function holderAndWaiter(): Promise<{
  readonly server: OwnServer;
  readonly holder: Semaphore;
  readonly slot: SemaphoreSlot;
  readonly waiter: Semaphore;
  readonly next: Promise<SemaphoreSlot>;
  /** That of the waiter. */
  readonly session: string;
}> {
  const server = await OwnServer.start(onTestFinished);
  const contender = (): Semaphore => {
    const client = new ConsulClient({ address: server.address });
    onTestFinished(() => client.close());
    return client.semaphoreOpts(PATIENT);
  };
  const [holder, waiter] = [contender(), contender()];
  const slot = await holder.acquire();
  const next = waiter.acquire();
  return { server, holder, slot, waiter, next, session: await oneWaiter(holder) };
}

test("one that comes back with its data costs no slot and no place in the queue", async () => {
  const { server, holder, slot, waiter, next, session } = await holderAndWaiter();

  await server.kill();
  await server.comeBack();

  expect(await oneWaiter(holder)).toBe(session);
  expect(slot.held).toBe(true);
  await holder.release();
  const got = await next;
  expect(got.session).toBe(session);
  expect(got.fencingToken).toBeGreaterThan(slot.fencingToken);
  await waiter.release();
});

test("one that comes back with nothing takes the slot, and whoever waits begins anew", async () => {
  const { server, holder, slot, waiter, next, session } = await holderAndWaiter();

  await server.kill();
  await server.loseData();
  await server.comeBack();

  // Consul is there to ask: nobody has to wait for the TTL.
  const reason = await abortWithin(slot.signal, BACK_WITHIN_MS);
  if (!(reason instanceof SemaphoreLostError)) throw reason;
  // Whether the lock or the session is missed first is a matter of who asks first.
  expect(reason.reason).toMatch(/^(?:holder-removed|session-invalidated)$/);
  const got = await next;
  expect(got.session).not.toBe(session);
  expect((await waiter.inspect()).holders).toMatchObject([{ session: got.session }]);
  await holder.release();
  expect(got.held).toBe(true);
  await waiter.release();
});
