import { LINK_FAULTS, type LinkFault } from "./link-fault.js";
import type { Random } from "./prng.js";

export const PREFIX = "sim/slots";

/** The semaphores of one process share its client. */
const USERS_ON_A_HOST = [1, 1, 1, 1, 1, 2, 2, 2, 3, 4];

/** What else can happen to the processes and to Consul. */
export const WORLD_FAULTS = [
  "stall",
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
  readonly hosts: readonly HostPlan[];
  readonly bargers: readonly BargerPlan[];
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

export function drawScenario(random: Random): Scenario {
  const hosts = Array.from({ length: random.whole(2, random.whole(2, 6)) }, (_, index) =>
    drawHost(random, index),
  );
  const contenders = hosts.flatMap(({ users }) => users).length;
  return {
    limit: Math.min(random.whole(1, 3), Math.max(1, contenders - 1)),
    hosts,
    bargers: drawBargers(random),
    faultsFrom: random.between(0, 3_000),
    activeUntil: 30_000 + Math.min(120_000, random.exponential(15_000)),
    faults: drawFaults(random),
    faultEvery: random.between(1_500, 8_000),
    asksAfterStall: random.chance(0.4),
    promptExpiry: random.pick([0, 0.5, 1]),
  };
}

function drawHost(random: Random, index: number): HostPlan {
  const name = `h${index}`;
  const count = random.pick(USERS_ON_A_HOST);
  const users = Array.from({ length: count }, (_, place) => ({
    name: `${name}.${place}`,
    waitTime: random.pick([0, 300, 2_000, 15_000]),
    monitorRetries: random.pick([0, 0, 3]),
    ownSession: random.chance(0.2) ? { ttl: random.pick([30_000, null]) } : undefined,
    rest: random.pick([1_000, 4_000, 12_000]),
  }));
  return {
    name,
    ttl: random.pick([10_000, 10_000, 12_000, 15_000]),
    users,
    // What closing leaves behind goes with its session; a session of the program's may never go.
    closes: random.chance(0.3) && users.every(({ ownSession }) => ownSession === undefined),
  };
}

function drawBargers(random: Random): readonly BargerPlan[] {
  if (!random.chance(0.33)) return [];
  return Array.from({ length: random.whole(1, 2) }, (_, index) => ({
    name: `go${index}`,
    ttl: random.pick([10_000, 15_000]),
    rest: random.pick([100, 1_000, 5_000]),
    diesAt: random.chance(0.25) ? random.between(5_000, 30_000) : undefined,
  }));
}

function drawFaults(random: Random): readonly FaultKind[] {
  // Calm weather: who comes when, and who is gone, is all that happens.
  if (random.chance(0.04)) return [];
  if (random.chance(0.16)) return random.pick([["kill"], ["restart"], ["kill", "restart"]]);
  const kinds: readonly FaultKind[] = [...LINK_FAULTS, ...WORLD_FAULTS];
  const share = random.pick([0.1, 0.25, 0.5]);
  const chosen = kinds.filter(() => random.chance(share));
  return chosen.length > 0 ? chosen : [random.pick(kinds)];
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
