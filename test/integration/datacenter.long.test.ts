// A semaphore in another datacenter than that of the agent.
import { afterAll, beforeAll, expect, test } from "vitest";

import { ConsulClient } from "../../src/index.js";
import { freePorts } from "../harness/free-ports.js";
import { eventually } from "./fixture.js";
import { startOwnAgent, type AtEnd } from "./own-agent.js";

const SESSION = { ttl: "15s", behavior: "delete" } as const;

let address: string;
/** One of the other datacenter. */
let node: string;
const ends: (() => Promise<void>)[] = [];
const atEnd: AtEnd = (end) => {
  ends.push(end);
};

beforeAll(async () => {
  const [here = 0, there = 0] = await freePorts(2);
  const [agent, other] = await Promise.all([
    startOwnAgent(`datacenter = "here"\nports { serf_wan = ${here} }`, atEnd),
    startOwnAgent(
      `datacenter = "there"
       ports { serf_wan = ${there} }
       retry_join_wan = ["127.0.0.1:${here}"]
       retry_interval_wan = "1s"`,
      atEnd,
    ),
  ]);
  address = agent.address;
  await using local = new ConsulClient({ address: other.address });
  node = (await local.session.info(await local.session.create(SESSION))).value?.node ?? "";
  await using client = new ConsulClient({ address, datacenter: "there" });
  await eventually(
    () =>
      client.kv.get("anything").then(
        () => "reached",
        (error: unknown) => String(error),
      ),
    (outcome) => outcome === "reached",
  );
});

afterAll(async () => {
  for (const end of ends.toReversed()) await end();
});

test("works with a session that is there, and is none of this one's", async () => {
  await using client = new ConsulClient({ address, datacenter: "there" });
  await using others = new ConsulClient({ address, datacenter: "here" });
  const mine = await client.session.create({ ...SESSION, node });
  const yours = await client.session.create({ ...SESSION, node });
  const options = { prefix: "dc", limit: 1 };
  const one = client.semaphoreOpts({ ...options, session: mine });
  const other = client.semaphoreOpts({ ...options, session: yours });
  const slot = await one.acquire();
  const next = other.acquire();
  await eventually(
    () => one.inspect(),
    ({ waiters }) => waiters.length === 1,
  );
  await others.semaphoreOpts(options).run((here) => {
    expect(here.session).not.toBe(slot.session);
  });
  await one.release();
  expect((await next).fencingToken).toBeGreaterThan(slot.fencingToken);
  await client.session.destroy(yours);
  await client.session.destroy(mine);
});

test("without one, says what is missing", async () => {
  await using client = new ConsulClient({ address, datacenter: "there" });
  const sem = client.semaphoreOpts({ prefix: "dc", limit: 1, semaphoreWaitTime: "1s" });
  await expect(sem.tryAcquire()).rejects.toThrow(
    /Missing node registration.*another datacenter needs one of its nodes/,
  );
});

test("a datacenter that nobody knows is told in Consul's words", async () => {
  await using client = new ConsulClient({ address, datacenter: "nowhere" });
  const sem = client.semaphoreOpts({ prefix: "dc", limit: 1, semaphoreWaitTime: "1s" });
  await expect(sem.tryAcquire()).rejects.toThrow("No path to datacenter");
});
