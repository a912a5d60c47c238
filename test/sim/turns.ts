import type { Link } from "./link.js";
import type { StoredEntry } from "./lock-entry.js";
import { Queue, type Holders, type Waiter } from "./queue.js";
import type { SimulatedProcess } from "./simulated-process.js";
import type { Attempt } from "./tenure.js";
import type { Trouble } from "./trouble.js";
import type { Violation } from "./violation.js";

/** How long a slot may be free while the first in the queue is well. */
const TAKEN_WITHIN_MS = 1_500;

/**
 * And how long where nothing disturbs anybody and the slot was released: a few messages there and
 * back. Without being woken, a waiter would look only after 200 ms.
 */
const TAKEN_AT_ONCE_MS = 150;

/** For how long a disturbance may have an effect. */
const DISTURBED_MS = 60_000;

/** What one who is dead may cost a process in all: it has to notice only once, and at times again. */
const MOST_COST_MS = 3_000;

/**
 * So much longer a slot may be free for one behind others that do not move: when one of them goes with
 * its session, the next has a patience of its own. For each of them the looks at the lock are 300 ms
 * rarer, a free slot is left for 100 ms more, and the prefix is read again 50 ms later.
 */
const OBSTACLES_MS = 3_000;
const OBSTACLE_MS = 450;
const MOST_OBSTACLES_MS = 60_000;

/**
 * And so much longer where there is a tail: whoever has entered behind it looks at the lock later than
 * those that know who is ahead, and reads that only then.
 */
const BEHIND_A_TAIL_MS = 4_000;

/** Who has come only just now may be passed by one who could not know it yet. */
const NEWCOMER_MS = 250;

/** After that time whoever has its turn and has not moved may be passed. */
const GRACE_MS = 600;

/** And then, for a while, nobody waits for it any more: the first miss costs it that much. */
const NOT_WAITED_FOR_MS = 5_600;

/**
 * Each client goes by what it has seen. Behind those that do not move, and where something disturbs
 * them, one may take those ahead of it for gone: once, and once more in a hundred turns.
 */
const TURNS_IN_ORDER = 100;

/** Where another is faster it is so by chance, or for as long as it waits for somebody no longer. */
const MOST_PASSES = 15;

/** A request that was lost on the way is missed that much later. */
const UNANSWERED_MS = 60_000;

/** What there is to know of those who wait beyond what the entries show. */
export interface Bystander {
  /** The call that waits with this entry, if there is one. */
  attemptOf(waiter: Waiter): Attempt | undefined;
  /** Who has the session, as its contender entry says. */
  userOf(session: string): string;
  /** Whether that is a program in Go. */
  isBarger(user: string): boolean;
  /** The calls that ask for a slot, but for those that take turns with a session of the program's. */
  readonly independentCalls: readonly Attempt[];
  /** When somebody or something interfered, wherever that was. */
  readonly disturbance: Trouble;
  linkOf(attempt: Attempt): Link;
  /** That of the machine which has the session. */
  linkOfSession(session: string): Link | undefined;
  readonly links: readonly Link[];
  /** Whether somebody has interfered with what belongs to the session. */
  isTampered(session: string): boolean;
}

/** A waiter that can be expected to move. */
interface Ready {
  readonly waiter: Waiter;
  readonly attempt: Attempt;
  readonly link: Link;
  readonly since: number;
}

/** Promise E: that free slots are taken, in whose turn, and that everybody has one. */
export class Turns {
  readonly #queue: Queue;
  readonly #inOrder: boolean;
  readonly #world: Bystander;
  #turnedBackAt = -Infinity;
  #timesOutOfTurn = 0;
  #turns = 0;
  #hasTails = false;
  #chargedUntil = -Infinity;

  /** `inOrder`: whether everybody keeps to the order, which Go's clients do not. */
  constructor(prefix: string, limit: number, inOrder: boolean, world: Bystander) {
    this.#queue = new Queue(prefix, limit);
    this.#inOrder = inOrder;
    this.#world = world;
  }

  /** Consul's indexes start again from lower ones: an answer on its way has one of the past. */
  turnedBack(now: number): void {
    this.#turnedBackAt = now;
  }

