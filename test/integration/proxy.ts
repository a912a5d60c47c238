import http from "node:http";
import type { AddressInfo } from "node:net";

import { inject, onTestFinished } from "vitest";

/**
 * What becomes of a request:
 *
 * - `"pass"`: Consul gets and answers it.
 * - `"fail"`: it is answered with 500 and does not reach Consul.
 * - `"hang"`: nothing ever happens.
 * - `"lose the answer"`: Consul gets it, but its answer does not arrive; the connection is reset.
 */
export type Fate = "pass" | "fail" | "hang" | "lose the answer";

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
}

/** An HTTP proxy before the Consul under test: it counts, and it does harm when told to. */
export class Proxy {
  /** All requests since the start, in the order of their arrival. */
  readonly requests: SeenRequest[] = [];
  /** Decides on each request, and may take its time. */
  decide: (request: SeenRequest) => Fate | Promise<Fate> = () => "pass";
  readonly #server: http.Server;

  private constructor() {
    this.#server = http.createServer((request, response) => {
      void this.#handle(request, response);
    });
  }

  /** Starts a proxy that ends with the test. */
  static async start(): Promise<Proxy> {
    const proxy = new Proxy();
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    onTestFinished(async () => {
      proxy.#server.closeAllConnections();
      await new Promise((resolve) => proxy.#server.close(resolve));
    });
    return proxy;
  }

  get address(): string {
    const address: AddressInfo | string | null = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    return `http://127.0.0.1:${address.port}`;
  }

  async #handle(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const seen = { method: request.method ?? "", path: request.url ?? "" };
    this.requests.push(seen);
    const fate = await this.decide(seen);
    if (fate === "hang") return;
    if (fate === "fail") {
      request.resume();
      response.writeHead(500).end("out of order");
      return;
    }
    const onward = http.request(
      inject("consulAddress") + seen.path,
      { method: seen.method, headers: { ...request.headers, connection: "close" } },
      (answer) => {
        if (fate === "lose the answer") {
          answer.resume();
          answer.on("end", () => response.destroy());
          return;
        }
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
      },
    );
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  }
}
