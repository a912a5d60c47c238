import { once } from "node:events";
import http from "node:http";
import type { Socket } from "node:net";
import { buffer } from "node:stream/consumers";

import { inject, onTestFinished, type TestContext } from "vitest";

import { ANSWERS } from "./false-answers.js";

/**
 * What becomes of a request:
 *
 * - `"pass"`: Consul gets and answers it.
 * - `"fail"`: it is answered with 500 and does not reach Consul.
 * - `"refuse"`: it is answered with 403 and does not reach Consul.
 * - `"throttle"`: it is answered with 429 and does not reach Consul.
 * - `"page …"`: it is answered with a page of that status and does not reach Consul.
 * - `"newer: …"`: it is answered in the words of a newer agent and does not reach Consul.
 * - `"filter"`: it is answered as by a newer agent that leaves all entries out for want of a right.
 * - `"reset"`: its connection is reset and it does not reach Consul.
 * - `"hang"`: nothing ever happens.
 * - `"lose the answer"`: Consul gets it, but its answer does not arrive; the connection is reset.
 * - `"repeat"`: Consul gets it twice, and it is the second answer that arrives.
 */
export type Fate =
  "pass" | "reset" | "hang" | "lose the answer" | "repeat" | "filter" | keyof typeof ANSWERS;

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  /** When all of it had arrived, on the clock of `performance.now()`. */
  readonly at: number;
}

function isTransactionWith({ path, body }: SeenRequest, ...verbs: readonly string[]): boolean {
  return path.startsWith("/v1/txn") && verbs.every((verb) => body.includes(`"${verb}"`));
}

function isLeave(request: SeenRequest): boolean {
  return isTransactionWith(request, "delete");
}

function isJoin(request: SeenRequest): boolean {
  return isTransactionWith(request, "lock", "cas") && !isLeave(request);
}

function isFromTheQueue(request: SeenRequest): boolean {
  return isTransactionWith(request, "check-session");
}

/** The requests of a semaphore, by what they are for. */
export const REQUESTS = {
  "session create": ({ path }) => path.startsWith("/v1/session/create"),
  "session renewal": ({ path }) => path.startsWith("/v1/session/renew/"),
  "session destroy": ({ path }) => path.startsWith("/v1/session/destroy/"),
  "contender entry": (request) =>
    isTransactionWith(request, "lock") && !isJoin(request) && !isLeave(request),
  "contender delete": ({ method }) => method === "DELETE",
  "prefix listing": ({ path }) => path.includes("recurse"),
  /** By a listing, or in a transaction that writes as well. */
  "prefix reading": (request) =>
    request.path.includes("recurse") || isTransactionWith(request, "get-tree"),
  "lock read": ({ method, path }) => method === "GET" && path.includes("/.lock"),
  /** The contender entry of one session, by itself. */
  "entry read": ({ method, path }) =>
    method === "GET" && /^\/v1\/kv\/.*\/[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}\?/.test(path),
  "blocking query": ({ path }) => path.includes("index="),
  "holders check": (request) => isFromTheQueue(request) && !request.body.includes('"lock"'),
  /** What makes its sender a holder, */
  join: isJoin,
  /** with the contender entry in the same write, */
  "join at once": (request) => isJoin(request) && !isFromTheQueue(request),
  /** or out of the queue. */
  "join in turn": (request) => isJoin(request) && isFromTheQueue(request),
  leave: isLeave,
  /** One that makes a waiter a holder in the same write. */
  handover: (request) => isLeave(request) && isFromTheQueue(request),
} satisfies Record<string, (request: SeenRequest) => boolean>;

export type RequestKind = keyof typeof REQUESTS;

/** Tells when a test is over. Tests that run side by side have to hand in their own context. */
export type Ending = Pick<TestContext, "onTestFinished">;

/** An HTTP proxy before the Consul under test: it counts, and it does harm when told to. */
export class Proxy {
  /** All requests since the start, in the order of their arrival. */
  readonly requests: SeenRequest[] = [];
  /** Decides on each request, and may take its time. */
  decide: (request: SeenRequest) => Fate | Promise<Fate> = () => "pass";
  /** For how long the answer to a request may take before it is cut, in milliseconds. */
  writeTimeout = Infinity;
  /** How many were. */
  cuts = 0;
  /** Told of each answer at the moment when it is lost. */
  lost: (request: SeenRequest) => void = () => undefined;
  /** How many connections there were at once, at most. */
  mostConnections = 0;
  /** And how many blocking queries that waited for their answers. */
  mostBlockingQueries = 0;
  readonly #server: http.Server;
  readonly #connections = new Set<Socket>();
  readonly #underWay = new Set<SeenRequest>();
  readonly #barred = new Set<RequestKind>();
  #port = 0;

