import type { HttpRequest, HttpResponse } from "../../src/testing/fake-consul/carrier.js";
import type { LinkFault } from "./link-fault.js";
import type { SimulatedProcess } from "./simulated-process.js";
import type { Trouble } from "./trouble.js";

/** One request of a process and what has become of it. */
export interface Exchange {
  readonly process: SimulatedProcess;
  readonly request: HttpRequest;
  readonly sentAt: number;
  /** The process waits for it no more: it has an answer or an error, or has given up. */
  settled: boolean;
  gaveUp: boolean;
}

/** What a link tells of what it carries. */
export interface LinkObserver {
  /** When anything went wrong on any link. */
  readonly disturbance: Trouble;
  /** A fault has hit a request. */
  struck(fault: LinkFault, exchange: Exchange): void;
  /** Consul is about to be given a request. */
  applying(exchange: Exchange): void;
  /** An answer reaches the process right now. */
  answered(exchange: Exchange, response: HttpResponse): void;
}
