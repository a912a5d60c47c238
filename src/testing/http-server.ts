import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

import type { Carrier, Receiver } from "./fake-consul/carrier.js";

const LOOPBACK = "127.0.0.1";

/** Twice what Consul takes, so that it is Consul that refuses what is only a little too large. */
const LARGEST_BODY = 1024 * 1024;

/** Serves a Consul over HTTP, to this machine alone. */
export class HttpServer {
  readonly #server;

  constructor(consul: Carrier) {
    // Consul closes no connection for being idle.
    this.#server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
      // It fails where the client has gone before its request was complete.
      serve(consul, request, response).catch(() => response.destroy());
    });
  }

  /** Resolves to the address, such as `http://127.0.0.1:8500`. Port 0 is one that is free. */
  async listen(port: number): Promise<string> {
    this.#server.listen(port, LOOPBACK);
    try {
      await once(this.#server, "listening");
    } catch (cause) {
      const problem = `TestConsul cannot listen at ${LOOPBACK}:${port}`;
      const advice = "choose another port, or none for one that is free";
      throw new Error(`${problem}: ${advice}`, { cause });
    }
    const address = this.#server.address();
    const ownPort = typeof address === "object" ? address?.port : undefined;
    return `http://${LOOPBACK}:${ownPort ?? port}`;
  }

  /** Frees the port and breaks all connections. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}

async function serve(
  consul: Carrier,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method = "", url: path = "" } = request;
  const body = await bodyOf(request);
  if (response.destroyed) return;
  if (body === undefined) {
    response.writeHead(413).end(`Request body exceeds ${LARGEST_BODY} bytes`);
    return;
  }
  const receiver: Receiver = {
    response: (answer) => {
      response.statusCode = answer.status;
      response.setHeaders(new Map(Object.entries(answer.headers))).end(answer.body);
    },
    error: () => response.destroy(),
  };
  response.once("close", consul({ method, path, body }, receiver));
}

/** The bytes, one character each; undefined if they are too many, which are not kept. */
async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  let size = 0;
  let body = "";
  request.setEncoding("latin1");
  for await (const chunk of request) {
    const text = String(chunk);
    size += text.length;
    if (size <= LARGEST_BODY) body += text;
  }
  return size > LARGEST_BODY ? undefined : body;
}