  private constructor() {
    this.#server = http.createServer((request, response) => {
      // Who has gone away before its request was complete is not told anything.
      this.#handle(request, response).catch(() => response.destroy());
    });
    this.#server.on("connection", (connection: Socket) => {
      this.#connections.add(connection);
      this.mostConnections = Math.max(this.mostConnections, this.#connections.size);
      connection.once("close", () => this.#connections.delete(connection));
    });
  }

  /** Starts a proxy that ends with the test. */
  static async start(ending: Ending = { onTestFinished }): Promise<Proxy> {
    const proxy = new Proxy();
    await proxy.reopen();
    ending.onTestFinished(async () => {
      proxy.cut();
      await new Promise((resolve) => proxy.#server.close(resolve));
    });
    return proxy;
  }

  get address(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** The requests of a kind so far. */
  seen(kind: RequestKind): SeenRequest[] {
    return this.requests.filter(REQUESTS[kind]);
  }

  /** The requests of a kind that wait for their answers now. */
  pending(kind: RequestKind): SeenRequest[] {
    return [...this.#underWay].filter(REQUESTS[kind]);
  }

  /** How many that are. */
  underWay(kind: RequestKind): number {
    return this.pending(kind).length;
  }

  /** What becomes of the next `count` requests of a kind. All others pass from now on. */
  afflict(fate: Fate, kind?: RequestKind, count = Infinity): void {
    let left = count;
    this.decide = (request) => {
      if (left === 0 || (kind !== undefined && !REQUESTS[kind](request))) return "pass";
      left -= 1;
      return fate;
    };
  }

  /** From now on requests of a kind fail, also where all others pass again. */
  bar(kind: RequestKind): void {
    this.#barred.add(kind);
  }

  /** From now on all pass. */
  heal(): void {
    this.decide = () => "pass";
  }

  /** Resets all connections, and with them whatever is under way. */
  cut(): void {
    this.#server.closeAllConnections();
  }

  /** Listens no more: connections are refused from now on, and those there were are reset. */
  async shut(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.cut();
    await closed;
  }

  /** Listens again at the address it had. */
  async reopen(): Promise<void> {
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    this.#port = address.port;
  }

  #note(request: SeenRequest, response: http.ServerResponse): void {
    this.#underWay.add(request);
    response.once("close", () => this.#underWay.delete(request));
    const queries = this.underWay("blocking query");
    this.mostBlockingQueries = Math.max(this.mostBlockingQueries, queries);
  }

  async #handle(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const bytes = await buffer(request);
    const seen = {
      method: request.method ?? "",
      path: request.url ?? "",
      body: bytes.toString(),
      at: performance.now(),
    };
    this.requests.push(seen);
    this.#note(seen, response);
    const isBarred = [...this.#barred].some((kind) => REQUESTS[kind](seen));
    const fate = isBarred ? "fail" : await this.decide(seen);
    const answered = (): Promise<http.IncomingMessage> => forward(request, bytes, response);
    if (isAnswer(fate)) {
      const [status, text] = ANSWERS[fate];
      response.writeHead(status).end(text);
      return;
    }
    switch (fate) {
      case "hang":
        return;
      case "reset":
        response.destroy();
        return;
      case "lose the answer":
        await buffer(await answered());
        response.destroy();
        this.lost(seen);
        return;
      case "repeat":
        await buffer(await answered());
        deliver(await answered(), response);
        return;
      case "filter":
        deliverFiltered(await answered(), response);
        return;
      case "pass":
        if (this.writeTimeout < Infinity) this.#cutLate(response);
        deliver(await answered(), response);
    }
  }

  #cutLate(response: http.ServerResponse): void {
    const timer = setTimeout(() => {
      this.cuts += 1;
      response.destroy();
    }, this.writeTimeout);
    response.once("close", () => {
      clearTimeout(timer);
    });
  }
}

function isAnswer(fate: Fate): fate is keyof typeof ANSWERS {
  return fate in ANSWERS;
}

/** Sends a request on to Consul, for as long as somebody waits for the answer. */
async function forward(
  { method, url = "", headers }: http.IncomingMessage,
  body: Buffer,
  response: http.ServerResponse,
): Promise<http.IncomingMessage> {
  const onward = http.request(inject("consulAddress") + url, {
    method,
    headers: { ...headers, connection: "close" },
  });
  const answer = new Promise<http.IncomingMessage>((resolve, reject) => {
    onward.once("response", resolve);
    onward.once("error", reject);
  });
  onward.on("error", () => response.destroy());
  response.once("close", () => onward.destroy());
  onward.end(body);
  return await answer;
}

function deliver(answer: http.IncomingMessage, response: http.ServerResponse): void {
  response.writeHead(answer.statusCode ?? 500, answer.headers);
  answer.pipe(response);
}

/** All that was found is left out, and Consul says so. */
function deliverFiltered({ headers }: http.IncomingMessage, response: http.ServerResponse): void {
  const filtered = { "x-consul-results-filtered-by-acls": "true" };
  const told = ["x-consul-index", "x-consul-knownleader", "x-consul-lastcontact"].map(
    (name) => [name, headers[name]] as const,
  );
  response.writeHead(404, { ...Object.fromEntries(told), ...filtered }).end();
}
