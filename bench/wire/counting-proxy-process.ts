// Passes connections on to Consul and counts what goes by: counting-proxy-process HOST:PORT
//
// A process of its own, so that it takes no time from those that it listens to. To each message it
// answers with the total so far.
import { connect, createServer, type Socket } from "node:net";

import { requestKind } from "./request-kind.js";
import { RequestStream } from "./request-stream.js";
import type { ProxyMessage } from "./wire-total.js";

const [host = "", port = ""] = (process.argv[2] ?? "").split(":");

const requests = new Map<string, number>();
let bytesRead = 0;
let bytesWritten = 0;
let connections = 0;
let mostConnections = 0;

const server = createServer((client) => {
  const consul = connect(Number(port), host);
  client.setNoDelay();
  consul.setNoDelay();
  connections += 1;
  mostConnections = Math.max(mostConnections, connections);
  const stream = new RequestStream((method, target) => {
    const kind = requestKind(method, target);
    requests.set(kind, (requests.get(kind) ?? 0) + 1);
  });
  client.on("data", (chunk) => {
    bytesWritten += chunk.length;
    stream.push(chunk);
  });
  consul.on("data", (chunk) => {
    bytesRead += chunk.length;
  });
  client.pipe(consul);
  consul.pipe(client);
  client.once("close", () => {
    connections -= 1;
  });
  endTogether(client, consul);
  endTogether(consul, client);
});

function endTogether(one: Socket, other: Socket): void {
  // A reset is passed on by the end of the connection.
  one.on("error", () => undefined);
  one.once("close", () => other.destroy());
}

function tell(message: ProxyMessage): void {
  process.send?.(message);
}

process.on("message", () => {
  const total = {
    at: performance.timeOrigin + performance.now(),
    requests: Object.fromEntries(requests),
    bytesRead,
    bytesWritten,
    mostConnections,
  };
  tell({ total });
});

process.once("disconnect", () => process.exit());

server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("got no port to listen");
  tell({ port: address.port });
});
