import { once } from "node:events";
import { createServer } from "node:net";

/** Ports of the loopback address that nobody listened on a moment ago, each another. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  try {
    const ports: number[] = [];
    // All are held until the last is known, or the system might give one out twice.
    for (const server of servers) {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      const address = server.address();
      if (address === null || typeof address === "string") throw new Error("got no port to listen");
      ports.push(address.port);
    }
    return ports;
  } finally {
    for (const server of servers) server.close();
  }
}
