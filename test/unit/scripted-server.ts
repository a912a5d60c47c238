import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

/** A request as the server received it. */
export interface ReceivedRequest {
  readonly method: string;
  /** The path as it was on the wire, with the query. */
  readonly url: string;
  /** The path, decoded as Go's HTTP server decodes it. */
  readonly path: string;
  /** The query, decoded as Go's HTTP server decodes it: a bare `+` is a space. */
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
  /** Resolves when the exchange is over: answered, or given up by one side. */
  readonly over: Promise<unknown>;
}

/** What the server does with one request. */
export type ScriptedAnswer = (response: ServerResponse) => void;

/** An answer of this status and body. */
export function reply(
  body: string,
  { status = 200, headers = {} }: { status?: number; headers?: Record<string, string> } = {},
): ScriptedAnswer {
  return (response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(body);
  };
}

/** An answer to a read, with the index that belongs to one. */
export function replyToRead(body: string, index = "7"): ScriptedAnswer {
  return reply(body, { headers: { "x-consul-index": index } });
}

/** No answer at all; the connection stays open. */
export const keepSilent: ScriptedAnswer = () => undefined;

/** The connection ends with a reset instead of an answer. */
export const resetConnection: ScriptedAnswer = (response) => {
  response.socket?.resetAndDestroy();
};

/** The headers and half of the body come, and then the connection ends. */
export function cutMidBody(headers: Record<string, string> = {}): ScriptedAnswer {
  return (response) => {
    response.writeHead(200, {
      "content-type": "application/json",
      "content-length": 100,
      ...headers,
    });
    response.write('[{"Key":', () => response.socket?.destroy());
  };
}

/** The headers and half of the body come, and then nothing any more. */
export function stopMidBody(headers: Record<string, string> = {}): ScriptedAnswer {
  return (response) => {
    response.writeHead(200, {
      "content-type": "application/json",
      "content-length": 100,
      ...headers,
    });
    response.write('[{"Key":');
  };
}

/** An HTTP server of the test's own that answers as it is told and remembers what it was asked. */
export class ScriptedServer {
  /** All requests so far. */
  readonly requests: ReceivedRequest[] = [];
  /** The `address` of a client of this server. */
  readonly address: string;
  readonly #server: Server;
  readonly #queue: ScriptedAnswer[] = [];
  #always: ScriptedAnswer = keepSilent;
  #heard: (() => void)[] = [];
  #openConnections = 0;
  #mostConnections = 0;
  #allClosed: (() => void)[] = [];

  private constructor(server: Server, address: string) {
    this.#server = server;
    this.address = address;
    server.on("request", (request, response) => {
      void this.#receive(request, response);
    });
    server.on("connection", (socket) => {
      this.#openConnections += 1;
      this.#mostConnections = Math.max(this.#mostConnections, this.#openConnections);
      socket.on("close", () => {
        this.#openConnections -= 1;
        if (this.#openConnections === 0) for (const tell of this.#allClosed.splice(0)) tell();
      });
    });
  }

  /** A server on a free port of the loopback address, or on a unix socket. */
  static async listen(socketPath?: string): Promise<ScriptedServer> {
    const server = createServer();
    if (socketPath === undefined) server.listen(0, "127.0.0.1");
    else server.listen(socketPath);
    await once(server, "listening");
    const bound = server.address();
    if (bound === null) throw new Error("the server listens nowhere");
    return new ScriptedServer(
      server,
      typeof bound === "string" ? `unix://${bound}` : `http://127.0.0.1:${bound.port}`,
    );
  }

  /** Answers the next requests so, one each. */
  next(...answers: readonly ScriptedAnswer[]): void {
    this.#queue.push(...answers);
  }

  /** Answers all requests so for which nothing else was said. Before this it keeps silent. */
  always(answer: ScriptedAnswer): void {
    this.#always = answer;
  }

  /** The request that came last. */
  get last(): ReceivedRequest {
    const last = this.requests.at(-1);
    if (last === undefined) throw new Error("the server received no request");
    return last;
  }

  /** How many connections there were at once, at most. */
  get mostConnections(): number {
    return this.#mostConnections;
  }

  /** Resolves when the server has received so many requests in all. */
  async received(count: number): Promise<ReceivedRequest> {
    while (this.requests.length < count) {
      await new Promise<void>((resolve) => this.#heard.push(resolve));
    }
    return this.last;
  }

  /** Resolves when no client is connected any more. */
  async connectionsClosed(): Promise<void> {
    if (this.#openConnections === 0) return;
    await new Promise<void>((resolve) => this.#allClosed.push(resolve));
  }

  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const over = once(response, "close");
    const chunks: Uint8Array[] = [];
    request.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    await once(request, "end");
    const url = request.url ?? "";
    const [path = "", query = ""] = url.split("?", 2);
    this.requests.push({
      method: request.method ?? "",
      url,
      path: decodeURIComponent(path),
      query: new URLSearchParams(query),
      headers: request.headers,
      body: Buffer.concat(chunks),
      over,
    });
    const answer = this.#queue.shift() ?? this.#always;
    answer(response);
    for (const tell of this.#heard.splice(0)) tell();
  }
}
