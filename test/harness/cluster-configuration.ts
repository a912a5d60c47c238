import { fragments, isAtLeast, quiet } from "./agent-configuration.js";
import type { AgentPorts } from "./agent-configuration.js";

/** One of the agents of a cluster on this machine. What it is started with stays its own for good. */
export interface ClusterMember {
  readonly node: string;
  readonly role: "server" | "client";
  readonly ports: AgentPorts;
  /** Where a server keeps its raft log, so that it comes back as the one that it was. */
  readonly dataFolder: string;
}

/** What a cluster is, and each of its agents has to know. */
export interface ClusterPlan {
  readonly servers: readonly ClusterMember[];
  /**
   * How many times longer than at their best Raft's time limits are, from 1 to 10. Consul's own
   * setting is 5, with which an election takes 13 to 22 s as measured, and so often longer than the
   * default TTL. HashiCorp advises 1 for production, which makes that a few seconds.
   */
  readonly raftMultiplier: number;
}

/** Flags for an agent of a cluster all of whose members are on this machine. */
export function clusterFlags(
  version: string,
  member: ClusterMember,
  { servers, raftMultiplier }: ClusterPlan,
): string[] {
  const { http, server, serfLan } = member.ports;
  const listeners = [
    `http = ${http}`,
    `server = ${server}`,
    `serf_lan = ${serfLan}`,
    "serf_wan = -1",
    "dns = -1",
    "grpc = -1",
    ...(isAtLeast(version, 1, 14) ? ["grpc_tls = -1"] : []),
  ];
  return [
    ...["agent", "-log-level", "info", "-node", member.node, "-data-dir", member.dataFolder],
    ...["-bind", "127.0.0.1", "-client", "127.0.0.1"],
    ...(member.role === "server" ? ["-server", "-bootstrap-expect", String(servers.length)] : []),
    // All start at once, and most of the first tries to join find nobody listening yet.
    ...["-retry-interval", "1s"],
    ...servers
      .filter(({ node }) => node !== member.node)
      .flatMap(({ ports }) => ["-retry-join", `127.0.0.1:${ports.serfLan}`]),
    ...fragments([
      `ports { ${listeners.join("\n")} }`,
      `performance { raft_multiplier = ${raftMultiplier} }`,
      quiet,
    ]),
  ];
}
