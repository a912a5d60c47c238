import { SemaphoreLostError, SemaphoreReleasedError } from "../../src/index.js";
import type { HttpResponse } from "../fake-consul/carrier.js";
import { FakeConsul } from "../fake-consul/fake-consul.js";
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
import type { Exchange, LinkObserver } from "./link.js";
import { readWrittenLock, type StoredEntry } from "./lock-entry.js";
import { LockHistory, type LockWrite } from "./lock-history.js";
import type { Random } from "./prng.js";
import { PREFIX, type Scenario } from "./scenario.js";
import { Tally } from "./tally.js";
import { isLive, type Tenure } from "./tenure.js";
import type { Trace } from "./trace.js";
import type { Violation, ViolationKind } from "./violation.js";
import type { VirtualTime } from "./virtual-time.js";

const CONTENDER_KEY = new RegExp(`${PREFIX}/([0-9a-f-]{36})`, "g");

/** One run: Consul, the machines, and what is known of them that they do not know themselves. */
export class World implements LinkObserver {
  readonly time: VirtualTime;
  readonly scenario: Scenario;
  readonly trace: Trace;
  readonly tally = new Tally();
  readonly ledger = new Ledger();
  readonly consul: FakeConsul;
  readonly hosts: Host[] = [];
  /** The work is over: finish what is under way. */
  windsDown = false;
  readonly #history = new LockHistory();
  readonly #terms = new Map<string, ConfirmedTerm>();
  readonly #forced = new Map<string, number>();
  /** Sessions whose contender entry a request was about that its sender had given up. */
  readonly #lateWrites = new Set<string>();
  #violation: Violation | undefined;

  constructor(time: VirtualTime, scenario: Scenario, random: Random, trace: Trace) {
    this.time = time;
    this.scenario = scenario;
    this.trace = trace;
    this.consul = new FakeConsul({
      clock: time,
      // Far up, so that there is room below for servers that are restored.
      firstIndex: 1_000_000_000n,
      random: () => random.next(),
      sessionLifetime: (ttl) =>
        ttl * (random.chance(scenario.promptExpiry) ? 1 : random.between(1, 2)),
    });
    this.consul.onChange = (index) => {
      this.#changed(index);
    };
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
    this.#violation = violation;
    this.trace.add("VIOLATION", `${violation.kind}: ${violation.problem}`);
  }

  // What the links tell.

  struck(fault: string, { process, request }: Exchange): void {
    this.tally.add(`fault ${fault}`);
    this.trace.add(process.name, `${fault}: ${request.method} ${request.path}`);
  }

  applying({ process, request, gaveUp }: Exchange): void {
    this.trace.add(process.name, `${gaveUp ? "(late) " : ""}> ${request.method} ${request.path}`);
    if (!gaveUp) return;
    this.tally.add("late write");
    for (const [, session = ""] of `${request.path} ${request.body}`.matchAll(CONTENDER_KEY)) {
      this.#lateWrites.add(session);
    }
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

  entry(key: string): StoredEntry | undefined {
    return this.consul.entries.find((entry) => entry.key === key);
  }

  get holders(): ReadonlySet<string> {
    const entry = this.entry(`${PREFIX}/.lock`);
    return (entry === undefined ? undefined : readWrittenLock(entry)?.holders) ?? new Set();
  }

  isSessionAlive(session: string): boolean {
    return this.consul.sessions.some(({ id }) => id === session);
  }

  /** Whether Consul shows the session as a holder with all that belongs to it. */
  isHolder(session: string): boolean {
    return (
      this.holders.has(session) &&
      this.isSessionAlive(session) &&
      this.entry(`${PREFIX}/${session}`)?.session === session
    );
  }

  /** The write of the lock entry that made somebody a holder. */
  writeOf(token: bigint): LockWrite | undefined {
    return this.#history.at(token);
  }

  /** Somebody outside has put an end to what belongs to the session. */
  force(session: string): void {
    this.#forced.set(session, this.time.now());
  }

  hadLateWrite(session: string): boolean {
    return this.#lateWrites.has(session);
  }

  // What processes may count on.

  confirmedTerm({ process, session }: Tenure): ConfirmedTerm | undefined {
    return this.#terms.get(`${process.name} ${session}`);
  }

  /** When the slot was last invalidated by force, if it was since the write that made it one. */
  forcedAt({ session, token, acquiredAt }: Tenure): number | undefined {
    const at = this.#forced.get(session);
    return at !== undefined && at >= (this.writeOf(token)?.at ?? acquiredAt) ? at : undefined;
  }

  /** Looks at everything that has to be true at every moment. Returns whether it is. */
  check(): boolean {
    const now = this.time.now();
    const { tenures } = this.ledger;
    if (tenures.size > this.scenario.limit) {
      this.report(
        tooManyLive(tenures, this.scenario.limit, (tenure) => this.forcedAt(tenure) !== undefined),
      );
    }
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
      const trouble = this.linkOf(tenure).trouble;
      this.report(notTold(tenure, forcedAt, trouble, now));
    }
    return this.isSound();
  }

  linkOf({ process }: { readonly process: { readonly name: string } }): Host["link"] {
    const host = this.hosts.find(({ plan }) => process.name.startsWith(`${plan.name}#`));
    if (host === undefined) throw new Error(`no host of ${process.name}`);
    return host.link;
  }

  /** The signal has aborted. Called again and again, it looks just once. */
  #ended(tenure: Tenure, now: number): void {
    if (tenure.endSeen) return;
    tenure.endSeen = true;
    const reason: unknown = tenure.signal.reason;
    if (reason instanceof SemaphoreReleasedError) {
      if (!tenure.releaseBegun) this.fail("state", `${tenure.user}'s slot was released by nobody`);
      return;
    }
    if (!(reason instanceof SemaphoreLostError)) {
      this.fail("state", `${tenure.user}'s signal has the reason ${String(reason)}`);
      return;
    }
    const forced = this.forcedAt(tenure) !== undefined;
    this.tally.add(`loss ${reason.reason}${forced ? " (forced)" : ""}`);
    this.trace.add(tenure.user, `lost ${tenure.session}: ${reason.message}`);
    const intact = this.isHolder(tenure.session);
    const { outage } = this.linkOf(tenure);
    this.report(needlessLoss(tenure, { reason: reason.reason, forced, intact, outage }, now));
  }

  #changed(index: bigint): void {
    const { entries, sessions } = this.consul;
    const lock = entries.find(({ key }) => key === `${PREFIX}/.lock`);
    if (lock?.modifyIndex === index) {
      const holders = readWrittenLock(lock)?.holders ?? new Set();
      this.#history.record(index, { at: this.time.now(), holders });
      this.trace.add("consul", `${index}: holders ${[...holders].join(" ")}`);
    } else {
      this.trace.add("consul", `${index}`);
    }
    this.report(
      wireProblem({
        prefix: PREFIX,
        limit: this.scenario.limit,
        entries,
        sessions: new Set(sessions.map(({ id }) => id)),
        forced: (session) => this.#forced.has(session) || this.hadLateWrite(session),
      }),
    );
  }
}

/** The session that the answer to a request shows to be alive, and its TTL to have begun anew. */
function renewedSession(path: string, body: string): string | undefined {
  const [, renewed] = /^\/v1\/session\/renew\/([0-9a-f-]{36})/.exec(path) ?? [];
  if (renewed !== undefined) return renewed;
  if (!path.startsWith("/v1/session/create")) return undefined;
  return /"ID":\s*"([0-9a-f-]{36})"/.exec(body)?.[1];
}