  /** Somebody has entered as the tail of the queue, as a long one has it. */
  tailed(): void {
    this.#hasTails = true;
  }

  /** Takes in a change of the entries. */
  changed(entries: readonly StoredEntry[], lock: Holders, now: number): Violation | undefined {
    const queue = this.#queue;
    const { holders, limit } = lock;
    const before = queue.waiters;
    const freeSince = queue.freeSince;
    const slotsWere = queue.freeSlots;
    const taken = before.filter(({ session }) => holders.has(session));
    if (freeSince !== undefined) {
      const violation = this.#charge(freeSince, holders.size >= limit ? before : taken, now);
      if (violation !== undefined) return violation;
    }
    // Who enters and takes a slot in one go has never been seen to wait.
    const newcomers = entries
      .filter(({ session }) => session !== null && holders.has(session))
      .filter(({ session }) => !queue.holders.has(session ?? ""))
      // What somebody has taken away and given back is nobody's turn.
      .filter(({ session }) => !this.#world.isTampered(session ?? ""));
    queue.update(entries, lock, now);
    this.#turns += newcomers.length;
    for (const { session, createIndex } of newcomers) {
      const violation = this.#passed(session ?? "", createIndex, freeSince, slotsWere, now);
      if (violation !== undefined) return violation;
    }
    return undefined;
  }

  /** The slot of a session went to the next call of its process, past all that wait. */
  passedOn(session: string, sentAt: number, now: number): Violation | undefined {
    const holder = this.#world.linkOfSession(session);
    if (holder === undefined || this.#isTroubled(holder, now)) return undefined;
    for (const waiter of this.#queue.waiters) {
      const ready = this.#ready(waiter, now);
      if (ready === undefined || waiter.wasPassed || isBack(ready)) continue;
      if (calm(ready.since, sentAt, [ready.link, holder]) < NEWCOMER_MS) continue;
      return {
        kind: "E-starved",
        problem:
          `${session} was passed on past ${waiter.user} (${waiter.session}), ` +
          `who has waited ${(now - ready.since).toFixed(0)} ms`,
      };
    }
    return undefined;
  }

  /** Looks at what time alone can make a fault of. */
  idle(now: number): Violation | undefined {
    const { freeSince, waiters } = this.#queue;
    if (freeSince === undefined || now - freeSince <= TAKEN_AT_ONCE_MS) return undefined;
    const atOnce = this.#idleAtOnce(freeSince, now);
    if (atOnce !== undefined || now - freeSince <= TAKEN_WITHIN_MS) return atOnce;
    let obstacles = 0;
    for (const [place, waiter] of waiters.entries()) {
      const ready = this.#ready(waiter, now);
      if (obstacles > 0) waiter.heldUpAt = now;
      if (ready === undefined) obstacles += 1;
      if (ready === undefined || ready.attempt.barges) continue;
      const isFirst = place === 0;
      // The time begins anew when the last of those has gone that did not move.
      const clearSince = obstacles === 0 ? waiter.heldUpAt : 0;
      const from = Math.max(freeSince, ready.since, clearSince, isFirst ? waiter.frontSince : 0);
      const idle = calm(from, now, [ready.link]);
      // It goes by how many there were when it came, while those that are left do not move.
      const known = obstacles === 0 ? 0 : waiter.aheadOnEntry;
      const allowed =
        Math.min(OBSTACLE_MS * known, MOST_OBSTACLES_MS) + OBSTACLES_MS + this.#allowedBehindTail;
      if (idle <= TAKEN_WITHIN_MS + (isFirst ? 0 : allowed)) continue;
      return isIdle(idle, place, waiter);
    }
    return undefined;
  }

  /** Looks for calls that wait in memory while there is a slot that nobody waits for. */
  idleCalls(now: number): Violation | undefined {
    const { openSince } = this.#queue;
    if (openSince === undefined || now - openSince <= TAKEN_WITHIN_MS) return undefined;
    if (this.#world.disturbance.since(now - DISTURBED_MS)) return undefined;
    for (const attempt of this.#world.independentCalls) {
      const { user, process, calledAt } = attempt;
      if (attempt.barges || attempt.givenUp || now >= attempt.waitsUntil) continue;
      if (process.state !== "runs") continue;
      const idle = calm(Math.max(openSince, calledAt), now, [this.#world.linkOf(attempt)]);
      if (idle <= TAKEN_WITHIN_MS) continue;
      const problem = `a slot is free for ${idle.toFixed(0)} ms, and ${user} does not contend for it`;
      return { kind: "E-idle", problem };
    }
    return undefined;
  }

  /** Looks at the first in the queue, where it has no excuse at all. */
  #idleAtOnce(freeSince: number, now: number): Violation | undefined {
    const [first] = this.#queue.waiters;
    if (first === undefined || !this.#queue.wasReleased || !this.#isUndisturbed(now))
      return undefined;
    const ready = this.#ready(first, now);
    if (ready === undefined) return undefined;
    const from = Math.max(freeSince, ready.since, first.frontSince);
    const idle = calm(from, now, [ready.link]);
    return idle <= TAKEN_AT_ONCE_MS ? undefined : isIdle(idle, 0, first);
  }

  #isUndisturbed(now: number): boolean {
    return this.#inOrder && !this.#world.disturbance.since(now - DISTURBED_MS);
  }

  /** Looks at whom somebody has passed who is a holder now. */
  #passed(
    session: string,
    createIndex: bigint,
    freeSince: number | undefined,
    slotsWere: number,
    now: number,
  ): Violation | undefined {
    const taker = this.#world.userOf(session);
    const takerLink = this.#world.linkOfSession(session);
    const patient: Ready[] = [];
    let isHeldUp = false;
    for (const waiter of this.#queue.waiters) {
      if (waiter.createIndex >= createIndex) break;
      waiter.wasPassed = true;
      const ready = this.#ready(waiter, now);
      // Those behind one that does not move notice it by and by, each for itself.
      if (ready === undefined || isBack(ready)) {
        isHeldUp = true;
        continue;
      }
      // It had its turn, or word of the free slot was slow to reach it; the others see it passed.
      const wasSlow =
        freeSince !== undefined &&
        (now - freeSince >= GRACE_MS || ready.link.lag.share(freeSince, now) > 0);
      if (wasSlow || isHeldUp) waiter.excusedUntil = now + NOT_WAITED_FOR_MS;
      isHeldUp ||= wasSlow;
      const links = takerLink === undefined ? [ready.link] : [ready.link, takerLink];
      if (calm(ready.since, now, links) < NEWCOMER_MS) continue;
      const isExcused = waiter.excusedUntil > now;
      if (countPass(waiter, taker, now, isExcused) > MOST_PASSES && !this.#world.isBarger(taker)) {
        const problem = `${waiter.user} was passed more than ${MOST_PASSES} times by ${taker}`;
        return { kind: "E-starved", problem };
      }
      if (!isExcused) patient.push(ready);
      // Those behind the taker hear of its turn, and do not wait for this one either.
      else if (!this.#world.isBarger(taker)) waiter.excusedUntil = now + NOT_WAITED_FOR_MS;
    }
    if (!this.#inOrder || this.#isTroubled(takerLink, now)) return undefined;
    const [first] = patient;
    if (first === undefined) return undefined;
    const isRoomForAll = patient.length <= this.#queue.freeSlots;
    if (!isRoomForAll) {
      this.#timesOutOfTurn += 1;
      for (const { waiter } of patient) waiter.excusedUntil = now + NOT_WAITED_FOR_MS;
    }
    const isAllowed = isRoomForAll || this.#timesOutOfTurn <= 1 + this.#turns / TURNS_IN_ORDER;
    // Undisturbed, they take their slots one after the other even if there is room for all: it tells those
    // behind whose turn it is.
    if (isAllowed && !this.#isUndisturbed(now)) return undefined;
    const waited = (now - first.since).toFixed(0);
    return {
      kind: "E-order",
      problem:
        `${session} had a slot (${slotsWere} were free) before ${first.waiter.user} ` +
        `(${first.waiter.session}), who came before it, and has waited ${waited} ms`,
    };
  }

  /** Charges the dead with the time for which a slot was free that `lost` might have had. */
  #charge(freeSince: number, lost: readonly Waiter[], now: number): Violation | undefined {
    const { links } = this.#world;
    const from = Math.max(freeSince, this.#chargedUntil);
    this.#chargedUntil = now;
    const dead: Waiter[] = [];
    // Each of them is charged once by each process, by the first of its waiters that is behind.
    const charged = new Map<SimulatedProcess, number>();
    for (const waiter of this.#queue.waiters) {
      const ready = this.#ready(waiter, now);
      if (this.#isDead(waiter)) dead.push(waiter);
      // One who is merely slow has a part in it that is hard to tell.
      else if (ready === undefined) break;
      if (ready === undefined || ready.attempt.barges || !lost.includes(waiter)) continue;
      const { process } = ready.attempt;
      // All that are ahead have kept it waiting, each for a time in which it might have moved. Its own slow
      // messages are not their fault.
      const chargedFrom = Math.max(from, ready.since);
      const slow = ready.link.lag.share(chargedFrom, now);
      const share = Math.max(0, calm(chargedFrom, now, links) - slow) / dead.length;
      const obstacles = dead.slice(charged.get(process) ?? 0);
      charged.set(process, dead.length);
      for (const obstacle of obstacles) {
        const cost = (obstacle.costs.get(process) ?? 0) + share;
        obstacle.costs.set(process, cost);
        if (cost <= MOST_COST_MS + this.#allowedBehindTail) continue;
        return {
          kind: "E-idle",
          problem:
            `${obstacle.user} (${obstacle.session}), who is dead, has kept slots free for ` +
            `${cost.toFixed(0)} ms in all, as seen by ${waiter.user} (${waiter.session})`,
        };
      }
    }
    return undefined;
  }

  get #allowedBehindTail(): number {
    return this.#hasTails ? BEHIND_A_TAIL_MS : 0;
  }

  #isDead(waiter: Waiter): boolean {
    return this.#world.attemptOf(waiter)?.process.state === "killed";
  }

  #ready(waiter: Waiter, now: number): Ready | undefined {
    const attempt = this.#world.attemptOf(waiter);
    if (attempt?.process.state !== "runs") return undefined;
    if (attempt.givenUp || now >= attempt.waitsUntil) return undefined;
    if (this.#world.isTampered(waiter.session)) return undefined;
    const link = this.#world.linkOf(attempt);
    const since = Math.max(waiter.enteredAt, attempt.calledAt);
    if (link.trouble.since(since - UNANSWERED_MS)) return undefined;
    if (this.#turnedBackAt >= since - UNANSWERED_MS) return undefined;
    return { waiter, attempt, link, since };
  }

  #isTroubled(link: Link | undefined, now: number): boolean {
    return link?.trouble.since(now - UNANSWERED_MS) === true;
  }
}

/** Who has come back to an entry that was there before was dead for the others meanwhile. */
function isBack({ waiter, attempt }: Ready): boolean {
  return waiter.enteredAt < attempt.calledAt;
}

/** Whoever is not waited for for a while may be passed often in it: that counts once. */
function countPass({ passes }: Waiter, taker: string, now: number, isExcused: boolean): number {
  const before = passes.get(taker) ?? { times: 0, since: -Infinity };
  if (isExcused && now < before.since + NOT_WAITED_FOR_MS) return before.times;
  const times = before.times + 1;
  passes.set(taker, { times, since: now });
  return times;
}

function isIdle(ms: number, place: number, { user, session }: Waiter): Violation {
  return {
    kind: "E-idle",
    problem:
      `a slot is free for ${ms.toFixed(0)} ms, and number ${place + 1} in the queue, ` +
      `${user} (${session}), does not take it`,
  };
}

/** How much of a time no message on these links was slow. */
function calm(from: number, to: number, links: readonly Link[]): number {
  const slow = links.reduce((sum, { lag }) => sum + lag.share(from, to), 0);
  return Math.max(0, to - from - slow);
}
