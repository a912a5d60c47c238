import { constants } from "node:os";

import { errors } from "undici";

import type { Carrier, HttpRequest, HttpResponse, Receiver } from "./fake-consul/carrier.js";

/** What a link does with what is sent over it. */
export type LinkState = "open" | "cut" | "refused";

/**
 * The network between one process and Consul. It has no latency, and no time of its own: a link that
 * is cut keeps what is sent over it, as both ends of a TCP connection do, until it is open again.
 */
export class NetworkLink {
  /** Takes the requests of the process. */
  readonly carrier: Carrier = (request, receiver) => this.#carry(request, receiver);
  readonly #consul: Carrier;
  readonly #underWay = new Set<Exchange>();
  #state: LinkState;

  constructor(consul: Carrier, state: LinkState) {
    this.#consul = consul;
    this.#state = state;
  }

  set(state: LinkState): void {
    this.#state = state;
    if (state === "cut") return;
    for (const exchange of [...this.#underWay]) {
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
      this.#underWay.delete(exchange);
    });
    this.#underWay.add(exchange);
    exchange.proceed();
    return () => {
      exchange.giveUp();
    };
  }
}

/** One request and its answer, on a connection of their own. */
class Exchange implements Receiver {
  readonly #request: HttpRequest;
  readonly #receiver: Receiver;
  readonly #consul: Carrier;
  readonly #isOpen: () => boolean;
  readonly #whenOver: () => void;
  #isGivenUp = false;
  #isOver = false;
  #hasLeft = false;
  /** Has Consul give up on it. */
  #leaveConsul: () => void = () => undefined;
  /** Hands over what has come back. */
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

  /** Goes as far as the link lets it: to Consul, or back from there. */
  proceed(): void {
    if (this.#isOver || !this.#isOpen()) return;
    if (this.#isGivenUp) {
      this.reset();
    } else if (this.#deliver !== undefined) {
      this.#end();
      this.#deliver();
    } else if (!this.#hasLeft) {
      this.#hasLeft = true;
      this.#leaveConsul = this.#consul(this.#request, this);
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

  /** The client wants no answer any more: a request that has not left by now never will. */
  giveUp(): void {
    this.#isGivenUp = true;
    this.proceed();
  }

  /** Both ends learn that the connection is no more. */
  reset(): void {
    if (this.#isOver) return;
    this.#end();
    this.#leaveConsul();
    if (!this.#isGivenUp) this.#receiver.error(new errors.SocketError("other side closed"));
  }

  #end(): void {
    this.#isOver = true;
    this.#whenOver();
  }
}

/** As Node fails to connect to a port where nobody listens. */
function connectionRefused(): Error {
  return Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:8500"), {
    errno: -constants.errno.ECONNREFUSED,
    code: "ECONNREFUSED",
    syscall: "connect",
    address: "127.0.0.1",
    port: 8500,
  });
}
