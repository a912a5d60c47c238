import { once } from "node:events";
import http, { type ServerResponse } from "node:http";

import { onTestFinished } from "vitest";

/** A server that answers when it is told to, and counts who is waiting for that. */
export class SlowServer {
  /** The paths of all requests, in the order of their arrival. */
  readonly asked: string[] = [];
  /** The paths of those that were broken off by the client. */
  readonly brokenOff: string[] = [];
  mostAtOnce = 0;
  readonly #open = new Map<ServerResponse, string>();
  readonly #server: http.Server;
  #answersAtOnce = false;

  private constructor(server: http.Server) {
    this.#server = server;
    server.on("request", ({ url = "" }: http.IncomingMessage, response: ServerResponse) => {
      this.asked.push(url);
      this.#open.set(response, url);
      this.mostAtOnce = Math.max(this.mostAtOnce, this.#open.size);
      response.once("close", () => {
        if (this.#open.delete(response)) this.brokenOff.push(url);
      });
      // Half of the answer, so that there is something that can be left half done.
      response.write(`begin ${url}\n`);
      // Not the same moment: others are to come meanwhile, if anything lets them.
      if (this.#answersAtOnce) {
        setTimeout(() => {
          this.#answer(response);
        }, 5);
      }
    });
  }

  static async start(): Promise<SlowServer> {
    const server = http.createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    });
    return new SlowServer(server);
  }

  /** How many are waiting for their answers. */
  get waiting(): number {
    return this.#open.size;
  }

  url(path: string): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    return `http://127.0.0.1:${address.port}${path}`;
  }

  /** Answers the one that has waited longest. */
  answerOne(): void {
    const [first] = this.#open.keys();
    if (first !== undefined) this.#answer(first);
  }

  /** Answers all that are waiting. */
  answer(): void {
    for (const response of [...this.#open.keys()]) this.#answer(response);
  }

  /** Answers all that are waiting, and all that come from now on. */
  answerFromNowOn(): void {
    this.#answersAtOnce = true;
    this.answer();
  }

  #answer(response: ServerResponse): void {
    const url = this.#open.get(response);
    if (url === undefined) return;
    // Before the client can know, so that the next one it lets in is not counted beside it.
    this.#open.delete(response);
    response.end(`end ${url}\n`);
  }
}

/** What the server answers in full. */
export function answerTo(path: string): string {
  return `begin ${path}\nend ${path}\n`;
}
