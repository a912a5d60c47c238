import { once } from "node:events";
import net from "node:net";

/** A request that went through to Consul. */
export interface PassedRequest {
  readonly method: string;
  readonly path: string;
  /** When it came by, on the clock of `performance.now()`: a moment after it was sent. */
  readonly at: number;
}

/** The two halves of one connection: the client's with us, and ours with Consul. */
interface Line {
  readonly near: net.Socket;
  readonly far: net.Socket;
}

/**
 * A way to a Consul that can go silent, as a network does whose packets are dropped:
 * nothing arrives, in either direction, and nobody is told so, since no connection is closed. What
 * is sent meanwhile arrives late, as TCP has it, also when its sender has long given up on it.
 */
export class SilentProxy {
  /** All requests that got through, in the order of their passing. */
  readonly passed: PassedRequest[] = [];
  readonly #consul: URL;
  readonly #server: net.Server;
  readonly #lines = new Set<Line>();
  #silent = false;

  private constructor(consulAddress: string) {
    this.#consul = new URL(consulAddress);
    // Half-open: the end of one side's sending is passed on like all else it sends.
    this.#server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (near) => {
      this.#connect(near);
    });
  }

  /** Starts one before the Consul at that address. */
  static async start(consulAddress: string): Promise<SilentProxy> {
    const proxy = new SilentProxy(consulAddress);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get address(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening");
    return `http://127.0.0.1:${address.port}`;
  }

  /** From now on nothing is forwarded. New connections are accepted, and just as silent. */
  silence(): void {
    this.#silent = true;
    for (const { near, far } of this.#lines) {
      near.pause();
      far.pause();
    }
  }

  /** Forwards again, first of all what has been sent since the silence began. */
  resume(): void {
    this.#silent = false;
    for (const { near, far } of this.#lines) {
      near.resume();
      far.resume();
    }
  }

  async stop(): Promise<void> {
    for (const { near, far } of this.#lines) {
      near.destroy();
      far.destroy();
    }
    const closed = once(this.#server, "close");
    this.#server.close();
    await closed;
  }

  #connect(near: net.Socket): void {
    const { hostname, port } = this.#consul;
    const far = net.connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    const line = { near, far };
    this.#lines.add(line);
    near.on("data", (chunk) => {
      this.#note(chunk);
      far.write(chunk);
    });
    far.on("data", (chunk) => near.write(chunk));
    near.on("end", () => far.end());
    far.on("end", () => near.end());
    const drop = (): void => {
      near.destroy();
      far.destroy();
      this.#lines.delete(line);
    };
    for (const socket of [near, far]) {
      // A reset closes the socket as well, and "close" passes it on.
      socket.on("error", () => undefined);
      socket.on("close", drop);
      if (this.#silent) socket.pause();
      else socket.resume();
    }
  }

  #note(chunk: Buffer): void {
    const at = performance.now();
    // A client that does not pipeline begins each request with a packet of its own.
    const [, method, path] = /^([A-Z]+) (\S+) HTTP\/1\.1\r\n/.exec(chunk.toString("latin1")) ?? [];
    if (method !== undefined && path !== undefined) this.passed.push({ method, path, at });
  }
}
