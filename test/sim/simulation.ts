import { Barger } from "./barger.js";
import { drawScenario } from "./draw-scenario.js";
import { HangingWaiters } from "./hanging-waiters.js";
import { Host } from "./host.js";
import { LATEST_MS } from "./link.js";
import { Random } from "./prng.js";
import { isProgramSession, type Scenario } from "./scenario.js";
import { Trace } from "./trace.js";
import type { Violation, ViolationKind } from "./violation.js";
import { VirtualTime } from "./virtual-time.js";
import { Weather } from "./weather.js";
import { World } from "./world.js";

export interface Outcome {
  readonly seed: number;
  readonly violation: Violation | null;
  readonly tally: Readonly<Record<string, number>>;
  readonly events: number;
  /** The same whenever the same seed runs against the same library. */
  readonly hash: string;
  readonly lines: readonly string[];
}

/** How long a waiter may wait once nothing goes wrong any more and those before it release at once. */
const TURN_COMES_TTLS = 10;
const LONGEST_TTL_MS = 15_000;

/** Many times what a seed needs: a loop without a pause would never end. */
const MOST_EVENTS = 200_000;
const MOST_EVENTS_PER_USER = 2_000;

/** How soon after the last call has ended nothing of it may be under way, no kept session either. */
const TIDY_AFTER_MS = 11_000;

/** What is left of a client that was closed goes with its sessions. */
const EXPIRED_AFTER_MS = 2 * LONGEST_TTL_MS + 1_000;

export interface SimulationOptions {
  /** Looks for violations of this kind alone, past all others. */
  readonly only?: ViolationKind | undefined;
  /** Told of each line of the trace. */
  readonly write?: ((line: string) => void) | undefined;
}

/** Runs one seed. */
export async function simulate(
  seed: number,
  { only, write }: SimulationOptions = {},
): Promise<Outcome> {
  const random = new Random(seed);
  const scenario = drawScenario(random.fork(), seed);
  const time = new VirtualTime(random.fork());
  const trace = new Trace(() => time.now(), write);
  const restore = time.install();
  const world = new World(time, scenario, random.fork(), trace, only);
  const onRejection = (reason: unknown): void => {
    world.fail("unhandled-rejection", describe(reason));
  };
  process.on("unhandledRejection", onRejection);
  const users = scenario.hosts.reduce((sum, host) => sum + host.users.length, 0);
  const mostEvents = MOST_EVENTS + MOST_EVENTS_PER_USER * users;
  let events = 0;
  const afterEach = (): boolean => {
    events += 1;
    if (events === mostEvents) world.fail("state", `more than ${mostEvents} events`);
    return world.check();
  };
  try {
    await runScenario(world, scenario, random, afterEach);
  } finally {
    process.off("unhandledRejection", onRejection);
    world.consul.dispose();
    restore();
  }
  return {
    seed,
    violation: world.violation ?? null,
    tally: world.tally.toJSON(),
    events,
    hash: trace.hash,
    lines: trace.lines,
  };
}

async function runScenario(
  world: World,
  scenario: Scenario,
  random: Random,
  afterEach: () => boolean,
): Promise<void> {
  const { time, trace } = world;
  trace.add("scenario", JSON.stringify(scenario));
  for (const plan of scenario.hosts) world.addHost(new Host(world, plan, random.fork()));
  for (const plan of scenario.bargers) {
    world.addBarger(new Barger(world, plan, random.fork()));
  }
  const hanging = new HangingWaiters(world);
  hanging.start();
  for (const host of world.hosts) host.start();
  for (const barger of world.bargers) barger.start();
  const weather = new Weather(world, random.fork());
  weather.start();
  await time.runUntil(scenario.activeUntil, afterEach);
  if (!world.isSound()) return;

  trace.add("scenario", "faults are over, and the work too");
  world.windsDown = true;
  weather.clear();
  const clearedAt = time.now();
  const bound = clearedAt + TURN_COMES_TTLS * LONGEST_TTL_MS;
  while (!isDone(world) && time.now() < bound) {
    await time.runUntil(Math.min(bound, time.now() + 100), afterEach);
    if (!world.isSound()) return;
  }
  checkForgotten(world);
  hanging.end();

  trace.add("scenario", "all is quiet");
  // What a fault has kept from being cleared away ends with its session, and no later.
  const closes = scenario.hosts.some((host) => host.closes || host.shutdown !== undefined);
  const tidyAfter = closes ? EXPIRED_AFTER_MS : TIDY_AFTER_MS;
  const isLate = scenario.faults.includes("late-requests");
  const lastArrival = clearedAt + (isLate ? LATEST_MS : 0);
  const tidy = Math.max(time.now() + tidyAfter, lastArrival + EXPIRED_AFTER_MS);
  await time.runUntil(tidy, afterEach);
  checkUnderWay(world);
  checkLeftBehind(world);
}

function isDone(world: World): boolean {
  return [...world.hosts, ...world.bargers].every(({ isDone }) => isDone);
}

function checkForgotten(world: World): void {
  for (const { user, process, calledAt } of world.ledger.attempts) {
    if (process.state === "killed") continue;
    const waited = world.time.now() - calledAt;
    world.fail("E-forgotten", `${user} (${process.name}) has waited ${waited.toFixed(0)} ms`);
  }
  for (const host of [...world.hosts, ...world.bargers]) {
    if (!host.isDone) world.fail("E-forgotten", `the users on ${host.plan.name} do not end`);
  }
}

/** No timer and no request of a process in which all has ended. */
function checkUnderWay(world: World): void {
  const pending = world.time.pending();
  for (const { process, link } of world.hosts) {
    if (process.state === "killed") continue;
    for (const { request } of link.waitsOf(process)) {
      world.fail("C-leak", `${process.name} still asks ${request.method} ${request.path}`);
    }
    const timers = pending.filter(({ owner, phase }) => owner === process && phase === "timer");
    const [first] = timers;
    if (first === undefined) continue;
    const due = (first.due - world.time.now()).toFixed(0);
    world.fail("C-leak", `${process.name} still has ${timers.length} timers, one in ${due} ms`);
  }
}

/** What stands in Consul once nobody wants anything of it. */
function checkLeftBehind(world: World): void {
  const { consul, hosts } = world;
  for (const { id, name } of consul.sessions) {
    if (isProgramSession(name)) continue;
    world.fail("C-leak", `the session ${id} of ${name} is still there`);
  }
  // A program's session that nobody came back to lives on with what hangs on it.
  const abandoned = hosts.filter(({ process }) => process.state === "killed");
  const excused = (session: string): boolean =>
    world.interference.hadLateEntry(session) ||
    abandoned.some(({ ownSessions }) => [...ownSessions.values()].includes(session));
  for (const { key, session } of consul.entries) {
    if (session === null || excused(session)) continue;
    world.fail("C-leak", `the contender entry ${key} is still there`);
  }
  for (const session of world.state.holders) {
    if (!world.state.isHolder(session) || excused(session)) continue;
    world.fail("C-leak", `${session} is still a holder`);
  }
}

function describe(reason: unknown): string {
  return reason instanceof Error ? (reason.stack ?? reason.message) : String(reason);
}
