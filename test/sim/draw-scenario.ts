import { FALSE_ANSWERS, LINK_FAULTS } from "./link-fault.js";
import type { Random } from "./prng.js";
import {
  WORLD_FAULTS,
  type BargerPlan,
  type FaultKind,
  type HostPlan,
  type Scenario,
  type ShutdownPlan,
} from "./scenario.js";

/** One seed in so many is about a fleet, and one in so many about a large one. */
const FLEET_EVERY = 8;
const LARGE_FLEET_EVERY = 200;

/** The semaphores of one process share its client. */
const USERS_ON_A_HOST = [1, 1, 1, 1, 1, 2, 2, 2, 3, 4];

/** By the seed's own number, so that the fleets among many seeds are easy to pick out. */
export function drawScenario(random: Random, seed: number): Scenario {
  if (seed % LARGE_FLEET_EVERY === 0) return drawLargeFleet(random);
  // What is drawn last leaves all else as it is.
  return withFalseAnswers(random, seed % FLEET_EVERY === 0 ? drawFleet(random) : drawFew(random));
}

/** In some scenarios somebody else answers now and then, and in some of these that is all. */
function withFalseAnswers(random: Random, scenario: Scenario): Scenario {
  if (!random.chance(0.15)) return scenario;
  const faults = random.pick<readonly FaultKind[]>([
    FALSE_ANSWERS,
    [...scenario.faults, ...FALSE_ANSWERS],
    [...scenario.faults, random.pick(FALSE_ANSWERS)],
  ]);
  return { ...scenario, faults };
}

/** A few clients and much time: this goes the deepest. */
function drawFew(random: Random): Scenario {
  const hosts = Array.from({ length: random.whole(2, random.whole(2, 6)) }, (_, index) =>
    drawHost(random, index, random.pick(USERS_ON_A_HOST), [1_000, 4_000, 12_000]),
  );
  const contenders = hosts.flatMap(({ users }) => users).length;
  const resizes = random.chance(1 / 6);
  return {
    ...drawCommon(random),
    resizes,
    limit: Math.min(random.whole(1, 3), Math.max(1, contenders - 1)),
    hosts,
    // Go's clients are refused once the limit is another.
    bargers: !resizes && random.chance(0.33) ? drawBargers(random, random.whole(1, 2)) : [],
    hangsFrom: random.chance(0.1) ? drawHangs(random, random.whole(1, 3)) : [],
    longestHold: Infinity,
    activeUntil: 30_000 + Math.min(120_000, random.exponential(15_000)),
    // Calm weather: who comes when, and who is gone, is all that happens.
    faults: random.chance(resizes ? 0.3 : 0.04) ? [] : drawFaults(random),
    faultsFrom: random.between(0, 3_000),
    faultEvery: random.between(1_500, 8_000),
  };
}

/** Dozens of clients with one waiter each, or fewer and a crowd in one of them. */
function drawFleet(random: Random): Scenario {
  const hasCrowd = random.chance(0.25);
  const count = hasCrowd ? random.whole(2, 12) : random.whole(12, 40);
  const rests = random.pick([[50], [50, 1_000, 5_000], [10_000]]);
  const resizes = random.chance(0.15);
  const hosts = Array.from({ length: count }, (_, index) =>
    drawHost(random, index, hasCrowd && index === 0 ? random.whole(10, 40) : 1, rests),
  );
  return {
    ...drawCommon(random),
    limit: random.whole(1, 10),
    resizes,
    hosts,
    bargers: !resizes && random.chance(0.2) ? drawBargers(random, random.whole(1, 6)) : [],
    hangsFrom: random.chance(0.3) ? drawHangs(random, random.pick([1, 3, 12, 40])) : [],
    longestHold: random.pick([50, 300, 2_000]),
    activeUntil: 8_000 + Math.min(20_000, random.exponential(5_000)),
    ...drawFleetFaults(random),
  };
}

/** Hundreds of clients, for a short while. */
function drawLargeFleet(random: Random): Scenario {
  const hosts = Array.from({ length: random.whole(100, 300) }, (_, index) =>
    drawHost(random, index, 1, [10_000]),
  );
  return {
    ...drawCommon(random),
    limit: random.whole(3, 10),
    resizes: false,
    hosts,
    bargers: random.chance(0.1) ? drawBargers(random, 1) : [],
    hangsFrom: random.chance(0.3) ? drawHangs(random, random.pick([1, 12, 40])) : [],
    longestHold: 100,
    activeUntil: random.between(3_000, 6_000),
    ...drawFleetFaults(random),
  };
}

function drawCommon(random: Random) {
  return {
    asksAfterStall: random.chance(0.4),
    promptExpiry: random.pick([0, 0.5, 1]),
  };
}

function drawHost(
  random: Random,
  index: number,
  count: number,
  rests: readonly number[],
): HostPlan {
  const name = `h${index}`;
  const users = Array.from({ length: count }, (_, place) => ({
    name: `${name}.${place}`,
    waitTime: random.pick([0, 300, 2_000, 15_000]),
    monitorRetries: random.pick([0, 0, 3]),
    ownSession: random.chance(0.2) ? { ttl: random.pick([30_000, null]) } : undefined,
    rest: random.pick(rests),
  }));
  // What closing leaves behind goes with its session; a session of the program's may never go.
  const mayClose = users.every(({ ownSession }) => ownSession === undefined);
  return {
    name,
    ttl: random.pick([10_000, 10_000, 12_000, 15_000]),
    users,
    closes: mayClose && random.chance(0.3),
    shutdown: mayClose && random.chance(0.08) ? drawShutdown(random) : undefined,
  };
}

function drawShutdown(random: Random): ShutdownPlan {
  return {
    at: random.between(2_000, 30_000),
    drain: random.pick([0, random.exponential(300), random.exponential(3_000), 20_000]),
  };
}

function drawBargers(random: Random, count: number): readonly BargerPlan[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `go${index}`,
    ttl: random.pick([10_000, 15_000]),
    rest: random.pick([100, 1_000, 5_000]),
    diesAt: random.chance(0.25) ? random.between(5_000, 30_000) : undefined,
  }));
}

/** Before all others, or among them. */
function drawHangs(random: Random, count: number): readonly number[] {
  const latest = random.pick([0, 5_000]);
  return Array.from({ length: count }, () => random.between(0, latest));
}

/** As a rule none, or such as befall the front of a queue, soon: a fleet's time is short. */
function drawFleetFaults(random: Random): Pick<Scenario, "faults" | "faultsFrom" | "faultEvery"> {
  const faults = random.chance(0.4)
    ? []
    : random.pick<readonly FaultKind[]>([
        ["stop-front"],
        ["late-reads"],
        ["stop-front", "late-reads"],
        ["destroy-session"],
        drawFaults(random),
        drawFaults(random),
      ]);
  const faultsFrom = random.between(500, 3_000);
  return { faults, faultsFrom, faultEvery: random.between(300, 3_000) };
}

function drawFaults(random: Random): readonly FaultKind[] {
  if (random.chance(0.16)) return random.pick([["kill"], ["restart"], ["kill", "restart"]]);
  const kinds: readonly FaultKind[] = [...LINK_FAULTS, ...WORLD_FAULTS];
  const share = random.pick([0.1, 0.25, 0.5]);
  const chosen = kinds.filter(() => random.chance(share));
  return chosen.length > 0 ? chosen : [random.pick(kinds)];
}
