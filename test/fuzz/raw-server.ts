import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** What goes over the wire in place of an answer, and what becomes of the connection after it. */
export interface RawAnswer {
  /** Pieces, each in a packet of its own. */
  readonly pieces: readonly Buffer[];
  readonly after: "stays open" | "ends" | "is reset";
}

/**
 * A server that speaks HTTP only as far as it has to: what it says may be anything. `answer` gets the
 * request's text, header and body.
 */
export class RawServer {
  readonly address: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.address = `http://127.0.0.1:${port}`;
  }

  static async listen(answer: (request: string) => RawAnswer): Promise<RawServer> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const raw = new RawServer(server, portOf(server.address()));
    server.on("connection", (socket) => {
      raw.#serve(socket, answer);
    });
    return raw;
  }

  /** The connections that clients keep. */
  get openConnections(): number {
    return this.#sockets.size;
  }

  /** Resolves once no client keeps a connection any more. */
  async allClosed(): Promise<void> {
    const closed = (socket: Socket) => new Promise((resolve) => socket.once("close", resolve));
    await Promise.all([...this.#sockets].map(closed));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #serve(socket: Socket, answer: (request: string) => RawAnswer): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => undefined);
    socket.once("close", () => this.#sockets.delete(socket));
    let heard = "";
    socket.on("data", (chunk) => {
      heard += chunk.toString("latin1");
      if (!isWhole(heard)) return;
      const { pieces, after } = answer(heard);
      heard = "";
      for (const piece of pieces) socket.write(piece);
      if (after === "ends") socket.end();
      else if (after === "is reset") socket.resetAndDestroy();
    });
  }
}

function isWhole(request: string): boolean {
  const end = request.indexOf("\r\n\r\n");
  if (end === -1) return false;
  const [, length = "0"] = /^content-length: *(\d+)/im.exec(request) ?? [];
  return request.length >= end + 4 + Number(length);
}

function portOf(address: AddressInfo | string | null): number {
  if (typeof address === "object" && address !== null) return address.port;
  throw new Error(`listening at ${String(address)}`);
}
