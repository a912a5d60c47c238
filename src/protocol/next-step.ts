import { SemaphoreLimitConflictError } from "../errors.js";
import { tailAhead, waitBehindTail } from "./long-queue.js";
import { freeSlots, vanishedBehind, type QueueView } from "./queue-view.js";
import { isLastTurnLongAgo, isWaitedFor } from "./passes.js";
import { liveHolders, type ContenderEntry } from "./snapshot.js";
import type { Step, Target, Waiter } from "./step.js";

/**
 * How long the first in line takes it that the holders are alive, in milliseconds. A dead holder's
 * entry goes while the lock entry stays, and its slot is to be taken within a second.
 */
const HOLDERS_LIVE_MS = 800;

/**
 * How long a free slot is left to those ahead, in milliseconds: they may be slow, or dead. Each
 * doubling of those that do not move adds as much, since they hear of the slot at different times.
 * A slow network makes it longer, and so does each of those ahead from the twentieth on, or all of
 * a fleet on a busy machine would read the prefix, and pass each other, at once.
 */
const PATIENCE_MS = 250;
const PATIENCE_IN_READINGS = 4;
const FAR_PATIENCE_PER_WAITER_MS = 50;

/**
 * A waiter behind a Go client, or behind one that does not move, hears of nothing. It looks at the
 * lock after a while: later, the more waiters are ahead, and each time after three times as long. Some
 * twenty may have stopped at once, and the next is to have a slot within three seconds.
 */
const FIRST_LOOK_MS = 200;
const LOOK_PER_WAITER_MS = 20;
const NEAR_LOOK_PER_WAITER_MS = 150;
const LONGEST_NEAR_LOOK_MS = 1_500;
const NEAR_WAITERS = 20;
const FAR_LOOK_PER_WAITER_MS = 300;
const LONGEST_LOOK_MS = 60_000;

/**
 * A waiter hears nothing of those further ahead while the one right ahead does not move. Where
 * a slot is free meanwhile, or newcomers become holders (then each time after twice as long), it reads
 * the prefix again: of those that it takes for waiters, most may have gone.
 */
const FIRST_REREAD_MS = 1_000;

/**
 * On a busy machine a waiter often finds that the entry right ahead has gone already. Where the one
 * before it has gone as well, and a slot is free, all of them have had their turns: to read the whole
 * prefix for that would make the machine busier still. While none is free, the next that is gone is
 * reason to read.
 */
const VANISHED_IN_TURN = 2;
const VANISHED_TO_READ = 3;

/** For how long a reading says that nobody waits: a newcomer must not pass others for longer. */
const NOBODY_WAITS_MS = 250;

/**
 * A new holder may give its slot back at once, and a swap at the same time would be in its way: both
 * would look again, and swap again. It is given that time for it, in milliseconds.
 */
const BRIEF_HOLD_MS = 1;

/**
 * For how long after a turn of another client's waiter a slot is handed over from one waiter of this
 * client to the next: so long may one that was passed before find none that is free.
 */
const HANDED_OVER_MS = 250;

/**
 * What to do, by what is known, and by whom it has waited for so far.
 *
 * @throws SemaphoreLimitConflictError where the others go by another limit
 */
export function nextStep(view: QueueView, me: Waiter, target: Target, now: number): Step {
  const tail = tailAhead(view, me);
  if (view.readAt < me.enteredAt && tail === undefined) return { kind: "read" };
  if (view.isLockStale) return lookAnew(view, me, now);
  requireSameLimit(view, me);
  const limit = limitFor(me, view.lock.limit);
  if (view.lock.holders.has(me.session)) {
    return { kind: view.dead.has(me.session) ? "gone" : "rejoin" };
  }
  if (isLastTurnLongAgo(view, now)) return { kind: "read" };
  const free = freeSlots(view, limit);
  if (tail?.hasJoined === false) return waitBehindTail(view, tail, { target, free }, now);
  const others = tail === undefined ? waitersAhead(view, me.session) : [];
  const ahead = others?.filter((it) => isWaitedFor(view, it, now));
  if (ahead === undefined) return { kind: "gone" };

  const last = ahead.at(-1);
  // Waiters join one at a time even if several slots are free: one that sees a new holder assumes that
  // all ahead of that have had their turns.
  if (last === undefined) {
    return free > 0 ? { kind: "join", passing: [] } : watchHolders(view, now);
  }
  const vanished = vanishedBehind(view, last);
  if (vanished > 0) return followVanished(vanished, last, free);
  const place = { ahead, last, target };
  return free === 0
    ? waitForRoom(view, place, now)
    : waitForOthers(view, place, { free, limit }, now);
}

