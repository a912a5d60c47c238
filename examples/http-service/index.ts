// An HTTP service in front of a backend that can take only two requests at a time, counted over all
// instances of the service. A request that gets no slot in time is answered with 503. On SIGTERM the
// service finishes the requests that have a slot and answers the waiting ones with 503.
//
//   BACKEND=http://127.0.0.1:9000 PORT=8080 npx tsx examples/http-service/index.ts

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

import { ConsulClient, SemaphoreError } from "consul-semaphore";

const PREFIX = process.env["EXAMPLE_PREFIX"] ?? "examples/http-service";
const BACKEND = process.env["BACKEND"] ?? "http://127.0.0.1:9000";
const WAIT = process.env["WAIT"] ?? "10s";
const DRAIN = process.env["DRAIN"] ?? "20s";

// One of each for the whole service: `run` may be called for any number of requests at once.
const consul = new ConsulClient();
const backendSlots = consul.semaphoreOpts({ prefix: PREFIX, limit: 2, sessionName: PREFIX });

const server = createServer((request, response) => {
  void answer(request, response);
});
server.listen(Number(process.env["PORT"] ?? 8080), () => {
  const address = server.address();
  console.log(`listening on ${typeof address === "object" ? address?.port : address}`);
});

process.once("SIGTERM", () => void stop());

/** Once the server, the client and all connections are closed, the process ends by itself. */
async function stop(): Promise<void> {
  console.log("stopping");
  server.close();
  await consul.close({ drain: DRAIN });
  // The last responses have a second to arrive. Browsers also open connections that they don't use.
  setTimeout(() => {
    server.closeAllConnections();
  }, 1_000).unref();
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  console.log(`${request.method} ${request.url}`);
  const disconnected = new AbortController();
  response.once("close", () => {
    disconnected.abort();
  });
  try {
    const body = await backendSlots.run(
      ({ signal }) => askBackend(request.url, AbortSignal.any([signal, disconnected.signal])),
      { signal: disconnected.signal, timeout: WAIT },
    );
    send(response, 200, body);
  } catch (error) {
    if (disconnected.signal.aborted) return;
    console.error(`${request.url}: ${String(error)}`);
    // No slot in time, shutting down, the slot was lost, or Consul cannot be used. The backend is only read:
    // a retry is safe.
    if (error instanceof SemaphoreError) send(response, 503, "busy\n", { "retry-after": "5" });
    else send(response, 502, "the backend failed\n");
  }
}

function send(response: ServerResponse, status: number, body: string, headers = {}): void {
  // While stopping, no connection is kept for another request.
  if (!server.listening) response.setHeader("connection", "close");
  response.writeHead(status, headers).end(body);
}

async function askBackend(path = "/", signal: AbortSignal): Promise<string> {
  const response = await fetch(BACKEND + path, { signal });
  // Read inside the slot: the backend is busy until its end.
  const body = await response.text();
  if (!response.ok) throw new Error(`status ${response.status}: ${body}`);
  return body;
}
