import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { untilReady } from "./agent-readiness.js";
import { ClusterAgent } from "./cluster-agent.js";
import type { ClusterMember } from "./cluster-configuration.js";
import { freePorts } from "./free-ports.js";
import { locateBinary } from "./locate-consul.js";

const serverCount = 3;
const servesWithinMs = 60_000;

export interface StartClusterOptions {
  /** See {@link ClusterPlan}. Default: 5, as Consul's own. */
  readonly raftMultiplier?: number;
}

/**
 * Starts three servers and one client agent, each a process, and waits until they serve. It takes a
 * binary: to be killed, suspended and started again, a server has to be a process of ours.
 */
export async function startCluster({
  raftMultiplier = 5,
}: StartClusterOptions = {}): Promise<Cluster> {
  const { found: binary, source } = await locateBinary();
  const folder = await mkdtemp(join(tmpdir(), "consul-cluster-"));
  const members = await planMembers(folder);
  const servers = members.filter(({ role }) => role === "server");
  const agents = members.map(
    (member) => new ClusterAgent(binary, member, { servers, raftMultiplier }),
  );
  const cluster = new Cluster(agents, folder, source);
  try {
    await cluster.start();
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

async function planMembers(folder: string): Promise<ClusterMember[]> {
  const ports = await freePorts(3 * (serverCount + 1));
  return Array.from({ length: serverCount + 1 }, (_, index): ClusterMember => {
    const role = index < serverCount ? "server" : "client";
    const [http = 0, server = 0, serfLan = 0] = ports.slice(3 * index);
    const node = role === "server" ? `server-${index + 1}` : "client";
    return { node, role, ports: { http, server, serfLan }, dataFolder: join(folder, node) };
  });
}

/** Three servers with raft on disk, and the client agent through which programs talk to them. */
export class Cluster {
  readonly servers: readonly ClusterAgent[];
  /** The client agent, which turns to another server when one is gone. */
  readonly client: ClusterAgent;
  readonly #agents: readonly ClusterAgent[];
  readonly #folder: string;

  constructor(
    agents: readonly ClusterAgent[],
    folder: string,
    /** A sentence for people: which Consul it is, and where it comes from. */
    readonly source: string,
  ) {
    this.#agents = agents;
    this.#folder = folder;
    this.servers = agents.filter(({ role }) => role === "server");
    const client = agents.find(({ role }) => role === "client");
    if (client === undefined) throw new Error("a cluster needs a client agent");
    this.client = client;
  }

  /** Of the client agent. */
  get address(): string {
    return this.client.address;
  }

  async start(): Promise<void> {
    await Promise.all(this.#agents.map((agent) => agent.start()));
    await this.untilServing();
  }

  /**
   * The server that leads. A server alone can be wrong about it, such as a leader that was suspended
   * and has not heard of the next one: it takes a majority that names one that runs.
   */
  async leader(): Promise<ClusterAgent | undefined> {
    const running = this.servers.filter((server) => server.running);
    const named = await Promise.all(running.map((server) => server.leader()));
    return running.find(
      ({ rpcAddress }) => named.filter((name) => name === rpcAddress).length > serverCount / 2,
    );
  }

  /** Waits until there is a leader and it serves writes through the client agent. */
  async untilServing(): Promise<ClusterAgent> {
    const bound = AbortSignal.timeout(servesWithinMs);
    for (;;) {
      const leader = await this.leader();
      if (leader !== undefined) {
        await untilReady(this.address, bound);
        return leader;
      }
      if (bound.aborted) throw new Error(`no leader within ${servesWithinMs / 1000} s`);
      await pause(50);
    }
  }

  /** Ends all of it. Its data goes too, so that nobody need leave in order. */
  async stop(): Promise<void> {
    await Promise.all(this.#agents.map((agent) => agent.kill()));
    await rm(this.#folder, { recursive: true, force: true });
  }
}
