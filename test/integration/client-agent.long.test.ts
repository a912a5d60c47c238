// A holder that talks to the agent of its machine, as in production, and what befalls that agent.
import path from "node:path";

import { describe, expect, test } from "vitest";

import {
  ConsulClient,
  type Semaphore,
  type SemaphoreOptions,
  type SemaphoreSlot,
} from "../../src/index.js";
import { untilReady } from "../harness/agent-readiness.js";
import { ClusterAgent } from "../harness/cluster-agent.js";
import type { ClusterMember } from "../harness/cluster-configuration.js";
import { freePorts } from "../harness/free-ports.js";
import { locateBinary } from "../harness/locate-consul.js";
import { freshFolder, type AtEnd } from "./own-agent.js";

const PATIENCE_MS = 120_000;
const TEST_MS = 240_000;

/** So long that whatever happens before its end has another reason. */
const LONG = { sessionTTL: "5m" };

interface Scene {
  /** The agent of the holder's machine. */
  readonly agent: ClusterAgent;
  readonly holder: Semaphore;
  readonly slot: SemaphoreSlot;
  /** On another machine. */
  readonly waiter: Semaphore;
  /** Resolves once the waiter has got the slot. */
  readonly overtaken: () => Promise<void>;
}

/** A server, and a client agent on what counts as another machine, through which a slot is held. */
async function scene(options: Partial<SemaphoreOptions>, atEnd: AtEnd): Promise<Scene> {
  const { found } = await locateBinary();
  const folder = await freshFolder(atEnd);
  const ports = await freePorts(6);
  const memberOf = (role: ClusterMember["role"]): ClusterMember => {
    const [http = 0, server = 0, serfLan = 0] = ports.splice(0, 3);
    const dataFolder = path.join(folder, role);
    return { node: role, role, ports: { http, server, serfLan }, dataFolder };
  };
  const server = memberOf("server");
  const start = async (member: ClusterMember): Promise<ClusterAgent> => {
    const agent = new ClusterAgent(found, member, { servers: [server], raftMultiplier: 1 });
    atEnd(() => agent.kill());
    await agent.start();
    await untilReady(agent.address, AbortSignal.timeout(PATIENCE_MS));
    return agent;
  };
  const [elsewhere, agent] = await Promise.all([start(server), start(memberOf("client"))]);

  const semaphoreAt = ({ address }: ClusterAgent): Semaphore => {
    const consul = new ConsulClient({ address });
    atEnd(() => consul.close());
    return consul.semaphoreOpts({ ...options, prefix: "jobs", limit: 1 });
  };
  const [holder, waiter] = [semaphoreAt(agent), semaphoreAt(elsewhere)];
  const slot = await holder.acquire();
  const overtaken = async (): Promise<void> => {
    const next = await waiter.acquire(AbortSignal.timeout(PATIENCE_MS));
    expect(next.fencingToken).toBeGreaterThan(slot.fencingToken);
  };
  return { agent, holder, slot, waiter, overtaken };
}

describe.concurrent("a machine that is cut off", { timeout: TEST_MS }, () => {
  test("without health checks has told its holder before another can have the slot", async (context) => {
    const { agent, slot, overtaken } = await scene({ sessionTTL: "10s" }, context.onTestFinished);
    agent.suspend();
    await overtaken();
    expect(slot.held).toBe(false);
    expect(slot.signal.reason).toMatchObject({ reason: "session-expired" });
    agent.resume();
  });

  test("with Consul's own loses its slot when it is taken for dead, whatever the TTL", async (context) => {
    const options = { ...LONG, sessionChecks: ["serfHealth"] };
    const { agent, overtaken } = await scene(options, context.onTestFinished);
    agent.suspend();
    await overtaken();
    agent.resume();
  });
});

describe.concurrent("an agent", { timeout: TEST_MS }, () => {
  test("that is killed and comes back costs no slot, without health checks", async (context) => {
    const { agent, holder, slot, waiter, overtaken } = await scene(LONG, context.onTestFinished);
    await agent.kill();
    await agent.start();
    await untilReady(agent.address, AbortSignal.timeout(PATIENCE_MS));
    const { holders } = await waiter.inspect();
    expect(holders.map(({ session }) => session)).toEqual([slot.session]);
    expect(slot.held).toBe(true);
    await holder.release();
    await overtaken();
  });

  test("that leaves in order takes the slot with it, also without health checks", async (context) => {
    const { agent, overtaken } = await scene(LONG, context.onTestFinished);
    await fetch(`${agent.address}/v1/agent/leave`, { method: "PUT" });
    await overtaken();
  });
});
