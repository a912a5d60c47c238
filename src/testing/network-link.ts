import { constants } from "node:os";

import { errors } from "../consul/http/undici.js";

import type { Carrier, HttpRequest, HttpResponse, Receiver } from "./fake-consul/carrier.js";

/** What a link does with requests and answers. */
export type LinkState = "open" | "cut" | "refused";

/**
 * The network between one process and Consul. It has neither latency nor timeouts. While it is cut,
 * it keeps requests and answers until it is open again, as both ends of a TCP connection do.
 */
export class NetworkLink {
  /** Carries the requests of the process. */
  readonly carrier: Carrier = (request, receiver) => this.#carry(request, receiver);
  readonly #consul: Carrier;
  readonly #pending = new Set<Exchange>();
  #state: LinkState;

  constructor(consul: Carrier, state: LinkState) {
    this.#consul = consul;
    this.#state = state;
  }

  set(state: LinkState): void {
    this.#state = state;
    if (state === "cut") return;
    for (const exchange of [...this.#pending]) {
      if (state === "refused") exchange.reset();
      else exchange.proceed();
    }
  }

  #carry(request: HttpRequest, receiver: Receiver): () => void {
    if (this.#state === "refused") {
      receiver.error(connectionRefused());
      return () => undefined;
    }
    const isOpen = (): boolean => this.#state === "open";
    const exchange = new Exchange(request, receiver, this.#consul, isOpen, () => {
      this.#pending.delete(exchange);
    });
    this.#pending.add(exchange);
    exchange.proceed();
    return () => {
      exchange.abort();
    };
  }
}

/** One request and its answer, with a connection of their own. */
class Exchange implements Receiver {
  readonly #request: HttpRequest;
  readonly #receiver: Receiver;
  readonly #consul: Carrier;
  readonly #isOpen: () => boolean;
  readonly #whenOver: () => void;
  #isAborted = false;
  #isOver = false;
  #hasLeft = false;
  /** Cancels the request at Consul. */
  #cancel: () => void = () => undefined;
  /** Delivers the outcome that has arrived. */
  #deliver: (() => void) | undefined;

  constructor(
    request: HttpRequest,
    receiver: Receiver,
    consul: Carrier,
    isOpen: () => boolean,
    whenOver: () => void,
  ) {
    this.#request = request;
    this.#receiver = receiver;
    this.#consul = consul;
    this.#isOpen = isOpen;
    this.#whenOver = whenOver;
  }

  /** Moves on as far as the link allows: to Consul, or back to the client. */
  proceed(): void {
    if (this.#isOver || !this.#isOpen()) return;
    if (this.#isAborted) {
      this.reset();
    } else if (this.#deliver !== undefined) {
      this.#end();
      this.#deliver();
    } else if (!this.#hasLeft) {
      this.#hasLeft = true;
      this.#cancel = this.#consul(this.#request, this);
    }
  }

  response(response: HttpResponse): void {
    this.#deliver = () => {
      this.#receiver.response(response);
    };
    this.proceed();
  }

  error(error: Error): void {
    this.#deliver = () => {
      this.#receiver.error(error);
    };
    this.proceed();
  }

  /** Aborts the request for the client. If it has not left yet, it never will. */
  abort(): void {
    this.#isAborted = true;
    this.proceed();
  }

  /** Breaks the connection, which both ends notice. */
  reset(): void {
    if (this.#isOver) return;
    this.#end();
    this.#cancel();
    if (!this.#isAborted) this.#receiver.error(new errors.SocketError("other side closed"));
  }

  #end(): void {
    this.#isOver = true;
    this.#whenOver();
  }
}

/** Node's error for a port without a listener. */
function connectionRefused(): Error {
  return Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:8500"), {
    errno: -constants.errno.ECONNREFUSED,
    code: "ECONNREFUSED",
    syscall: "connect",
    address: "127.0.0.1",
    port: 8500,
  });
}
