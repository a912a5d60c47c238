import { SemaphoreLostError, SemaphoreReleasedError } from "../../src/index.js";
import type { HttpResponse } from "../../src/testing/fake-consul/carrier.js";
import { FakeConsul } from "../../src/testing/fake-consul/fake-consul.js";
import type { Barger } from "./barger.js";
import { ConsulState, machineOf } from "./consul-state.js";
import { readAsGo } from "./go-lock.js";
import type { Host } from "./host.js";
import {
  needlessLoss,
  notTold,
  outlived,
  tooManyLive,
  wireProblem,
  type ConfirmedTerm,
} from "./invariants.js";
import { Ledger } from "./ledger.js";
import { Limits } from "./limits.js";
import { Interference } from "./interference.js";
import type { Exchange, LinkObserver } from "./exchange.js";
import type { Link } from "./link.js";
import { LockHistory, type LockWrite } from "./lock-history.js";
import type { Random } from "./prng.js";
import { LockWatch } from "./lock-watch.js";
import { passesOn, renewedSession } from "./request-text.js";
import type { Waiter } from "./queue.js";
import { isProgramSession, PREFIX, type Scenario } from "./scenario.js";
import { Tally } from "./tally.js";
import { isLive, type Attempt, type Tenure } from "./tenure.js";
import type { Trace } from "./trace.js";
import { Trouble } from "./trouble.js";
import { Turns, type Bystander } from "./turns.js";
import type { Violation, ViolationKind } from "./violation.js";
import type { VirtualTime } from "./virtual-time.js";

/** One run: Consul, the machines, and what is known of them that they do not know themselves. */
export class World implements LinkObserver, Bystander {
  readonly time: VirtualTime;
  readonly scenario: Scenario;
  readonly trace: Trace;
  readonly tally = new Tally();
  readonly ledger = new Ledger();
  readonly disturbance: Trouble;
  readonly consul: FakeConsul;
  readonly state: ConsulState;
  readonly interference = new Interference();
  readonly limits: Limits;
  readonly hosts: Host[] = [];
  readonly bargers: Barger[] = [];
  readonly #linksByMachine = new Map<string, Link>();
  #links: readonly Link[] = [];
  /** The work is over: finish what is under way. */
  windsDown = false;
  readonly #history = new LockHistory();
  readonly #lockWatch = new LockWatch(PREFIX);
  /** What Consul is at; nothing where the world changes by itself. */
  #applied: Exchange | undefined;
  /** When the slot of a session was last passed on to the next call. */
  readonly #passedOnAt = new Map<string, number>();
  #restoredAt = -Infinity;
  readonly #turns: Turns;
  readonly #terms = new Map<string, ConfirmedTerm>();
  /** The users all of whose calls have one session of the program's. */
  readonly #sharers: ReadonlySet<string>;
  readonly #only: ViolationKind | undefined;
  #violation: Violation | undefined;

  /** `only`: the kind of violation to look for, if not all. */
  constructor(
    time: VirtualTime,
    scenario: Scenario,
    random: Random,
    trace: Trace,
    only?: ViolationKind,
  ) {
    this.#only = only;
    this.time = time;
    this.disturbance = new Trouble(() => time.now());
    this.scenario = scenario;
    this.trace = trace;
    const users = scenario.hosts.flatMap((host) => host.users);
    const sharers = users.filter(({ ownSession }) => ownSession !== undefined);
    this.#sharers = new Set(sharers.map(({ name }) => name));
    this.limits = new Limits(scenario.limit);
    this.#turns = new Turns(PREFIX, scenario.limit, scenario.bargers.length === 0, this);
    this.consul = new FakeConsul({
      clock: time,
      // Far up, so that there is room below for servers that are restored.
      firstIndex: 1_000_000_000n,
      random: () => random.next(),
      sessionLifetime: (ttl) =>
        ttl * (random.chance(scenario.promptExpiry) ? 1 : random.between(1, 2)),
    });
    this.state = new ConsulState(this.consul);
    this.consul.onChange = (index) => {
      this.#changed(index);
    };
  }

  addHost(host: Host): void {
    this.hosts.push(host);
    this.#addLink(host);
  }

  addBarger(barger: Barger): void {
    this.bargers.push(barger);
    this.#addLink(barger);
  }

  get violation(): Violation | undefined {
    return this.#violation;
  }

  /** Whether all promises have been kept so far. */
  isSound(): boolean {
    return this.#violation === undefined;
  }

  /** The first one counts: what follows may come of it. */
  fail(kind: ViolationKind, problem: string): void {
    this.report({ kind, problem });
  }

