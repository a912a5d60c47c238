// Sessions on a node of the catalog that no agent runs on, and sessions on an agent's own node, while
// that agent leaves the cluster, as with each restart on Kubernetes.
import { expect, onTestFinished, test } from "vitest";

import { ConsulClient, type Semaphore, type SemaphoreSlot } from "../../src/index.js";
import { startCluster } from "../harness/start-cluster.js";
import type { ClusterAgent } from "../harness/cluster-agent.js";
import { abortWithin } from "../integration/fixture.js";
import { Relay } from "../integration/relay.js";

const NODE = "semaphores";
/** So long that nothing here ends by it. */
const SESSION_TTL = "2m";
const TOLD_WITHIN_MS = 30_000;
const TEST_MS = 180_000;

const portOf = ({ address }: ClusterAgent): number => Number(new URL(address).port);

interface Held {
  readonly semaphore: Semaphore;
  readonly slot: SemaphoreSlot;
}

async function hold(client: ConsulClient, prefix: string, sessionNode?: string): Promise<Held> {
  const semaphore = client.semaphoreOpts({
    ...{ prefix, limit: 1, sessionTTL: SESSION_TTL },
    ...(sessionNode !== undefined && { sessionNode }),
  });
  return { semaphore, slot: await semaphore.acquire() };
}

/**
 * Has sessions made at an agent, one on its own node and one on ours, and the agent leave in order.
 * What leads to it leads on to `next`.
 */
async function outlivesLeave(
  agent: ClusterAgent,
  next: () => Promise<ClusterAgent>,
): Promise<void> {
  const relay = await Relay.to(portOf(agent), onTestFinished);
  const client = new ConsulClient({ address: `http://127.0.0.1:${relay.port}` });
  onTestFinished(() => client.close());
  const onAgents = await hold(client, `${agent.node}/agents`);
  const onOurs = await hold(client, `${agent.node}/ours`, NODE);
  expect(await nodeOf(client, onAgents)).toBe(agent.node);
  expect(await nodeOf(client, onOurs)).toBe(NODE);

  await agent.leave();
  relay.target = portOf(await next());

  const lost = await abortWithin(onAgents.slot.signal, TOLD_WITHIN_MS);
  expect(lost).toMatchObject({ reason: "session-invalidated" });
  expect(await nodeOf(client, onOurs)).toBe(NODE);
  expect(await client.session.renew(onOurs.slot.session)).not.toBeNull();
  expect(onOurs.slot.held).toBe(true);
  await onOurs.semaphore.release();
  const { fencingToken } = await onOurs.semaphore.acquire();
  expect(fencingToken).toBeGreaterThan(onOurs.slot.fencingToken);
}

async function nodeOf(client: ConsulClient, { slot }: Held): Promise<string | undefined> {
  return (await client.session.info(slot.session)).value?.node;
}

test(
  "of a node of the user's they outlive an agent and a leader",
  { timeout: TEST_MS },
  async () => {
    const cluster = await startCluster({ raftMultiplier: 1 });
    onTestFinished(() => cluster.stop());
    const { client } = cluster;
    const body = JSON.stringify({ Node: NODE, Address: "127.0.0.1" });
    await fetch(`${client.address}/v1/catalog/register`, { method: "PUT", body });

    await outlivesLeave(client, async () => {
      await client.start();
      await cluster.untilServing();
      return client;
    });
    // With the leader goes who keeps the time of all sessions.
    await outlivesLeave(await cluster.untilServing(), () => cluster.untilServing());
  },
);
