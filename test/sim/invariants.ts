import { readWrittenLock, SEMAPHORE_FLAGS, type StoredEntry } from "./lock-entry.js";
import type { Tenure } from "./tenure.js";
import { isLive } from "./tenure.js";
import type { Trouble } from "./trouble.js";
import type { Violation } from "./violation.js";

/** What a process may count on: its last create or renew of a session that Consul has confirmed. */
export interface ConfirmedTerm {
  readonly sentAt: number;
}

/** How far the clock of Node's timers may be off. */
const TIMER_SLACK_MS = 2;

/** How soon a holder must hear that its slot is gone, with Consul within reach. */
const TOLD_WITHIN_MS = 1_000;

/** How long the library waits for an answer to one look at its slot, at most. */
const LONGEST_LOOK_MS = 40_000;

/** How long it has Consul wait for a change meanwhile, where nothing changes; with a TTL, half of it. */
const LONGEST_WAIT_MS = 30_000;

/** Consul adds up to that much. */
const LENGTHENED = 17 / 16;

/** Trouble may show that much later, as a look without an answer. */
const UNANSWERED_LOOK_MS = 60_000;

/**
 * Promise A, at one instant. `isForced` tells slots that somebody invalidated by force; `others` are
 * the sessions of Go's clients that have slots which Consul shows.
 */
export function tooManyLive(
  tenures: Iterable<Tenure>,
  limit: number,
  isForced: (tenure: Tenure) => boolean,
  others: readonly string[],
): Violation | undefined {
  const live = [...tenures].filter((tenure) => isLive(tenure) && !isForced(tenure));
  const count = live.length + others.length;
  if (count <= limit) return undefined;
  const holders = [...live.map(({ user, session }) => `${user} (${session})`), ...others].join(
    ", ",
  );
  return { kind: "A-too-many", problem: `${count} live slots, limit ${limit}: ${holders}` };
}

/** The means of promise A: no slot is live once Consul may have let go of its session. */
export function outlived(
  tenure: Tenure,
  term: ConfirmedTerm | undefined,
  now: number,
): Violation | undefined {
  const { ttl, user, session } = tenure;
  if (!isLive(tenure) || ttl === null) return undefined;
  const confirmed = term?.sentAt ?? -Infinity;
  if (now <= confirmed + ttl + TIMER_SLACK_MS) return undefined;
  return {
    kind: "A-outlived",
    problem: `${user}'s slot is live ${now - confirmed} ms after the last renewal of ${session}`,
  };
}

/** Promise B, for a slot that was taken away at `forcedAt`. */
export function notTold(
  tenure: Tenure,
  forcedAt: number,
  { trouble, lag }: { readonly trouble: Trouble; readonly lag: Trouble },
  restoredAt: number,
  now: number,
): Violation | undefined {
  if (!isLive(tenure)) return undefined;
  const from = Math.max(forcedAt, tenure.acquiredAt);
  const { ttl } = tenure;
  // A look that was lost on the way before it is noticed only when its time is over.
  const unanswered = trouble.since(from - UNANSWERED_LOOK_MS) ? (ttl ?? LONGEST_LOOK_MS) : 0;
  // And the one that waits for an index from before a restore, which may have been sent a moment
  // after that, cannot tell; but the next can.
  const look = Math.min(LONGEST_WAIT_MS, (ttl ?? Infinity) / 2) * LENGTHENED;
  const outdated = Math.max(0, restoredAt + look - from);
  // Slow messages are no trouble, but take their time there and back.
  const allowed = Math.max(unanswered, outdated) + TOLD_WITHIN_MS + lag.share(from, now);
  if (trouble.longestCalm(from, now) <= allowed) return undefined;
  return {
    kind: "B-not-told",
    problem: `${tenure.user} has not heard for ${now - from} ms that its slot was taken away`,
  };
}

export interface LossEvidence {
  readonly reason: string;
  readonly forced: boolean;
  /** Whether session, contender entry and holder entry are all there. */
  readonly intact: boolean;
  /** What can keep a renewal from succeeding, and what can keep the answer to a read away beside that. */
  readonly outage: Trouble;
  readonly lateAnswers: Trouble;
}

/** Promise D: whether the reason for which a slot was lost is one. */
export function needlessLoss(
  { ttl, user }: Tenure,
  { reason, forced, intact, outage, lateAnswers }: LossEvidence,
  now: number,
): Violation | undefined {
  if (forced) return undefined;
  const problem = (text: string): Violation => ({
    kind: "D-needless-loss",
    problem: `${user} lost its slot, ${reason}: ${text}`,
  });
  if (reason === "session-expired" && ttl === null) return problem("its session has no TTL");
  if (reason !== "session-expired" && reason !== "monitor-failed" && intact) {
    return problem("but all of it is there");
  }
  // The look at a slot whose session has no TTL is repeated only as often as was asked for.
  if (ttl === null) {
    const since = now - UNANSWERED_LOOK_MS;
    if (outage.since(since) || lateAnswers.since(since)) return undefined;
    return problem("and there was no trouble");
  }
  const window = ttl;
  const calm = outage.longestCalm(Math.max(0, now - window), now);
  // A waiter renews its session that often, and the request may be on its way when the calm ends.
  if (calm < window / 2 + TIMER_SLACK_MS) return undefined;
  return problem(`in the last TTL (${window} ms) there were ${calm.toFixed(0)} ms without trouble`);
}

export interface StoreView {
  readonly prefix: string;
  /** By their keys. */
  readonly entries: ReadonlyMap<string, StoredEntry>;
  /** Those that say who is the last in a long queue. */
  readonly tails: readonly StoredEntry[];
  readonly sessions: ReadonlySet<string>;
  /** Sessions whose contender entry somebody else may have deleted. */
  readonly forced: (session: string) => boolean;
  /** Sessions of Go's clients, which write without asking what became of theirs. */
  readonly barges: (session: string) => boolean;
}

/** What must be true of the entries at every moment, for other clients of the prefix too. */
export function wireProblem(view: StoreView): Violation | undefined {
  const { prefix, entries, tails, sessions, forced, barges } = view;
  const problem = (text: string): Violation => ({ kind: "wire", problem: text });
  if (tails.length > 1) return problem(`there are ${tails.length} tails`);
  for (const { key, session } of tails) {
    if (key !== `${prefix}/.tail/${session ?? ""}`) {
      return problem(`${key} is locked by ${String(session)}`);
    }
  }
  for (const entry of entries.values()) {
    if (entry.flags !== SEMAPHORE_FLAGS) return problem(`${entry.key} has flags ${entry.flags}`);
    if (entry.key !== `${prefix}/.lock`) {
      if (entry.key !== `${prefix}/${entry.session ?? ""}`) {
        return problem(`${entry.key} is locked by ${String(entry.session)}`);
      }
      continue;
    }
    const lock = readWrittenLock(entry);
    if (lock === undefined) {
      return problem(`no semaphore writes ${Buffer.from(entry.value ?? []).toString()}`);
    }
    for (const session of lock.holders) {
      const key = `${prefix}/${session}`;
      const contends = entries.get(key)?.session === session;
      if (contends) continue;
      if (sessions.has(session) && !forced(session) && !barges(session)) {
        return problem(`the holder ${session} is alive without its contender entry`);
      }
    }
  }
  return undefined;
}
