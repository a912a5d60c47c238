import {
  Semaphore,
  SemaphoreHeldError,
  SemaphoreInUseError,
  SemaphoreNotHeldError,
  type ConsulClient,
  type SemaphoreSlot,
} from "../../src/index.js";
import { CallChecks } from "./call-checks.js";
import { CalledOff } from "./called-off.js";
import { ConcurrentRuns } from "./concurrent-runs.js";
import type { Host } from "./host.js";
import { pause } from "./pause.js";
import type { Random } from "./prng.js";
import { PREFIX, type UserPlan } from "./scenario.js";
import type { SimulatedProcess } from "./simulated-process.js";
import type { Tenure } from "./tenure.js";
import type { World } from "./world.js";

const LONGEST_REST_MS = 60_000;

/** A limit is raised to so many more than there were at first. */
const MOST_MORE_SLOTS = 3;

interface AskOptions {
  readonly abortAfter?: number;
  /** How long the call waits by itself, at most. */
  readonly waitTime?: number;
  /** Whether the semaphore has a slot already. */
  readonly mayBeHeld?: boolean;
  /** Whether this is the first thing that a process asks for. */
  readonly resumes?: boolean;
}

type Ask = (semaphore: Semaphore, signal: AbortSignal) => Promise<SemaphoreSlot | null>;

/** The program: it acquires, holds and releases, in all the ways that the library offers. */
export class SemaphoreUser {
  readonly #world: World;
  readonly #host: Host;
  readonly #process: SimulatedProcess;
  readonly #client: ConsulClient;
  readonly #plan: UserPlan;
  readonly #random: Random;
  readonly #checks: CallChecks;
  readonly #runs: ConcurrentRuns;
  #semaphore: Semaphore | undefined;
  #isDone = false;

