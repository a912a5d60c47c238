import { rm, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { startAgentProcess, type AgentOptions } from "../harness/agent-process.js";
import { untilReady } from "../harness/agent-readiness.js";
import { ClusterAgent } from "../harness/cluster-agent.js";
import type { ClusterMember } from "../harness/cluster-configuration.js";
import { freePorts } from "../harness/free-ports.js";
import { locateBinary } from "../harness/locate-consul.js";
import type { StartedAgent } from "../harness/started-agent.js";

const SERVES_WITHIN_MS = 60_000;

/** Has something done at the end of a test, or of all of them. */
export type AtEnd = (end: () => Promise<void>) => void;

/** An agent of the test's own, ended with it. */
export async function startOwnAgent(
  hcl: string,
  atEnd: AtEnd,
  options: AgentOptions = {},
): Promise<StartedAgent> {
  const { found } = await locateBinary();
  const agent = await startAgentProcess(found, hcl, options);
  atEnd(() => agent.stop());
  return agent;
}

/** A folder of the test's own, deleted with it. */
export async function freshFolder(atEnd: AtEnd): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), "consul-semaphore-"));
  atEnd(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A server of the test's own with its data on disk, so that it can be killed and come back. */
export class OwnServer {
  readonly #agent: ClusterAgent;
  readonly #dataFolder: string;

  private constructor(agent: ClusterAgent, dataFolder: string) {
    this.#agent = agent;
    this.#dataFolder = dataFolder;
  }

  static async start(atEnd: AtEnd): Promise<OwnServer> {
    const { found } = await locateBinary();
    const dataFolder = path.join(await freshFolder(atEnd), "data");
    const [http = 0, server = 0, serfLan = 0] = await freePorts(3);
    const ports = { http, server, serfLan };
    const member: ClusterMember = { node: "own-server", role: "server", ports, dataFolder };
    const agent = new ClusterAgent(found, member, { servers: [member], raftMultiplier: 1 });
    atEnd(() => agent.kill());
    const own = new OwnServer(agent, dataFolder);
    await own.comeBack();
    return own;
  }

  get address(): string {
    return this.#agent.address;
  }

  /** As of a machine that loses power. */
  async kill(): Promise<void> {
    await this.#agent.kill();
  }

  /** After a kill: as one that has never been there. */
  async loseData(): Promise<void> {
    await rm(this.#dataFolder, { recursive: true });
  }

  /** Starts again, and serves. */
  async comeBack(): Promise<void> {
    await this.#agent.start();
    await untilReady(this.address, AbortSignal.timeout(SERVES_WITHIN_MS));
  }
}
