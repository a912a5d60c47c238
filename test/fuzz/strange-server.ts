import type { Carrier, HttpRequest, Receiver } from "../../src/testing/fake-consul/carrier.js";
import type { SimulatedProcess } from "../sim/simulated-process.js";
import type { VirtualTime } from "../sim/virtual-time.js";
import type { StrangeAnswer } from "./strange-answers.js";

/** What becomes of one request. */
export interface Fate {
  /** Whether Consul gets it, and answers in vain. */
  readonly served: boolean;
  readonly answer: StrangeAnswer | "silence" | "reset";
  /** How long the answer takes, in milliseconds. */
  readonly delay: number;
}

/**
 * Consul behind something that is out of its mind: it answers in Consul's place as long as it has
 * anything to say, and then no more.
 */
export class StrangeServer {
  readonly #time: VirtualTime;
  readonly #process: SimulatedProcess;
  readonly #consul: Carrier;
  readonly #fates: Iterator<Fate | undefined>;
  readonly #waiting = new Set<object>();
  #answers = 0;

  constructor(
    time: VirtualTime,
    process: SimulatedProcess,
    consul: Carrier,
    /** `undefined`: this one is Consul's to answer. */
    fates: Iterable<Fate | undefined>,
  ) {
    this.#time = time;
    this.#process = process;
    this.#consul = consul;
    this.#fates = fates[Symbol.iterator]();
  }

  /** How many strange answers there were. */
  get answers(): number {
    return this.#answers;
  }

  /** The requests for whose answers the client waits. */
  get underWay(): number {
    return this.#waiting.size;
  }

  readonly carrier: Carrier = (request, receiver) => {
    const exchange = {};
    this.#waiting.add(exchange);
    const once = (settle: () => void): void => {
      if (this.#waiting.delete(exchange)) settle();
    };
    const next = this.#fates.next();
    const fate = next.done === true ? undefined : next.value;
    const giveUp =
      fate === undefined
        ? this.#serve(request, receiver, once)
        : this.#strangely(request, receiver, once, fate);
    return () => {
      this.#waiting.delete(exchange);
      giveUp();
    };
  };

  #serve(request: HttpRequest, receiver: Receiver, once: (settle: () => void) => void): () => void {
    const later = (settle: () => void): void => {
      this.#time.deliver(this.#process, LATENCY_MS, () => {
        once(settle);
      });
    };
    return this.#consul(request, {
      response: (response) => {
        later(() => {
          receiver.response(response);
        });
      },
      error: (error) => {
        later(() => {
          receiver.error(error);
        });
      },
    });
  }

  #strangely(
    request: HttpRequest,
    receiver: Receiver,
    once: (settle: () => void) => void,
    { served, answer, delay }: Fate,
  ): () => void {
    this.#answers += 1;
    const giveUp = served
      ? this.#consul(request, { response: () => undefined, error: () => undefined })
      : () => undefined;
    if (answer === "silence") return giveUp;
    this.#time.deliver(this.#process, delay, () => {
      once(() => {
        if (answer === "reset") receiver.error(connectionReset());
        else receiver.response(answer);
      });
    });
    return giveUp;
  }
}

const LATENCY_MS = 1;

function connectionReset(): Error {
  return Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
}
