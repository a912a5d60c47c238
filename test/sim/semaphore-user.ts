import {
  Semaphore,
  SemaphoreError,
  SemaphoreHeldError,
  SemaphoreInUseError,
  SemaphoreLostError,
  SemaphoreNotHeldError,
  SemaphoreRequestError,
  type ConsulClient,
  type SemaphoreSlot,
} from "../../src/index.js";
import type { Host } from "./host.js";
import { pause } from "./pause.js";
import type { Random } from "./prng.js";
import { PREFIX, type UserPlan } from "./scenario.js";
import type { SimulatedProcess } from "./simulated-process.js";
import type { Attempt, Tenure } from "./tenure.js";
import type { World } from "./world.js";

/** What a call was given up with. */
class CalledOff extends Error {}

/** How long after its signal an acquire may reject: 100 ms, says its documentation. */
const ABORT_WITHIN_MS = 110;

/** For how long a session may outlive a release, for the sake of the next acquire. */
const KEPT_MS = 10_000;

const LONGEST_REST_MS = 60_000;

/** How soon a process that comes back with its session has its slot, with nothing in the way. */
const RESUMED_WITHIN_MS = 2_000;

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
  #semaphore: Semaphore | undefined;
  #session: string | undefined;
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
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  async work(): Promise<void> {
    if (this.#host.ownSessions.has(this.#plan.name)) await this.#takeTurn("resume");
    for (;;) {
      // One that rests until all is over would seem to have been forgotten.
      await pause(Math.min(this.#random.exponential(this.#plan.rest), LONGEST_REST_MS));
      if (this.#world.windsDown) break;
      await this.#takeTurn();
    }
    await this.#tidyUp();
    this.#isDone = true;
    this.#host.finished(this.#client);
  }

  /** What the code does first that has blocked the event loop. */
  wakes(): void {
    for (const tenure of this.#tenures()) {
      if (this.#world.scenario.asksAfterStall) this.#askHeld(tenure);
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
    this.#trace(`turn: ${kind}`);
    const tenure = await this.#begin(kind, semaphore);
    if (tenure === undefined) return;
    await this.#hold(tenure);
    await this.#release(semaphore, tenure);
  }

  #drawTurn(): TurnKind {
    return this.#random.pick(TURNS);
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
      case "try":
        return await this.#ask(semaphore, (it, signal) => it.tryAcquire(signal), {
          waitTime: this.#plan.waitTime,
        });
      case "run":
        await this.#run(semaphore);
        return undefined;
      case "inspect":
        await this.#allowing(semaphore.inspect(), []);
        return undefined;
      case "destroy":
        await this.#allowing(semaphore.destroy(), [SemaphoreInUseError]);
        return undefined;
    }
  }

  async #ask(
    semaphore: Semaphore,
    ask: Ask,
    { abortAfter, waitTime, mayBeHeld = false, resumes = false }: AskOptions = {},
  ): Promise<Tenure | undefined> {
    const giveUp = new AbortController();
    const reason = new CalledOff("called off");
    let abortedAt: number | undefined;
    const abort = (): void => {
      attempt.givenUp = true;
      abortedAt = this.#world.time.now();
      giveUp.abort(reason);
    };
    const attempt = this.#call(
      resumes && this.#world.state.isHolder(this.#session ?? ""),
      waitTime,
    );
    const timer = abortAfter === undefined ? undefined : setTimeout(abort, abortAfter);
    try {
      const slot = await ask(semaphore, giveUp.signal);
      if (slot !== null) return this.#acquired(attempt, slot, semaphore);
      this.#world.tally.add("outcome null");
      this.#trace("acquire resolves to null");
      return undefined;
    } catch (error) {
      this.#trace(`acquire rejects: ${String(error)}`);
      if (error === reason) this.#calledOff(abortedAt);
      else if (!(mayBeHeld && error instanceof SemaphoreHeldError)) this.#refused(attempt, error);
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

  #calledOff(abortedAt = Infinity): void {
    this.#world.tally.add("outcome aborted");
    const late = this.#world.time.now() - abortedAt;
    if (late <= ABORT_WITHIN_MS || this.#host.link.trouble.since(abortedAt)) return;
    this.#world.fail("state", `${this.#plan.name}'s acquire rejects ${late} ms after its signal`);
  }

  #refused(attempt: Attempt, error: unknown): void {
    this.#world.tally.add(`error ${codeOf(error)}`);
    const own = this.#session !== undefined;
    const excused = this.#host.link.trouble.since(attempt.calledAt - 15_000);
    // A session of the program's may be over before the program knows.
    if (error instanceof SemaphoreRequestError && (excused || own)) return;
    this.#world.fail("state", `${this.#plan.name}'s acquire rejects: ${describe(error)}`);
  }

  #call(resumes = false, waitTime = Infinity): Attempt {
    const { time, ledger } = this.#world;
    const now = time.now();
    const waitsUntil = now + waitTime;
    return ledger.begin(this.#plan.name, this.#process, now, { resumes, waitsUntil });
  }

  #acquired(attempt: Attempt, slot: SemaphoreSlot, semaphore?: Semaphore): Tenure {
    const { time, ledger, tally } = this.#world;
    const { session, signal, fencingToken: token } = slot;
    const now = time.now();
    const tenure: Tenure = {
      ...attempt,
      slot,
      session,
      signal,
      token,
      acquiredAt: now,
      ttl: this.#plan.ownSession === undefined ? this.#host.plan.ttl : this.#plan.ownSession.ttl,
      releaseBegun: false,
      heldSeenFalse: false,
      endSeen: false,
    };
    ledger.tenures.add(tenure);
    tally.add("acquisitions");
    this.#trace(`acquired with ${session}, token ${token}`);
    this.#checkToken(tenure);
    if (this.#mayBeOver(tenure)) {
      this.#world.fail("A-held", `${tenure.user}'s acquire resolves with a slot that may be over`);
    }
    if (semaphore?.isHeld === false) this.#world.fail("state", "isHeld is false after acquire");
    if (attempt.resumes) this.#resumed(tenure);
    return tenure;
  }

  #resumed(tenure: Tenure): void {
    this.#world.tally.add("outcome resumed");
    const took = tenure.acquiredAt - tenure.calledAt;
    if (took <= RESUMED_WITHIN_MS || this.#host.link.trouble.since(tenure.calledAt - 15_000))
      return;
    if (this.#world.forcedAt(tenure) !== undefined) return;
    this.#world.fail("G-not-resumed", `${tenure.user} had its slot back only after ${took} ms`);
  }

  #checkToken(tenure: Tenure): void {
    const problem = this.#world.ledger.take(tenure.token, tenure);
    if (problem !== undefined) this.#world.fail("F-token", `${tenure.user}: ${problem}`);
    if (this.#world.writeOf(tenure.token)?.holders.has(tenure.session) === true) return;
    this.#world.fail("F-token", `no write ${tenure.token} made ${tenure.session} a holder`);
  }

  /** By all that Consul has confirmed to this process, may the session have ended by itself? */
  #mayBeOver(tenure: Tenure): boolean {
    if (tenure.ttl === null) return false;
    const term = this.#world.confirmedTerm(tenure);
    return term === undefined || this.#world.time.now() >= term.sentAt + tenure.ttl;
  }

  #askHeld(tenure: Tenure): void {
    const { held } = tenure.slot;
    if (held && tenure.heldSeenFalse) {
      this.#world.fail("A-held", `${tenure.user}'s slot is held again`);
    }
    if (held && this.#mayBeOver(tenure)) {
      this.#world.fail("A-held", `${tenure.user}'s slot is held after its session's TTL`);
    }
    if (!held) tenure.heldSeenFalse = true;
  }

  async #hold(tenure: Tenure): Promise<void> {
    const random = this.#random;
    const { ttl } = this.#host.plan;
    const { faults, longestHold } = this.#world.scenario;
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
    if (tenure.heldSeenFalse) this.#askHeld(tenure);
  }

  async #release(semaphore: Semaphore, tenure: Tenure): Promise<void> {
    const { slot } = tenure;
    const way = this.#random.pick(RELEASES);
    this.#trace(`releases ${tenure.session}: ${way}`);
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
      await this.#allowing(semaphore.destroy(), [SemaphoreHeldError, SemaphoreInUseError]);
    }
    tenure.releaseBegun = true;
    const first = way === "slot" || way === "next" ? slot.release() : semaphore.release();
    const second = way === "twice" ? semaphore.release() : undefined;
    const next =
      way === "next" ? this.#ask(semaphore, (it, signal) => it.acquire(signal)) : undefined;
    const releasedAt = this.#world.time.now();
    if (await this.#allowing(first, [])) this.#checkGone(tenure, releasedAt);
    if (!tenure.signal.aborted) this.#world.fail("state", `${tenure.user} released a live signal`);
    if (second !== undefined) await this.#allowing(second, [SemaphoreNotHeldError]);
    if (way === "dispose") await this.#allowing(slot[Symbol.asyncDispose](), []);
    if (next === undefined) {
      if (semaphore.isHeld) this.#world.fail("state", "isHeld is true after release");
      return;
    }
    const follower = await next;
    if (follower === undefined) return;
    await this.#hold(follower);
    await this.#release(semaphore, follower);
  }

  /** What a release that went well has left behind. */
  #checkGone(tenure: Tenure, releasedAt: number): void {
    const { session, user } = tenure;
    const world = this.#world;
    const reason: unknown = tenure.signal.reason;
    // What is left of a lost slot goes with its session.
    if (reason instanceof SemaphoreLostError || world.interference.hadLateEntry(session)) return;
    const fault = (what: string): void => {
      world.fail("C-leak", `${user} has released, and ${what} of ${session} is still there`);
    };
    if (world.state.isHolder(session)) fault("the slot");
    if (world.state.contenderOf(session) !== undefined) fault("the contender entry");
    if (this.#session === undefined) this.#checkKept(session, releasedAt);
  }

  /** The session may be kept for the next acquire of this process, but only if that comes soon. */
  #checkKept(session: string, releasedAt: number): void {
    const { time, ledger } = this.#world;
    ledger.releases.set(session, releasedAt);
    time.after(KEPT_MS, () => {
      if (!this.#world.state.sessions.has(session) || this.#process.state !== "runs") return;
      if (this.#host.link.trouble.since(releasedAt)) return;
      if (ledger.lastCallOf(this.#process) >= releasedAt) return;
      // A call that was made before the release may have taken it over, and wait with it, or have
      // had a slot with it since.
      if (ledger.releases.get(session) !== releasedAt) return;
      if (this.#world.state.contenderOf(session) !== undefined) return;
      this.#world.fail("C-leak", `${session} is kept ${KEPT_MS} ms after its last slot`);
    });
  }

  async #run(semaphore: Semaphore): Promise<void> {
    const attempt = this.#call();
    let tenure: Tenure | undefined;
    let releasedAt = 0;
    const work = async (slot: SemaphoreSlot): Promise<void> => {
      this.#world.ledger.end(attempt);
      tenure = this.#acquired(attempt, slot);
      await this.#hold(tenure);
      tenure.releaseBegun = true;
      releasedAt = this.#world.time.now();
    };
    try {
      await semaphore.run(work);
      if (tenure !== undefined) this.#checkGone(tenure, releasedAt);
    } catch (error) {
      this.#trace(`run rejects: ${String(error)}`);
      if (tenure === undefined) this.#refused(attempt, error);
      else if (error instanceof SemaphoreLostError) this.#world.tally.add("outcome run lost");
      else this.#troubled(error, []);
    } finally {
      this.#world.ledger.end(attempt);
    }
  }

  /** Whether the call went well; it may fail with one of these, or for an outage. */
  async #allowing(call: PromiseLike<unknown>, expected: readonly ErrorClass[]): Promise<boolean> {
    const calledAt = this.#world.time.now();
    try {
      await call;
      return true;
    } catch (error) {
      this.#troubled(error, expected, calledAt);
      return false;
    }
  }

  #troubled(error: unknown, expected: readonly ErrorClass[], since = this.#world.time.now()): void {
    this.#trace(`rejected: ${String(error)}`);
    this.#world.tally.add(`error ${codeOf(error)}`);
    if (expected.some((kind) => error instanceof kind)) return;
    if (error instanceof SemaphoreRequestError) {
      if (this.#host.link.trouble.since(since - 15_000)) return;
    }
    this.#world.fail("state", `${this.#plan.name}: ${describe(error)}`);
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
      if (session !== this.#session) this.#semaphore = undefined;
      this.#session = session;
    }
    return (this.#semaphore ??= this.#newSemaphore());
  }

  #newSemaphore(): Semaphore {
    return new Semaphore(this.#client, {
      prefix: PREFIX,
      limit: this.#world.scenario.limit,
      value: this.#plan.name,
      ...(this.#session === undefined ? {} : { session: this.#session }),
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

  #trace(what: string): void {
    this.#world.trace.add(this.#plan.name, what);
  }
}

type ErrorClass = new (...args: never[]) => Error;
type TurnKind = "acquire" | "resume" | "abort" | "try" | "run" | "inspect" | "destroy";

const TURNS: readonly TurnKind[] = [
  ...(["acquire", "acquire", "acquire", "acquire"] as const),
  ...(["abort", "abort", "try", "try", "run", "run"] as const),
  ...(["inspect", "destroy"] as const),
];

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

function codeOf(error: unknown): string {
  return error instanceof SemaphoreError ? error.code : "unknown";
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