/** The lock may have changed. */
function lookAnew(view: QueueView, me: Waiter, now: number): Step {
  const { joinIndex, lock, lockAt } = view;
  const wasRoomForBoth = freeSlots(view, limitFor(me, lock.limit)) > 1;
  const isJustKnown = now < lockAt + BRIEF_HOLD_MS;
  if ((wasRoomForBoth && isJustKnown) || joinIndex <= lock.modifyIndex) return { kind: "look" };
  return { kind: "look after join", index: joinIndex, atMost: BRIEF_HOLD_MS };
}

/** The one right ahead has gone unseen: it has had its turn, or has given up waiting. */
function followVanished(vanished: number, last: ContenderEntry, free: number): Step {
  if (vanished >= VANISHED_IN_TURN && free > 0) return { kind: "join", passing: [] };
  return vanished < VANISHED_TO_READ ? { kind: "look ahead", entry: last } : { kind: "read" };
}

/** Where a waiter stands that is not the first in line. */
interface Place {
  readonly ahead: readonly ContenderEntry[];
  /** The one right ahead. */
  readonly last: ContenderEntry;
  readonly target: Target;
}

/** No slot is free, and it is the first in line. */
function watchHolders(view: QueueView, now: number): Step {
  const checkAt = holdersSeenAt(view) + HOLDERS_LIVE_MS;
  return now < checkAt ? { kind: "watch lock", atMost: checkAt - now } : { kind: "check" };
}

/** No slot is free. */
function waitForRoom(view: QueueView, place: Place, now: number): Step {
  // Reading the lock includes the holders: the first in line may have died with them.
  const step = waitBehind(view, place, now, Infinity);
  return step.kind === "look" ? { kind: "check" } : step;
}

/** A slot is free, which those ahead are to take first. */
function waitForOthers(
  view: QueueView,
  place: Place,
  { free, limit }: { readonly free: number; readonly limit: number },
  now: number,
): Step {
  const { ahead } = place;
  const { idleFront } = view;
  const isIdle = idleFront?.createIndex === ahead[0]?.createIndex;
  const idleSince = (isIdle ? idleFront?.since : undefined) ?? Infinity;
  // Of a slot that only dead holders leave those ahead hear when they check.
  const isOpen = view.lock.holders.size < limit;
  const noticed = isOpen ? 0 : HOLDERS_LIVE_MS;
  const others = Math.max(0, ahead.length - free);
  const passAt =
    idleSince +
    noticed +
    PATIENCE_MS * (1 + Math.log2(others + 1)) +
    FAR_PATIENCE_PER_WAITER_MS * Math.max(0, others - NEAR_WAITERS) +
    PATIENCE_IN_READINGS * view.readTook;
  if (now < passAt) return waitBehind(view, place, now, passAt);
  if (view.lockAt < passAt) return { kind: "look" };
  // Others may have come first and gone since: passed is who stands ahead now.
  return view.readAt < passAt ? { kind: "read" } : { kind: "join", passing: ahead };
}

/** Waits for the one right ahead, but looks at the lock now and then. */
function waitBehind(
  view: QueueView,
  { ahead, last, target }: Place,
  now: number,
  until: number,
): Step {
  const since = last.createIndex === target.createIndex ? target.since : now;

  const rereadAt = view.readAt + Math.max(FIRST_REREAD_MS, view.readAt - since);
  if (ahead.length > 1 && now >= rereadAt && isOvertaken(view)) return { kind: "read" };

  const first = Math.max(FIRST_LOOK_MS, LOOK_PER_WAITER_MS * ahead.length);
  const lookedAt = Math.max(view.lockAt, since);
  const pause = Math.min(Math.max(2 * (lookedAt - since), first), longestPause(ahead.length));
  const lookAt = lookedAt + pause;
  if (now >= lookAt) return { kind: "look" };
  return { kind: "watch entry", entry: last, atMost: Math.min(lookAt, until) - now };
}

