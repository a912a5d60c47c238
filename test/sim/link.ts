import type {
  Carrier,
  HttpRequest,
  HttpResponse,
  Receiver,
} from "../../src/testing/fake-consul/carrier.js";
import type { Exchange, LinkObserver } from "./exchange.js";
import {
  connectionRefused,
  connectionReset,
  failure,
  isMild,
  PAGES,
  type LinkCondition,
  type LinkFault,
} from "./link-fault.js";
import type { Random } from "./prng.js";
import type { SimulatedProcess } from "./simulated-process.js";
import { Trouble } from "./trouble.js";
import type { VirtualTime } from "./virtual-time.js";

/** By how much a request comes late at most. */
export const LATEST_MS = 12_000;

/** Faults that keep a request from Consul, and those that keep its answer from the process. */
const BEFORE_CONSUL = [
  "drop-request",
  "cut-before",
  "refuse",
  "error-before",
  "too-many",
  "false-answer-before",
] as const satisfies readonly LinkFault[];
const AFTER_CONSUL = [
  "drop-answer",
  "cut-after",
  "error-after",
  "false-answer-after",
] as const satisfies readonly LinkFault[];

interface OpenExchange extends Exchange {
  readonly receiver: Receiver;
  /** Whether Consul has it. */
  hasArrived: boolean;
  /** Gives up on it at Consul's end. */
  leaveConsul: () => void;
}

/**
 * The network between the processes of one machine and their Consul agent. Each request has a
 * connection of its own, so that nothing keeps two of them in order. What is on its way arrives,
 * whether or not the process still waits for it.
 */
export class Link {
  /** Whatever may delay or break something. */
  readonly trouble: Trouble;
  /** What can keep a renewal from succeeding. */
  readonly outage: Trouble;
  /** Messages that take long, as some do in any weather. */
  readonly lag: Trouble;
  /** Answers to reads that take so long that they may be given up. */
  readonly lateAnswers: Trouble;
  readonly #time: VirtualTime;
  readonly #consul: Carrier;
  readonly #random: Random;
  readonly #observer: LinkObserver;
  readonly #conditions = new Set<LinkCondition>();
  readonly #open = new Set<OpenExchange>();
  readonly #frozen: (() => void)[] = [];

  constructor(time: VirtualTime, consul: Carrier, random: Random, observer: LinkObserver) {
    this.#time = time;
    this.#consul = consul;
    this.#random = random;
    this.#observer = observer;
    this.trouble = new Trouble(() => time.now());
    this.outage = new Trouble(() => time.now());
    this.lag = new Trouble(() => time.now());
    this.lateAnswers = new Trouble(() => time.now());
  }

  carrierFor(process: SimulatedProcess): Carrier {
    return (request, receiver) => this.#carry(process, request, receiver);
  }

