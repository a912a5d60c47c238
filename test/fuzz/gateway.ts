import { once } from "node:events";
import http from "node:http";
import { text } from "node:stream/consumers";

import type { Carrier, HttpResponse } from "../../src/testing/fake-consul/carrier.js";

/** What goes wrong with one exchange. */
export type Mishap =
  /** Somebody else answers. */
  | { readonly kind: "page"; readonly isPassedOn: boolean; readonly page: HttpResponse }
  /** Nobody does, and the connection is cut. */
  | { readonly kind: "cut"; readonly isPassedOn: boolean }
  /** Only a part of Consul's answer arrives: in good order, or up to where the connection is cut. */
  | { readonly kind: "truncated" | "cut in the midst"; readonly share: number };

/** An HTTP server before a Consul in memory: it passes on what is asked and answered, as a rule. */
export class Gateway {
  readonly #server: http.Server;
  readonly #consul: Carrier;
  #mishaps: Iterator<Mishap | undefined>;
  #port = 0;
  #mishapsSoFar = 0;

  /** @param mishaps what becomes of each request, in their order; `undefined` and the end: nothing */
  constructor(consul: Carrier, mishaps: Iterable<Mishap | undefined>) {
    this.#consul = consul;
    this.#mishaps = mishaps[Symbol.iterator]();
    this.#server = http.createServer((request, response) => {
      this.#serve(request, response).catch(() => response.destroy());
    });
  }

  async listen(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    this.#port = address.port;
    return `http://127.0.0.1:${this.#port}`;
  }

  get mishaps(): number {
    return this.#mishapsSoFar;
  }

  /** From now on nothing goes wrong any more. */
  heal(): void {
    this.#mishaps = [][Symbol.iterator]();
  }

  /** Resolves once the clients have closed all connections, which nothing but a request of theirs keeps. */
  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    await closed;
  }

  async #serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    request.setEncoding("latin1");
    const body = await text(request);
    const next = this.#mishaps.next();
    const mishap = next.done === true ? undefined : next.value;
    if (mishap !== undefined) this.#mishapsSoFar += 1;
    const isPassedOn = mishap === undefined || !("isPassedOn" in mishap) || mishap.isPassedOn;
    const answer = isPassedOn ? await this.#ask(request, body, response) : undefined;
    switch (mishap?.kind) {
      case "page":
        send(response, mishap.page);
        break;
      case "cut":
        response.destroy();
        break;
      case "truncated":
      case "cut in the midst":
        if (answer !== undefined) sendPart(response, answer, mishap);
        break;
      case undefined:
        if (answer !== undefined) send(response, answer);
    }
  }

  #ask(
    { method = "", url = "" }: http.IncomingMessage,
    body: string,
    response: http.ServerResponse,
  ): Promise<HttpResponse> {
    return new Promise((resolve, reject) => {
      const giveUp = this.#consul(
        { method, path: url, body },
        { response: resolve, error: reject },
      );
      response.once("close", giveUp);
    });
  }
}

function send(response: http.ServerResponse, { status, headers, body }: HttpResponse): void {
  response.writeHead(status, headers).end(body);
}

function sendPart(
  response: http.ServerResponse,
  { status, headers, body }: HttpResponse,
  { kind, share }: Extract<Mishap, { readonly share: number }>,
): void {
  const part = body.slice(0, Math.floor(share * body.length));
  if (kind === "truncated") {
    send(response, { status, headers, body: part });
    return;
  }
  response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) + 1 });
  response.write(part, () => response.destroy());
}
