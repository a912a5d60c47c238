import {
  ConsulError,
  SemaphoreClosedError,
  SemaphoreError,
  SemaphoreLostError,
  SemaphoreRequestError,
  SemaphoreTimeoutError,
  type SemaphoreSlot,
} from "../../src/index.js";
import type { Host } from "./host.js";
import type { UserPlan } from "./scenario.js";
import type { SimulatedProcess } from "./simulated-process.js";
import type { Attempt, Tenure } from "./tenure.js";
import type { World } from "./world.js";

export type ErrorClass = new (...args: never[]) => Error;

/** How long after its signal an acquire may reject: 100 ms, says its documentation. */
const ABORT_WITHIN_MS = 110;

/** However short its timeout, an acquire may try for that long to get through. */
const SHORTEST_TRY_MS = 1_000;

/** A timer may be early by one millisecond. */
const TIMER_SLACK_MS = 2;

/** For how long a session may outlive a release, for the sake of the next acquire. */
const KEPT_MS = 10_000;

/** For how long each step on the way into the queue is tried. */
const ENTRY_PATIENCE_MS = 15_000;

/** How soon a process that comes back with its session has its slot, with nothing in the way. */
const RESUMED_WITHIN_MS = 2_000;

/** How long before a call something may have gone wrong that the call fails for. */
const TROUBLED_MS = 15_000;

export interface CallOptions {
  readonly resumes?: boolean;
  /** How long the call waits by itself, at most. */
  readonly waitTime?: number | undefined;
}

/** What the calls of one user come to, against what they may come to. */
export class CallChecks {
  /** The session that the program brings along. */
  ownSession: string | undefined;
  readonly #world: World;
  readonly #host: Host;
  readonly #process: SimulatedProcess;
  readonly #plan: UserPlan;

  constructor(world: World, host: Host, process: SimulatedProcess, plan: UserPlan) {
    this.#world = world;
    this.#host = host;
    this.#process = process;
    this.#plan = plan;
  }