  /** The requests for whose answers a process waits. */
  waitsOf(process: SimulatedProcess): readonly Exchange[] {
    return [...this.#open].filter((exchange) => exchange.process === process);
  }

  /** Something goes wrong from now on. The result ends it. */
  begin(fault: LinkFault, share: number): () => void {
    const condition = { fault, share };
    const over = this.suffer(isMild(fault) ? "mild" : "grave");
    this.#conditions.add(condition);
    if (fault === "cut-before" || fault === "cut-after" || fault === "refuse") this.#cutAll(fault);
    return () => {
      this.#conditions.delete(condition);
      over();
      if (fault === "freeze" && !this.#isFrozen()) this.#thaw();
    };
  }

  /** Keeps record of trouble, of whatever kind. The result ends it. */
  suffer(degree: "mild" | "grave"): () => void {
    const ends = degree === "mild" ? [] : [this.outage.begin()];
    ends.push(this.trouble.begin(), this.#observer.disturbance.begin());
    return () => {
      for (const end of ends) end();
    };
  }

  #carry(process: SimulatedProcess, request: HttpRequest, receiver: Receiver): () => void {
    const exchange: OpenExchange = {
      process,
      request,
      receiver,
      sentAt: this.#time.now(),
      settled: false,
      gaveUp: false,
      hasArrived: false,
      leaveConsul: () => undefined,
    };
    this.#open.add(exchange);
    this.#send(exchange);
    return () => {
      if (exchange.settled) return;
      exchange.gaveUp = true;
      this.#settle(exchange);
      // Consul notices the closed connection, if word of it gets through.
      this.#time.after(this.#latency(), () => {
        if (!this.#isFrozen()) exchange.leaveConsul();
      });
    };
  }

  #send(exchange: OpenExchange): void {
    switch (this.#strikes(exchange, BEFORE_CONSUL)) {
      case "drop-request":
        return;
      case "cut-before":
        this.#fail(exchange, connectionReset());
        return;
      case "refuse":
        this.#fail(exchange, connectionRefused());
        return;
      case "error-before":
        this.#return(exchange, failure(500, "No cluster leader"));
        return;
      case "too-many":
        this.#return(exchange, failure(429, "Your IP is issuing too many concurrent connections"));
        return;
      case "false-answer-before":
        this.#return(exchange, this.#random.pick(PAGES));
        return;
      case "none":
        this.#time.after(this.#onTheWay(exchange) + this.#latency(), () => {
          this.#arrive(exchange);
        });
    }
  }

  #arrive(exchange: OpenExchange): void {
    if (this.#isFrozen()) {
      this.#freeze(exchange, () => {
        this.#time.after(this.#random.between(0, 5), () => {
          this.#arrive(exchange);
        });
      });
      return;
    }
    const { request } = exchange;
    const writes = request.method !== "GET";
    if (exchange.gaveUp && !writes) return;
    exchange.hasArrived = true;
    this.#observer.applying(exchange);
    if (writes && this.#strikes(exchange, ["duplicate"]) === "duplicate") {
      this.#consul(request, { response: () => undefined, error: () => undefined });
    }
    exchange.leaveConsul = this.#consul(request, {
      response: (response) => {
        this.#answer(exchange, response);
      },
      error: (error) => {
        this.#fail(exchange, error);
      },
    });
  }

  #answer(exchange: OpenExchange, response: HttpResponse): void {
    switch (this.#strikes(exchange, AFTER_CONSUL)) {
      case "drop-answer":
        return;
      case "cut-after":
        this.#fail(exchange, connectionReset());
        return;
      case "error-after":
        this.#return(
          exchange,
          failure(500, "rpc error making call: leadership lost while committing log"),
        );
        return;
      case "false-answer-after":
        this.#return(exchange, this.#random.pick(PAGES));
        return;
      case "none":
        this.#return(exchange, response, this.#lateness(exchange));
    }
  }

  /** How much later a request sets out, when it may be given up by then, and others are past it. */
  #onTheWay(exchange: OpenExchange): number {
    const isLate = this.#strikes(exchange, ["late-requests"]) === "late-requests";
    return isLate ? this.#random.between(100, LATEST_MS) : 0;
  }

  /** How much later the answer to a read begins its way, where reads are late. */
  #lateness(exchange: OpenExchange): number {
    if (exchange.request.method !== "GET") return 0;
    const isLate = this.#strikes(exchange, ["late-reads"]) === "late-reads";
    if (!isLate) return 0;
    const lateness = this.#random.between(500, 6_000);
    this.#time.after(lateness, this.lateAnswers.begin());
    return lateness;
  }

  #return(exchange: OpenExchange, response: HttpResponse, lateness = 0): void {
    const call = (): void => {
      this.#observer.answered(exchange, response);
      exchange.receiver.response(response);
    };
    this.#deliver(exchange, call, lateness);
  }

  #fail(exchange: OpenExchange, error: Error): void {
    this.#deliver(exchange, () => {
      exchange.receiver.error(error);
    });
  }

  #deliver(exchange: OpenExchange, call: () => void, lateness = 0): void {
    this.#time.deliver(exchange.process, lateness + this.#latency(), () => {
      if (exchange.settled) return;
      if (this.#isFrozen()) {
        this.#freeze(exchange, () => {
          this.#deliver(exchange, call);
        });
        return;
      }
      this.#settle(exchange);
      call();
    });
  }

  #settle(exchange: OpenExchange): void {
    exchange.settled = true;
    this.#open.delete(exchange);
  }

  /** Reads that Consul does not have yet are lost. */
  cutOnTheWay(): void {
    for (const exchange of this.#open) {
      if (exchange.hasArrived || exchange.request.method !== "GET") continue;
      this.suffer("grave")();
      exchange.gaveUp = true;
      this.#fail(exchange, connectionReset());
    }
  }

  /** All connections break at once, whatever is on them. */
  #cutAll(fault: LinkFault): void {
    for (const exchange of this.#open) {
      if (exchange.process.state === "killed") continue;
      this.#observer.struck(fault, exchange);
      exchange.leaveConsul();
      // What is still on its way arrives all the same.
      if (!exchange.hasArrived) exchange.gaveUp = true;
      this.#fail(exchange, connectionReset());
    }
  }

  #freeze(exchange: Exchange, thaw: () => void): void {
    this.#observer.struck("freeze", exchange);
    this.#frozen.push(thaw);
  }

  #thaw(): void {
    for (const thaw of this.#frozen.splice(0)) thaw();
  }

  #isFrozen(): boolean {
    return this.#has("freeze");
  }

  #has(fault: LinkFault): boolean {
    for (const condition of this.#conditions) if (condition.fault === fault) return true;
    return false;
  }

  /** Which of these faults hits the request, if one does. */
  #strikes<Fault extends LinkFault>(exchange: Exchange, faults: readonly Fault[]): Fault | "none" {
    for (const condition of this.#conditions) {
      const fault = faults.find((candidate) => candidate === condition.fault);
      if (fault === undefined || !this.#random.chance(condition.share)) continue;
      this.#observer.struck(fault, exchange);
      return fault;
    }
    return "none";
  }

  /** One way. Long ones come now and then, and always while the network is slow. */
  #latency(): number {
    if (this.#random.chance(0.03) || this.#has("slow")) {
      const long = this.#random.between(50, 500);
      this.#time.after(long, this.lag.begin());
      return long;
    }
    return Math.min(5, 0.1 + this.#random.exponential(0.6));
  }
}