  report(violation: Violation | undefined): void {
    if (violation === undefined || this.#violation !== undefined) return;
    if (this.#only !== undefined && violation.kind !== this.#only) return;
    this.#violation = violation;
    const queue = this.state.waiters.map(({ session }) => session ?? "");
    const named = queue.map((session) => `${this.state.userOf(session)} (${session})`);
    this.trace.add("queue", named.join(", "));
    this.trace.add("VIOLATION", `${violation.kind}: ${violation.problem}`);
  }

  // What the links tell.

  struck(fault: string, { process, request }: Exchange): void {
    this.tally.add(`fault ${fault}`);
    this.trace.add(process.name, `${fault}: ${request.method} ${request.path}`);
  }

  applying(exchange: Exchange): void {
    const { process, request } = exchange;
    this.#applied = exchange;
    this.#lockWatch.writer = process.name;
    // A process that was killed has given up all that it had sent.
    const isLate = exchange.gaveUp || process.state === "killed";
    this.trace.add(process.name, `${isLate ? "(late) " : ""}> ${request.method} ${request.path}`);
    if (!isLate) return;
    this.tally.add("late write");
    this.interference.late(request);
  }

  answered({ process, request, sentAt }: Exchange, { status, body }: HttpResponse): void {
    const shown = body.length > 90 ? `${body.slice(0, 90)}…` : body.trim();
    this.trace.add(process.name, `< ${status} ${request.method} ${request.path} ${shown}`);
    const session = renewedSession(request.path, body);
    if (status === 200 && session !== undefined) {
      this.#terms.set(`${process.name} ${session}`, { sentAt });
    }
  }

  // Consul's side.

  /** The write of the lock entry that made somebody a holder. */
  writeOf(token: bigint): LockWrite | undefined {
    return this.#history.at(token);
  }

  /** Somebody outside has put an end to what belongs to the session. */
  force(session: string): void {
    this.interference.force(session, this.time.now());
    this.disturbance.begin()();
  }

  /** Consul's indexes start again from lower ones. */
  turnedBack(): void {
    this.ledger.turnBackTokens(this.time.now());
    this.#restoredAt = this.time.now();
    this.#turns.turnedBack(this.#restoredAt);
  }

  // What processes may count on.

  confirmedTerm({ process, session }: Tenure): ConfirmedTerm | undefined {
    return this.#terms.get(`${process.name} ${session}`);
  }

  /** When the slot was last invalidated by force, if it was since the write that made it one. */
  forcedAt({ session, token, acquiredAt }: Tenure): number | undefined {
    const at = this.interference.forcedAt(session);
    return at !== undefined && at >= (this.writeOf(token)?.at ?? acquiredAt) ? at : undefined;
  }

  /** Looks at everything that has to be true at every moment. Returns whether it is. */
  check(): boolean {
    this.#lockWatch.writer = undefined;
    this.#applied = undefined;
    const now = this.time.now();
    const { tenures, goHoldings } = this.ledger;
    // Where the limit was lowered, those that hold go on.
    const limit = Math.max(this.limits.current, this.#lockWatch.alive.size);
    if (tenures.size + goHoldings.size > limit) {
      const others = [...goHoldings]
        .map(({ session }) => session)
        .filter((session) => this.state.isHolder(session))
        .filter((session) => this.interference.forcedAt(session) === undefined);
      this.report(
        tooManyLive(tenures, limit, (tenure) => this.forcedAt(tenure) !== undefined, others),
      );
    }
    this.report(this.#turns.idle(now));
    this.report(this.#turns.idleCalls(now));
    for (const tenure of tenures) {
      if (tenure.process.state === "killed") {
        tenures.delete(tenure);
        continue;
      }
      if (tenure.signal.aborted) {
        this.#ended(tenure, now);
        if (tenure.releaseBegun) tenures.delete(tenure);
        continue;
      }
      if (!isLive(tenure)) continue;
      this.report(outlived(tenure, this.confirmedTerm(tenure), now));
      const forcedAt = this.forcedAt(tenure);
      if (forcedAt === undefined) continue;
      this.report(notTold(tenure, forcedAt, this.linkOf(tenure), this.#restoredAt, now));
    }
    return this.isSound();
  }

  get links(): readonly Link[] {
    return this.#links;
  }

  /** The call that waits in the queue with this entry. */
  attemptOf({ user, session }: Waiter): Attempt | undefined {
    const name = this.state.nameOf(session);
    const attempts = [...this.ledger.attemptsOf(user)];
    // A session of the program's goes from a process that was killed to the next.
    const last = attempts.findLast(
      ({ process }) => process.name === name || isProgramSession(name),
    );
    if (last === undefined || attempts.length === 1) return last;
    // Nobody can tell which of several calls waits with it, or which of them was called off.
    const calls = attempts.filter(({ process }) => process === last.process);
    return {
      ...last,
      calledAt: Math.min(...calls.map(({ calledAt }) => calledAt)),
      waitsUntil: Math.min(...calls.map(({ waitsUntil }) => waitsUntil)),
      givenUp: calls.some(({ givenUp }) => givenUp),
    };
  }

  get independentCalls(): readonly Attempt[] {
    return this.ledger.attempts.filter(({ user }) => !this.#sharers.has(user));
  }

  userOf(session: string): string {
    return this.state.userOf(session);
  }

  isBarger(user: string): boolean {
    return this.bargers.some(({ plan }) => plan.name === user);
  }

  isTampered(session: string): boolean {
    return this.interference.isTampered(session);
  }

  /** Whether the slot of a session was passed on to the next call since then. */
  wasPassedOn(session: string, since: number): boolean {
    return (this.#passedOnAt.get(session) ?? -Infinity) >= since;
  }

  /** The index of the write that made the session a holder the last time. */
  joinedAt(session: string): bigint | undefined {
    return this.#lockWatch.joinedAt(session);
  }

  linkOf({ process }: { readonly process: { readonly name: string } }): Link {
    const link = this.#linkOfMachine(machineOf(process.name));
    if (link === undefined) throw new Error(`no host of ${process.name}`);
    return link;
  }

  linkOfSession(session: string): Link | undefined {
    return this.#linkOfMachine(this.state.machineOf(session));
  }

  #linkOfMachine(machine: string): Link | undefined {
    return this.#linksByMachine.get(machine);
  }

  /** The signal has aborted. Called again and again, it looks just once. */
  #ended(tenure: Tenure, now: number): void {
    if (tenure.endSeen) return;
    tenure.endSeen = true;
    const reason: unknown = tenure.signal.reason;
    if (reason instanceof SemaphoreReleasedError) {
      const byClose = this.hosts.some((host) => host.isDrained(tenure.process));
      if (!tenure.releaseBegun && !byClose)
        this.fail("state", `${tenure.user}'s slot was released by nobody`);
      return;
    }
    if (!(reason instanceof SemaphoreLostError)) {
      this.fail("state", `${tenure.user}'s signal has the reason ${String(reason)}`);
      return;
    }
    const forced = this.forcedAt(tenure) !== undefined;
    this.tally.add(`loss ${reason.reason}${forced ? " (forced)" : ""}`);
    this.trace.add(tenure.user, `lost ${tenure.session}: ${reason.message}`);
    const intact = this.state.isHolder(tenure.session);
    const { outage, lateAnswers } = this.linkOf(tenure);
    const evidence = { reason: reason.reason, forced, intact, outage, lateAnswers };
    this.report(needlessLoss(tenure, evidence, now));
  }

  #changed(index: bigint): void {
    const { entries, tails, lock, holders, sessions } = this.state;
    const now = this.time.now();
    const limitWas = this.limits.current;
    this.report(this.limits.changed(this.state.limit, this.#lockWatch.writer, now));
    const limit = this.limits.current;
    if (limit !== limitWas) this.tally.add(limit > limitWas ? "limit raised" : "limit lowered");
    if (lock?.modifyIndex === index) {
      this.#history.record(index, { at: now, holders });
      this.trace.add("consul", `${index}: holders ${[...holders].join(" ")}`);
    } else {
      this.trace.add("consul", `${index}`);
    }
    const view = {
      prefix: PREFIX,
      entries,
      tails,
      sessions,
      forced: (session: string) => this.isTampered(session),
      barges: (session: string) =>
        this.bargers.some(({ process }) => process.name === this.state.nameOf(session)),
    };
    this.report(wireProblem(view));
    if (tails.length > 0) this.#turns.tailed();
    const all = [...entries.values()];
    const seenByGo = readAsGo(PREFIX, limit, [...all, ...tails]);
    if (typeof seenByGo === "string") {
      this.fail("wire", `a program in Go ends with: ${seenByGo}`);
      return;
    }
    const machineOfSession = (session: string): string => this.state.machineOf(session);
    this.report(this.#lockWatch.changed(view, index, limit, machineOfSession));
    this.report(this.#turns.changed(all, seenByGo, now));
    if (this.#lockWatch.alive.size > limit) this.tally.add("more holders than a lowered limit");
    if (lock?.modifyIndex === index) this.#checkPassedOn(now);
    for (const tenure of this.ledger.tenures) {
      if (this.forcedAt(tenure) !== undefined) continue;
      if (this.interference.hadLateWrite(tenure.session)) continue;
      if (isLive(tenure) && !seenByGo.holders.has(tenure.session)) {
        this.fail("wire", `a program in Go does not see that ${tenure.user} has a slot`);
      }
    }
  }

  /** A slot that is passed on is no news in the entries: only the request tells. */
  #checkPassedOn(now: number): void {
    if (this.#applied === undefined) return;
    const { request, sentAt } = this.#applied;
    const session = passesOn(request);
    if (session === undefined) return;
    this.#passedOnAt.set(session, now);
    this.tally.add("slot passed on");
    const { alive } = this.#lockWatch;
    const limit = this.limits.current;
    if (alive.size > limit) {
      this.fail(
        "wire",
        `${session} was passed on among ${alive.size} live holders, limit ${limit}`,
      );
    }
    this.report(this.#turns.passedOn(session, sentAt, now));
  }

  #addLink({ plan, link }: Host | Barger): void {
    this.#linksByMachine.set(plan.name, link);
    this.#links = [...this.#links, link];
  }
}
