import { once } from "node:events";
import net from "node:net";

/** A connection of this process with itself: I/O that can be had at any moment. */
export class WakeUpCall {
  readonly #server: net.Server;
  readonly #near: net.Socket;
  readonly #far: net.Socket;

  private constructor(server: net.Server, near: net.Socket, far: net.Socket) {
    this.#server = server;
    this.#near = near;
    this.#far = far;
  }

  static async open(): Promise<WakeUpCall> {
    const server = net.createServer();
    const accepted = new Promise<net.Socket>((resolve) => server.once("connection", resolve));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    const near = net.connect(address.port, "127.0.0.1");
    const far = await accepted;
    return new WakeUpCall(server, near, far);
  }

  /** Calls `answer` from the event loop's next look at what has arrived, before all that follows. */
  order(answer: () => void): void {
    this.#far.once("data", answer);
    this.#near.write(".");
  }

  close(): void {
    this.#near.destroy();
    this.#far.destroy();
    this.#server.close();
  }
}
