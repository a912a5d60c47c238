import type { LinkFault } from "./link-fault.js";

export const PREFIX = "sim/slots";

/** What else can happen to the processes and to Consul. */
export const WORLD_FAULTS = [
  "stall",
  "stop-front",
  "kill",
  "restart",
  "election",
  "agent-restart",
  "destroy-session",
  "delete-contender",
  "delete-lock",
  "restore",
] as const;

export type FaultKind = LinkFault | (typeof WORLD_FAULTS)[number];

/** One who acquires and releases, with a semaphore of its own. */
export interface UserPlan {
  readonly name: string;
  readonly waitTime: number;
  readonly monitorRetries: number;
  /** A session that the program brings along and keeps over its restarts. */
  readonly ownSession: { readonly ttl: number | null } | undefined;
  /** The mean time between a release and the next acquire. */
  readonly rest: number;
}

/** A machine on which one process runs at a time. */
export interface HostPlan {
  readonly name: string;
  readonly ttl: number;
  readonly users: readonly UserPlan[];
  /** Whether the program closes its client when all is done. */
  readonly closes: boolean;
  /** When it closes its client in the midst of its work, and how long those at work may go on. */
  readonly shutdown: ShutdownPlan | undefined;
}

export interface ShutdownPlan {
  readonly at: number;
  readonly drain: number;
}

/** A program that uses Go's client, which takes what is free whosever turn it is. */
export interface BargerPlan {
  readonly name: string;
  readonly ttl: number;
  readonly rest: number;
  /** When it is killed. */
  readonly diesAt: number | undefined;
}

/** All that a seed decides beforehand. */
export interface Scenario {
  readonly limit: number;
  /** Whether the semaphores adopt the limit that is there, and some of them change it. */
  readonly resizes: boolean;
  readonly hosts: readonly HostPlan[];
  readonly bargers: readonly BargerPlan[];
  /** When entries are made in the queue whose sessions live on, and for which nobody acts. */
  readonly hangsFrom: readonly number[];
  /** How long a slot is held at most: where many wait, each has to have its turn. */
  readonly longestHold: number;
  /** When faults begin and end, and with them the work. */
  readonly faultsFrom: number;
  readonly activeUntil: number;
  /** The faults that this seed knows: few at a time go deeper than all at once. */
  readonly faults: readonly FaultKind[];
  /** The mean time from one fault to the next. */
  readonly faultEvery: number;
  /** Whether code that was blocked asks `slot.held` before anything else. */
  readonly asksAfterStall: boolean;
  /** How often Consul keeps a session for exactly its TTL, and not up to twice as long. */
  readonly promptExpiry: number;
}

/** A session that a program brings along has a name of its own kind. */
export function programSessionName(user: string): string {
  return `program ${user}`;
}

export function isProgramSession(name: string): boolean {
  return name.startsWith("program ");
}

export function machineOfProgramSession(name: string): string {
  return name.slice("program ".length).split(".")[0] ?? "";
}
