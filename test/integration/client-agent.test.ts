// A holder that talks to the agent of its machine, as in production, and what befalls that agent.
import path from "node:path";

import { describe, expect, test } from "vitest";

import { ConsulClient, type Semaphore, type SemaphoreOptions } from "../../src/index.js";
import { untilReady } from "../harness/agent-readiness.js";
import { ClusterAgent } from "../harness/cluster-agent.js";
import type { ClusterMember } from "../harness/cluster-configuration.js";
import { freePorts } from "../harness/free-ports.js";
import { locateBinary } from "../harness/locate-consul.js";
import { freshFolder, type AtEnd } from "./own-agent.js";

/** So long that whatever happens before its end has another reason. */
const LONG_TTL = "5m";
const PATIENCE_MS = 120_000;
const TEST_MS = 240_000;

interface Scene {
  /** The agent of the holder's machine. */
  readonly agent: ClusterAgent;
  readonly holder: Semaphore;
  /** On another machine. */
  readonly waiter: Semaphore;
}

/** A server, and a client agent on what counts as another machine. */
async function scene(
  options: Pick<SemaphoreOptions, "sessionTTL" | "sessionChecks">,
  atEnd: AtEnd,
): Promise<Scene> {
  const { found } = await locateBinary();
  const folder = await freshFolder(atEnd);
  const ports = await freePorts(6);
  const [server, client] = (["server", "client"] as const).map((role, index): ClusterMember => {
    const [http = 0, server = 0, serfLan = 0] = ports.slice(3 * index);
    return {
      node: role,
      role,
      ports: { http, server, serfLan },
      dataFolder: path.join(folder, role),
    };
  });
  if (server === undefined || client === undefined) throw new Error("there are two of them");
  const plan = { servers: [server], raftMultiplier: 1 };
  const [elsewhere, agent] = await Promise.all(
    [server, client].map(async (member) => {
      const started = new ClusterAgent(found, member, plan);
      atEnd(() => started.kill());
      await started.start();
      await untilReady(started.address, AbortSignal.timeout(PATIENCE_MS));
      return started;
    }),
  );
  if (elsewhere === undefined || agent === undefined) throw new Error("there are two of them");

  const semaphoreAt = (address: string): Semaphore => {
    const consul = new ConsulClient({ address });
    atEnd(() => consul.close());
    return consul.semaphoreOpts({ ...options, prefix: "jobs", limit: 1 });
  };
  return { agent, holder: semaphoreAt(agent.address), waiter: semaphoreAt(elsewhere.address) };
}

describe.concurrent("a machine that is cut off", { timeout: TEST_MS }, () => {
  test("without health checks has told its holder before another can have the slot", async ({
    onTestFinished,
  }) => {
    const { agent, holder, waiter } = await scene(
      { sessionTTL: "10s", sessionChecks: [] },
      onTestFinished,
    );
    const slot = await holder.acquire();
    agent.suspend();
    const next = await waiter.acquire(AbortSignal.timeout(PATIENCE_MS));
    expect(slot.held).toBe(false);
    expect(slot.signal.reason).toMatchObject({ reason: "session-expired" });
    expect(next.fencingToken).toBeGreaterThan(slot.fencingToken);
    agent.resume();
  });

  test("with Consul's own loses its slot when it is taken for dead, whatever the TTL", async ({
    onTestFinished,
  }) => {
    const { agent, holder, waiter } = await scene({ sessionTTL: LONG_TTL }, onTestFinished);
    const slot = await holder.acquire();
    agent.suspend();
    const next = await waiter.acquire(AbortSignal.timeout(PATIENCE_MS));
    expect(next.fencingToken).toBeGreaterThan(slot.fencingToken);
    agent.resume();
  });
});

describe.concurrent("an agent", { timeout: TEST_MS }, () => {
  test("that is killed and comes back costs no slot, without health checks", async ({
    onTestFinished,
  }) => {
    const { agent, holder, waiter } = await scene(
      { sessionTTL: LONG_TTL, sessionChecks: [] },
      onTestFinished,
    );
    const slot = await holder.acquire();
    await agent.kill();
    await agent.start();
    await untilReady(agent.address, AbortSignal.timeout(PATIENCE_MS));
    const { holders } = await waiter.inspect();
    expect(holders.map(({ session }) => session)).toEqual([slot.session]);
    expect(slot.held).toBe(true);
    await holder.release();
    expect((await waiter.acquire()).fencingToken).toBeGreaterThan(slot.fencingToken);
  });

  test("that leaves in order takes the slot with it, also without health checks", async ({
    onTestFinished,
  }) => {
    const { agent, holder, waiter } = await scene(
      { sessionTTL: LONG_TTL, sessionChecks: [] },
      onTestFinished,
    );
    const slot = await holder.acquire();
    await fetch(`${agent.address}/v1/agent/leave`, { method: "PUT" });
    const next = await waiter.acquire(AbortSignal.timeout(PATIENCE_MS));
    expect(next.fencingToken).toBeGreaterThan(slot.fencingToken);
  });
});
