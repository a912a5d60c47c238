/** The ports on which an agent of ours listens. */
export interface AgentPorts {
  readonly http: number;
  readonly server: number;
  readonly serfLan: number;
}

// A test run has no business calling home.
export const quiet = "disable_update_check = true";

/** Flags for a dev agent in a container, which has all ports to itself. */
export function containerFlags(hcl: string): string[] {
  return ["agent", "-dev", "-client", "0.0.0.0", ...fragments([quiet, hcl])];
}

/** Flags for a dev agent beside which others can run on the same machine. */
export function processFlags(
  version: string,
  node: string,
  ports: AgentPorts,
  hcl: string,
): string[] {
  const listeners = [
    `http = ${ports.http}`,
    `server = ${ports.server}`,
    `serf_lan = ${ports.serfLan}`,
    "serf_wan = -1",
    "dns = -1",
    "grpc = -1",
    // Servers open this port by default since 1.14; before that, its name is refused.
    ...(isAtLeast(version, 1, 14) ? ["grpc_tls = -1"] : []),
  ];
  return [
    ...["agent", "-dev", "-log-level", "info", "-node", node],
    ...["-bind", "127.0.0.1", "-client", "127.0.0.1"],
    ...fragments([`ports { ${listeners.join("\n")} }`, quiet, hcl]),
  ];
}

export function fragments(hcl: readonly string[]): string[] {
  return hcl.filter((fragment) => fragment !== "").flatMap((fragment) => ["-hcl", fragment]);
}

export function isAtLeast(version: string, major: number, minor: number): boolean {
  const [ownMajor = 0, ownMinor = 0] = version.split(".").map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}
