/** The permission that a request needs, as Consul's ACL rules name it. */
export function neededPermission(method: string, path: string): string | undefined {
  const access = method === "GET" ? "read" : "write";
  const [route = ""] = path.split("?");
  const [, key] = /^\/v1\/kv\/(.*)$/.exec(route) ?? [];
  if (key !== undefined) return keyPermission(access, decodeURIComponent(key));
  if (route.startsWith("/v1/session/")) {
    const node = method === "GET" ? "session's node" : "node of the session (default: the agent's)";
    return `session:${access} on the ${node}`;
  }
  return undefined;
}

/** The permission for one key. */
export function keyPermission(access: "read" | "write", key: string): string {
  return `key:${access} on ${JSON.stringify(key)}`;
}