  begin({ resumes = false, waitTime = Infinity }: CallOptions = {}): Attempt {
    const { time, ledger } = this.#world;
    const now = time.now();
    const waitsUntil = now + waitTime;
    return ledger.begin(this.#plan.name, this.#process, now, { resumes, waitsUntil });
  }

  acquired(attempt: Attempt, slot: SemaphoreSlot): Tenure {
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
    this.#checkAlone(tenure);
    ledger.tenures.add(tenure);
    ledger.lastUses.set(session, now);
    tally.add("acquisitions");
    this.trace(`acquired with ${session}, token ${token}`);
    this.#checkToken(tenure);
    if (this.#mayBeOver(tenure)) {
      this.#world.fail("A-held", `${tenure.user}'s acquire resolves with a slot that may be over`);
    }
    if (attempt.resumes) this.#resumed(tenure);
    return tenure;
  }

  /** The signal of a call has aborted, and it has rejected. */
  calledOff(abortedAt = Infinity): void {
    this.#world.tally.add("outcome aborted");
    const late = this.#world.time.now() - abortedAt;
    if (late <= ABORT_WITHIN_MS || this.#host.link.trouble.since(abortedAt)) return;
    this.#world.fail("state", `${this.#plan.name}'s acquire rejects ${late} ms after its signal`);
  }

  /** A call ends without a slot, since its time is over. */
  timedOut({ calledAt, waitsUntil }: Attempt): void {
    const now = this.#world.time.now();
    const waited = now - calledAt;
    const fail = (when: string): void => {
      const asked = waitsUntil - calledAt;
      this.#world.fail(
        "state",
        `${this.#plan.name} has waited ${waited} ms, ${when} than ${asked}`,
      );
    };
    if (now < waitsUntil - TIMER_SLACK_MS) fail("shorter");
    const { trouble, lag } = this.#host.link;
    const latest = Math.max(waitsUntil, calledAt + SHORTEST_TRY_MS) + ABORT_WITHIN_MS;
    if (now <= latest || trouble.since(calledAt)) return;
    if (now > latest + lag.share(calledAt, now)) fail("longer");
  }

  /** A call rejects without a slot. */
  refused(attempt: Attempt, error: unknown): void {
    this.#world.tally.add(`error ${codeOf(error)}`);
    if (error instanceof SemaphoreTimeoutError && attempt.waitsUntil < Infinity) {
      this.#world.tally.add("outcome timed out");
      this.timedOut(attempt);
      return;
    }
    if (error instanceof SemaphoreClosedError && this.#host.isShutDown(this.#process)) return;
    const own = this.ownSession !== undefined;
    const excused = this.#host.link.trouble.since(attempt.calledAt - TROUBLED_MS);
    // A session of the program's may be over before the program knows.
    if (error instanceof SemaphoreRequestError && own) return;
    if (error instanceof SemaphoreRequestError && excused) {
      this.#checkPatience(attempt, error);
      return;
    }
    this.#world.fail("state", `${this.#plan.name}'s acquire rejects: ${describe(error)}`);
  }

  /** Whether the call went well; it may fail with one of these, or for an outage. */
  async allowing(call: PromiseLike<unknown>, expected: readonly ErrorClass[]): Promise<boolean> {
    const calledAt = this.#world.time.now();
    try {
      await call;
      return true;
    } catch (error) {
      this.troubled(error, expected, calledAt);
      return false;
    }
  }

  troubled(error: unknown, expected: readonly ErrorClass[], since = this.#world.time.now()): void {
    this.trace(`rejected: ${String(error)}`);
    this.#world.tally.add(`error ${codeOf(error)}`);
    if (expected.some((kind) => error instanceof kind)) return;
    if (error instanceof SemaphoreClosedError && this.#host.isShutDown(this.#process)) return;
    if (error instanceof SemaphoreRequestError) {
      if (this.#host.link.trouble.since(since - TROUBLED_MS)) return;
    }
    this.#world.fail("state", `${this.#plan.name}: ${describe(error)}`);
  }

  askHeld(tenure: Tenure): void {
    const { held } = tenure.slot;
    if (held && tenure.heldSeenFalse) {
      this.#world.fail("A-held", `${tenure.user}'s slot is held again`);
    }
    if (held && this.#mayBeOver(tenure)) {
      this.#world.fail("A-held", `${tenure.user}'s slot is held after its session's TTL`);
    }
    if (!held) tenure.heldSeenFalse = true;
  }

  /** What a release that went well has left behind. */
  gone(tenure: Tenure, releasedAt: number): void {
    const { session, user } = tenure;
    const world = this.#world;
    const reason: unknown = tenure.signal.reason;
    // What is left of a lost slot goes with its session.
    if (reason instanceof SemaphoreLostError || world.interference.hadLateEntry(session)) return;
    if (world.wasPassedOn(session, releasedAt) || this.#host.isShutDown(this.#process)) return;
    const fault = (what: string): void => {
      world.fail("C-leak", `${user} has released, and ${what} of ${session} is still there`);
    };
    if (world.state.isHolder(session)) fault("the slot");
    if (world.state.contenderOf(session) !== undefined) fault("the contender entry");
    if (this.ownSession === undefined) this.#checkKept(session, releasedAt);
  }

  trace(what: string): void {
    this.#world.trace.add(this.#plan.name, what);
  }

  /** The session may be kept for the next acquire of this process, but only if that comes soon. */
  #checkKept(session: string, releasedAt: number): void {
    const { time, ledger } = this.#world;
    ledger.lastUses.set(session, releasedAt);
    time.after(KEPT_MS, () => {
      if (!this.#world.state.sessions.has(session) || this.#process.state !== "runs") return;
      if (this.#host.link.trouble.since(releasedAt)) return;
      if (ledger.lastCallOf(this.#process) >= releasedAt) return;
      // A call that was made before the release may have taken it over, and wait with it, or have
      // had a slot with it since.
      if (ledger.lastUses.get(session) !== releasedAt) return;
      if (this.#world.state.contenderOf(session) !== undefined) return;
      // The one that waited with it may not have heard yet that somebody has deleted its entry.
      if (this.#world.isTampered(session)) return;
      this.#world.fail("C-leak", `${session} is kept ${KEPT_MS} ms after its last slot`);
    });
  }

  /** A slot of the same session has ended before: whatever worked in it has heard. */
  #checkAlone({ session, process, user }: Tenure): void {
    for (const other of this.#world.ledger.tenures) {
      if (other.session !== session || other.process !== process || other.signal.aborted) continue;
      const problem = `${user} has a slot with ${session}, and ${other.user} has one with it still`;
      this.#world.fail("A-too-many", problem);
    }
  }

  /** Here Consul refuses nothing for good: whatever fails is tried again for as long as is promised. */
  #checkPatience({ calledAt, waitsUntil }: Attempt, error: SemaphoreRequestError): void {
    const { cause } = error;
    if (cause instanceof ConsulError && cause.neverAnswered) return;
    const waited = this.#world.time.now() - calledAt;
    const patience = Math.min(ENTRY_PATIENCE_MS, Math.max(waitsUntil - calledAt, SHORTEST_TRY_MS));
    if (waited >= patience - TIMER_SLACK_MS) return;
    this.#world.fail(
      "state",
      `${this.#plan.name}'s acquire gives up after ${waited} ms: ${describe(error)}`,
    );
  }

  #resumed(tenure: Tenure): void {
    this.#world.tally.add("outcome resumed");
    const took = tenure.acquiredAt - tenure.calledAt;
    const { trouble } = this.#host.link;
    if (took <= RESUMED_WITHIN_MS || trouble.since(tenure.calledAt - TROUBLED_MS)) return;
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
}

function codeOf(error: unknown): string {
  return error instanceof SemaphoreError ? error.code : "unknown";
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