/** Between two looks at the lock of a waiter that has so many others ahead. */
function longestPause(ahead: number): number {
  const near = Math.min(NEAR_LOOK_PER_WAITER_MS * (ahead + 1), LONGEST_NEAR_LOOK_MS);
  const far = FAR_LOOK_PER_WAITER_MS * Math.max(0, ahead - NEAR_WAITERS);
  return Math.min(near + far, LONGEST_LOOK_MS);
}

/**
 * Whether a newcomer may take a slot at once: one is free, and nobody waits. One that is in the lock
 * already, by a copy of a write that was refused, would change nothing, and have no index of its own.
 */
export function mayJoinAtOnce(view: QueueView, me: Waiter, now: number): boolean {
  return (
    isUncontended(view, me, now) &&
    !view.lock.holders.has(me.session) &&
    freeSlots(view, limitFor(me, view.lock.limit)) > 0
  );
}

/** Whether the next run of this client may have a holder's slot: nobody else waits for it. */
export function mayPassOn(view: QueueView, holder: Waiter, now: number): boolean {
  const holders = liveHolders(view);
  return (
    isUncontended(view, holder, now) &&
    holders.has(holder.session) &&
    holders.size <= limitFor(holder, view.lock.limit)
  );
}

/** Whether nobody waits, as far as a reading says that is not too old. */
function isUncontended(view: QueueView, me: Waiter, now: number): boolean {
  return (
    now < view.readAt + NOBODY_WAITS_MS &&
    !view.isLockStale &&
    (view.lock.limit === undefined || view.lock.limit === limitFor(me, view.lock.limit)) &&
    !view.waiters.some((waiter) => isWaitedFor(view, waiter, now))
  );
}

/**
 * Whether a slot that comes free is for this waiter: being first in line is for good. Those that were
 * passed count as well, since a slot that is handed over is never free for them. They may be anybody
 * ahead of the last that became a holder.
 */
export function isNextInLine(view: QueueView, me: Waiter, now: number): boolean {
  const { lock, lastTurn, readAt } = view;
  return (
    readAt >= me.enteredAt &&
    now < (lastTurn?.at ?? Infinity) + HANDED_OVER_MS &&
    lock.limit === limitFor(me, lock.limit) &&
    view.waiters[0]?.session === me.session &&
    freeSlots(view, lock.limit) > 0
  );
}

/** The limit that a contender goes by, where the lock entry has this one, if any. */
export function limitFor(
  { limit, adoptsLimit }: Pick<Waiter, "limit" | "adoptsLimit">,
  lockLimit: number | undefined,
): number {
  return adoptsLimit && lockLimit !== undefined && lockLimit > 0 ? lockLimit : limit;
}

/** @throws SemaphoreLimitConflictError unless everybody agrees on the limit. */
export function requireSameLimit({ lock }: Pick<QueueView, "lock">, me: Waiter): void {
  if (lock.limit === undefined || lock.limit === limitFor(me, lock.limit)) return;
  throw new SemaphoreLimitConflictError(lock.limit, me.limit);
}

/** The waiters that came before; nothing for one that is no waiter. */
export function waitersAhead(
  { waiters }: QueueView,
  session: string,
): readonly ContenderEntry[] | undefined {
  const place = waiters.findIndex((waiter) => waiter.session === session);
  return place === -1 ? undefined : waiters.slice(0, place);
}

/** Whether somebody holds who came after the last reading. */
function isOvertaken(view: QueueView): boolean {
  const known = new Set(view.read.map(({ session }) => session));
  return [...liveHolders(view)].some((session) => !known.has(session));
}

/** When the holder that was last seen alive the longest ago was seen so. */
function holdersSeenAt(view: QueueView): number {
  return Math.min(...[...liveHolders(view)].map((it) => view.aliveAt.get(it) ?? -Infinity));
}