  constructor(
    world: World,
    host: Host,
    process: SimulatedProcess,
    client: ConsulClient,
    plan: UserPlan,
    random: Random,
  ) {
    this.#world = world;
    this.#host = host;
    this.#process = process;
    this.#client = client;
    this.#plan = plan;
    this.#random = random;
    this.#checks = new CallChecks(world, host, process, plan);
    this.#runs = new ConcurrentRuns(world, this.#checks, random, (tenure, longest) =>
      this.#hold(tenure, longest),
    );
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  async work(): Promise<void> {
    if (this.#host.ownSessions.has(this.#plan.name)) await this.#takeTurn("resume");
    for (;;) {
      // One that rests until all is over would seem to have been forgotten.
      await pause(Math.min(this.#random.exponential(this.#plan.rest), LONGEST_REST_MS));
      if (this.#world.windsDown || this.#host.isShutDown(this.#process)) break;
      await this.#takeTurn();
    }
    await this.#tidyUp();
    this.#isDone = true;
    this.#host.finished(this.#client);
  }

  /** What the code does first that has blocked the event loop. */
  wakes(): void {
    for (const tenure of this.#tenures()) {
      if (this.#world.scenario.asksAfterStall) this.#checks.askHeld(tenure);
    }
  }

  /** What is left of a release that failed, or of a process that was killed, is released. */
  async #tidyUp(): Promise<void> {
    const { ownSession, name } = this.#plan;
    if (ownSession === undefined) return;
    for (;;) {
      const session = this.#host.ownSessions.get(name);
      if (session === undefined || !this.#world.state.sessions.has(session)) return;
      const contends = this.#world.state.contenderOf(session) !== undefined;
      const left = this.#world.state.isHolder(session) || (contends && this.#host.wasRestarted);
      if (!left) return;
      await this.#takeTurn("acquire");
      await pause(1_000);
    }
  }

  async #takeTurn(kind = this.#drawTurn()): Promise<void> {
    const semaphore = this.#currentSemaphore();
    if (semaphore === undefined) return;
    this.#world.tally.add(`turn ${kind}`);
    this.#checks.trace(`turn: ${kind}`);
    const tenure = await this.#begin(kind, semaphore);
    if (tenure === undefined) return;
    await this.#hold(tenure);
    await this.#release(semaphore, tenure);
  }

  #drawTurn(): TurnKind {
    return this.#random.pick(this.#world.scenario.resizes ? TURNS_WITH_RESIZE : TURNS);
  }

  async #begin(kind: TurnKind, semaphore: Semaphore): Promise<Tenure | undefined> {
    switch (kind) {
      case "acquire":
        return await this.#ask(semaphore, (it, signal) => it.acquire(signal));
      case "resume":
        return await this.#ask(semaphore, (it, signal) => it.acquire(signal), { resumes: true });
      case "abort":
        return await this.#ask(semaphore, (it, signal) => it.acquire(signal), {
          abortAfter: this.#random.pick(this.#abortTimes()),
        });
      case "timeout":
        return await this.#askInTime(semaphore, this.#random.pick([0, 50, 700, 3_000]));
      case "try":
        return await this.#try(semaphore);
      case "run":
        await this.#runs.one(semaphore);
        return undefined;
      case "runs":
        await this.#runs.several(semaphore, [
          () => this.#takeOne(semaphore),
          ...(this.#world.scenario.resizes ? [() => this.#resize(semaphore)] : []),
        ]);
        return undefined;
      case "resize":
        await this.#resize(semaphore);
        return undefined;
      case "inspect":
        await this.#checks.allowing(semaphore.inspect(), []);
        return undefined;
      case "destroy":
        await this.#checks.allowing(semaphore.destroy(), [SemaphoreInUseError]);
        return undefined;
    }
  }

  async #askInTime(semaphore: Semaphore, timeout: number): Promise<Tenure | undefined> {
    return await this.#ask(semaphore, (it, signal) => it.acquire({ signal, timeout }), {
      waitTime: timeout,
    });
  }

  async #try(semaphore: Semaphore): Promise<Tenure | undefined> {
    const timeout = this.#random.chance(0.5) ? undefined : this.#random.pick([0, 300, 2_000]);
    return await this.#ask(
      semaphore,
      (it, signal) => it.tryAcquire(timeout === undefined ? signal : { signal, timeout }),
      { waitTime: timeout ?? this.#plan.waitTime },
    );
  }

  /** The slot of acquire, beside runs. */
  async #takeOne(semaphore: Semaphore): Promise<void> {
    const tenure = await this.#ask(semaphore, (it, signal) => it.acquire(signal));
    if (tenure === undefined) return;
    await this.#hold(tenure);
    await this.#release(semaphore, tenure);
  }

  /** Changes the limit; now and then twice at once. */
  async #resize(semaphore: Semaphore): Promise<void> {
    const { limits, scenario, time } = this.#world;
    const calledAt = time.now();
    const asked = Array.from({ length: this.#random.pick([1, 1, 1, 2]) }, () =>
      this.#random.whole(1, scenario.limit + MOST_MORE_SLOTS),
    );
    await Promise.all(
      asked.map(async (limit) => {
        limits.ask(this.#process.name, limit);
        this.#checks.trace(`resizes to ${limit}`);
        if (!(await this.#checks.allowing(semaphore.resize(limit), []))) return;
        if (limits.wasSince(limit, calledAt)) return;
        this.#world.fail("state", `${this.#plan.name}'s resize to ${limit} has not taken place`);
      }),
    );
  }

  async #ask(
    semaphore: Semaphore,
    ask: Ask,
    { abortAfter, waitTime, mayBeHeld = false, resumes = false }: AskOptions = {},
  ): Promise<Tenure | undefined> {
    const giveUp = new AbortController();
    const reason = new CalledOff();
    let abortedAt: number | undefined;
    const abort = (): void => {
      attempt.givenUp = true;
      abortedAt = this.#world.time.now();
      giveUp.abort(reason);
    };
    const attempt = this.#checks.begin({
      resumes: resumes && this.#world.state.isHolder(this.#checks.ownSession ?? ""),
      waitTime,
    });
    const timer = abortAfter === undefined ? undefined : setTimeout(abort, abortAfter);
    try {
      const slot = await ask(semaphore, giveUp.signal);
      if (slot !== null) {
        if (!semaphore.isHeld) this.#world.fail("state", "isHeld is false after acquire");
        return this.#checks.acquired(attempt, slot);
      }
      this.#checks.timedOut(attempt);
      this.#world.tally.add("outcome null");
      this.#checks.trace("acquire resolves to null");
      return undefined;
    } catch (error) {
      this.#checks.trace(`acquire rejects: ${String(error)}`);
      if (error === reason) this.#checks.calledOff(abortedAt);
      else if (!(mayBeHeld && error instanceof SemaphoreHeldError))
        this.#checks.refused(attempt, error);
      return undefined;
    } finally {
      clearTimeout(timer);
      this.#world.ledger.end(attempt);
    }
  }

  /** At once, on the way into the queue, in the queue. */
  #abortTimes(): readonly number[] {
    return [0, this.#random.between(0, 20), this.#random.exponential(3_000)];
  }

  async #hold(tenure: Tenure, longest = Infinity): Promise<void> {
    const random = this.#random;
    const { ttl } = this.#host.plan;
    const { faults } = this.#world.scenario;
    const longestHold = Math.min(longest, this.#world.scenario.longestHold);
    if (faults.length > 0 && random.chance(0.03)) this.#host.stall(random.between(0.1, 1.5) * ttl);
    const duration = random.pick([
      0,
      random.exponential(30),
      random.exponential(500),
      random.exponential(2_000),
      Math.min(2 * ttl, random.exponential(ttl / 2)),
      random.between(0.3, 2) * ttl,
    ]);
    // Most programs heed the signal; a careless one finds out when it releases.
    const heeds = random.chance(0.8);
    const signal = heeds ? tenure.signal : undefined;
    if (!this.#world.windsDown) await pause(Math.min(duration, longestHold), signal);
    if (tenure.heldSeenFalse) this.#checks.askHeld(tenure);
  }

  async #release(semaphore: Semaphore, tenure: Tenure): Promise<void> {
    const { slot } = tenure;
    const way = this.#random.pick(RELEASES);
    this.#checks.trace(`releases ${tenure.session}: ${way}`);
    if (way === "too early") {
      // After a loss it is none too early.
      const again = await this.#ask(semaphore, (it) => it.acquire(), { mayBeHeld: true });
      if (again !== undefined) {
        tenure.releaseBegun = true;
        if (!tenure.signal.aborted) this.#world.fail("state", `${tenure.user} has two slots`);
        await this.#hold(again);
        await this.#release(semaphore, again);
        return;
      }
      await this.#checks.allowing(semaphore.destroy(), [SemaphoreHeldError, SemaphoreInUseError]);
    }
    tenure.releaseBegun = true;
    const first = way === "slot" || way === "next" ? slot.release() : semaphore.release();
    const second = way === "twice" ? semaphore.release() : undefined;
    const next =
      way === "next" ? this.#ask(semaphore, (it, signal) => it.acquire(signal)) : undefined;
    const releasedAt = this.#world.time.now();
    if (await this.#checks.allowing(first, [])) this.#checks.gone(tenure, releasedAt);
    if (!tenure.signal.aborted) this.#world.fail("state", `${tenure.user} released a live signal`);
    if (second !== undefined) await this.#checks.allowing(second, [SemaphoreNotHeldError]);
    if (way === "dispose") await this.#checks.allowing(slot[Symbol.asyncDispose](), []);
    if (next === undefined) {
      if (semaphore.isHeld) this.#world.fail("state", "isHeld is true after release");
      return;
    }
    const follower = await next;
    if (follower === undefined) return;
    await this.#hold(follower);
    await this.#release(semaphore, follower);
  }

  /** The semaphore to use; where its session is the program's, one for a session that is alive. */
  #currentSemaphore(): Semaphore | undefined {
    const { ownSession, name } = this.#plan;
    if (ownSession !== undefined) {
      const known = this.#host.ownSessions.get(name);
      const alive = known !== undefined && this.#world.state.sessions.has(known);
      const session = alive ? known : this.#host.createSession(this.#plan, ownSession.ttl);
      // Without a leader there is none to be had.
      if (session === "") return undefined;
      if (session !== this.#checks.ownSession) this.#semaphore = undefined;
      this.#checks.ownSession = session;
    }
    return (this.#semaphore ??= this.#newSemaphore());
  }

  #newSemaphore(): Semaphore {
    return new Semaphore(this.#client, {
      prefix: PREFIX,
      limit: this.#world.scenario.limit,
      adoptLimit: this.#world.scenario.resizes,
      value: this.#plan.name,
      ...(this.#checks.ownSession === undefined ? {} : { session: this.#checks.ownSession }),
      sessionName: this.#process.name,
      sessionTTL: this.#host.plan.ttl,
      monitorRetries: this.#plan.monitorRetries,
      semaphoreWaitTime: this.#plan.waitTime,
    });
  }

  #tenures(): readonly Tenure[] {
    return [...this.#world.ledger.tenures].filter(
      ({ process, user, releaseBegun }) =>
        process === this.#process && user === this.#plan.name && !releaseBegun,
    );
  }
}

type TurnKind =
  | "acquire"
  | "resume"
  | "abort"
  | "timeout"
  | "try"
  | "run"
  | "runs"
  | "resize"
  | "inspect"
  | "destroy";

const TURNS: readonly TurnKind[] = [
  ...(["acquire", "acquire", "acquire", "acquire"] as const),
  ...(["abort", "abort", "timeout", "try", "try", "run", "runs", "runs"] as const),
  ...(["inspect", "destroy"] as const),
];

const TURNS_WITH_RESIZE: readonly TurnKind[] = [...TURNS, "resize", "resize", "resize"];

const RELEASES = [
  "semaphore",
  "semaphore",
  "slot",
  "slot",
  "twice",
  "dispose",
  "next",
  "too early",
];
