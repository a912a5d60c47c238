import { once } from "node:events";
import net from "node:net";

import type { AtEnd } from "./own-agent.js";

/** A way to a port of this machine, as of a load balancer: it can be cut, and lead elsewhere. */
export class Relay {
  /** The port to which new connections lead. */
  target: number;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();

  private constructor(target: number) {
    this.target = target;
    this.#server = net.createServer((near) => {
      const far = net.connect(this.target, "127.0.0.1");
      this.#pass(near, far);
      this.#pass(far, near);
    });
  }

  static async to(target: number, atEnd: AtEnd): Promise<Relay> {
    const relay = new Relay(target);
    relay.#server.listen(0, "127.0.0.1");
    await once(relay.#server, "listening");
    atEnd(async () => {
      const closed = once(relay.#server, "close");
      relay.#server.close();
      relay.cut();
      await closed;
    });
    return relay;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    return address.port;
  }

  /** Ends all connections there are. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #pass(from: net.Socket, to: net.Socket): void {
    this.#sockets.add(from);
    // "close" follows, and passes it on.
    from.on("error", () => undefined);
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
    from.pipe(to);
  }
}
