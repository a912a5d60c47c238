import { SemaphoreLimitConflictError } from "../errors.js";
import { tailAhead, waitBehindTail } from "./long-queue.js";
import { freeSlots, vanishedBehind, type QueueView } from "./queue-view.js";
import { isLastTurnLongAgo, isWaitedFor } from "./passes.js";
import { liveHolders, type ContenderEntry } from "./snapshot.js";
import type { Step, Target, Waiter } from "./step.js";

/**
 * How long the first in line assumes that the holders are alive, in milliseconds. Of a dead holder,
 * only the contender entry disappears; the lock entry stays. Its slot must be taken within a second.
 */
const HOLDERS_LIVE_MS = 800;

/**
 * How long a free slot is left to the waiters ahead, in milliseconds: they may be slow, or dead. Each
 * doubling of the stalled waiters adds as much, since they notice the slot at different times. So does
 * a slow network, and each waiter ahead from the twentieth on: on a busy machine, a whole fleet would
 * otherwise read the prefix, and pass each other, at the same moment.
 */
const PATIENCE_MS = 250;
const PATIENCE_IN_READINGS = 4;
const FAR_PATIENCE_PER_WAITER_MS = 50;

/**
 * A waiter behind a Go client, or behind a stalled one, gets no news. It reads the lock after a pause,
 * which is longer the more waiters are ahead, and three times as long each time. Even behind twenty
 * stalled processes, the next waiter must have a slot within three seconds.
 */
const FIRST_POLL_MS = 200;
const POLL_PER_WAITER_MS = 20;
const NEAR_POLL_PER_WAITER_MS = 150;
const LONGEST_NEAR_POLL_MS = 1_500;
const NEAR_WAITERS = 20;
const FAR_POLL_PER_WAITER_MS = 300;
const LONGEST_POLL_MS = 60_000;

/**
 * While the waiter right ahead is stalled, there is no news of those further ahead. If newcomers become
 * holders meanwhile, the prefix is read again, each time after twice the pause: most of the waiters that
 * are known may have gone.
 */
const FIRST_REREAD_MS = 1_000;

/**
 * On a busy machine, the entry right ahead is often gone before it is read. If the one before it is gone
 * as well and a slot is free, all of them have had their turns; a reading of the whole prefix would only
 * add to the load. While no slot is free, the next missing entry is a reason to read.
 */
const VANISHED_IN_TURN = 2;
const VANISHED_TO_READ = 3;

/**
 * How long after a reading without waiters a newcomer may take a slot at once, in milliseconds. It could
 * pass waiters that came since the reading.
 */
const NOBODY_WAITS_MS = 250;

/**
 * A new holder may release its slot at once, and a swap at the same moment would collide with that: both
 * would have to read and swap again. The next waiter gives it this long, in milliseconds.
 */
const BRIEF_HOLD_MS = 1;

/**
 * How long after another client's turn this client hands slots over to its own waiters, in milliseconds.
 * A waiter that was passed finds no free slot for that long.
 */
const HANDED_OVER_MS = 250;

/**
 * The next step of a waiter, by what is known. `target` is the waiter that it has waited for so far.
 *
 * @throws SemaphoreLimitConflictError where the others go by another limit
 */
export function nextStep(view: QueueView, me: Waiter, target: Target, now: number): Step {
  const tail = tailAhead(view, me);
  if (view.readAt < me.enteredAt && tail === undefined) return { kind: "read prefix" };
  if (view.isLockStale) return readLockAnew(view, me, now);
  requireSameLimit(view, me);
  const limit = limitFor(me, view.lock.limit);
  if (view.lock.holders.has(me.session)) {
    return { kind: view.dead.has(me.session) ? "gone" : "rejoin" };
  }
  if (isLastTurnLongAgo(view, now)) return { kind: "read prefix" };
  const free = freeSlots(view, limit);
  if (tail?.hasJoined === false) return waitBehindTail(view, tail, { target, free }, now);
  const others = tail === undefined ? waitersAhead(view, me.session) : [];
  const ahead = others?.filter((it) => isWaitedFor(view, it, now));
  if (ahead === undefined) return { kind: "gone" };

  const last = ahead.at(-1);
  // Waiters join one at a time, even if several slots are free: a new holder means to all behind it that
  // everybody ahead of it has had a turn.
  if (last === undefined) {
    return free > 0 ? { kind: "join", passing: [] } : watchHolders(view, now);
  }
  const vanished = vanishedBehind(view, last);
  if (vanished > 0) return followVanished(vanished, last, free);
  const position = { ahead, last, target };
  return free === 0
    ? waitForRoom(view, position, now)
    : waitForOthers(view, position, { free, limit }, now);
}

/** The lock may have changed. */
function readLockAnew(view: QueueView, me: Waiter, now: number): Step {
  const { joinIndex, lock, lockAt } = view;
  const wasRoomForBoth = freeSlots(view, limitFor(me, lock.limit)) > 1;
  const isJustKnown = now < lockAt + BRIEF_HOLD_MS;
  const isGraceOver = (wasRoomForBoth && isJustKnown) || joinIndex <= lock.modifyIndex;
  return isGraceOver
    ? { kind: "read lock" }
    : { kind: "read lock after join", index: joinIndex, atMost: BRIEF_HOLD_MS };
}

/** The entry right ahead is gone without a touch: its owner has had its turn, or has given up. */
function followVanished(vanished: number, last: ContenderEntry, free: number): Step {
  if (vanished >= VANISHED_IN_TURN && free > 0) return { kind: "join", passing: [] };
  return vanished < VANISHED_TO_READ
    ? { kind: "read entry", entry: last }
    : { kind: "read prefix" };
}

/** The position of a waiter that is not the first in line. */
interface Position {
  readonly ahead: readonly ContenderEntry[];
  /** The waiter right ahead. */
  readonly last: ContenderEntry;
  readonly target: Target;
}

/** The waiter is first in line, and no slot is free. */
function watchHolders(view: QueueView, now: number): Step {
  const checkAt = holdersSeenAt(view) + HOLDERS_LIVE_MS;
  return now < checkAt ? { kind: "watch lock", atMost: checkAt - now } : { kind: "check holders" };
}

/** No slot is free. */
function waitForRoom(view: QueueView, position: Position, now: number): Step {
  // Check the holders together with the lock: the first in line may have died with them.
  const step = waitBehind(view, position, now, Infinity);
  return step.kind === "read lock" ? { kind: "check holders" } : step;
}

/** A slot is free, and the waiters ahead come first. */
function waitForOthers(
  view: QueueView,
  position: Position,
  { free, limit }: { readonly free: number; readonly limit: number },
  now: number,
): Step {
  const { ahead } = position;
  const { idleFront } = view;
  const isIdle = idleFront?.createIndex === ahead[0]?.createIndex;
  const idleSince = (isIdle ? idleFront?.since : undefined) ?? Infinity;
  // The waiters ahead notice the slot of a dead holder only at their next check.
  const isOpen = view.lock.holders.size < limit;
  const noticed = isOpen ? 0 : HOLDERS_LIVE_MS;
  const others = Math.max(0, ahead.length - free);
  const passAt =
    idleSince +
    noticed +
    PATIENCE_MS * (1 + Math.log2(others + 1)) +
    FAR_PATIENCE_PER_WAITER_MS * Math.max(0, others - NEAR_WAITERS) +
    PATIENCE_IN_READINGS * view.readTook;
  if (now < passAt) return waitBehind(view, position, now, passAt);
  if (view.lockAt < passAt) return { kind: "read lock" };
  // Waiters known from before may have had their turns: only those that are still ahead are passed.
  return view.readAt < passAt ? { kind: "read prefix" } : { kind: "join", passing: ahead };
}

/** Waits for the waiter right ahead, and reads the lock now and then. */
function waitBehind(
  view: QueueView,
  { ahead, last, target }: Position,
  now: number,
  until: number,
): Step {
  const since = last.createIndex === target.createIndex ? target.since : now;

  const rereadAt = view.readAt + Math.max(FIRST_REREAD_MS, view.readAt - since);
  if (ahead.length > 1 && now >= rereadAt && isOvertaken(view)) return { kind: "read prefix" };

  const first = Math.max(FIRST_POLL_MS, POLL_PER_WAITER_MS * ahead.length);
  const polledAt = Math.max(view.lockAt, since);
  const pause = Math.min(Math.max(2 * (polledAt - since), first), longestPause(ahead.length));
  const pollAt = polledAt + pause;
  if (now >= pollAt) return { kind: "read lock" };
  return { kind: "watch entry", entry: last, atMost: Math.min(pollAt, until) - now };
}

/** The longest pause between two reads of the lock, with so many waiters ahead. */
function longestPause(ahead: number): number {
  const near = Math.min(NEAR_POLL_PER_WAITER_MS * (ahead + 1), LONGEST_NEAR_POLL_MS);
  const far = FAR_POLL_PER_WAITER_MS * Math.max(0, ahead - NEAR_WAITERS);
  return Math.min(near + far, LONGEST_POLL_MS);
}

/**
 * Whether a newcomer may take a slot at once: one is free, and nobody waits. A session that a copy of a
 * refused write has put into the lock already may not: its swap would change nothing, and get no index.
 */
export function mayJoinAtOnce(view: QueueView, me: Waiter, now: number): boolean {
  return (
    isUncontended(view, me, now) &&
    !view.lock.holders.has(me.session) &&
    freeSlots(view, limitFor(me, view.lock.limit)) > 0
  );
}

/** Whether the client's next run may take a holder's slot over: nobody else waits for it. */
export function mayPassOn(view: QueueView, holder: Waiter, now: number): boolean {
  const holders = liveHolders(view);
  return (
    isUncontended(view, holder, now) &&
    holders.has(holder.session) &&
    holders.size <= limitFor(holder, view.lock.limit)
  );
}

/** Whether nobody waits, by a recent reading. */
function isUncontended(view: QueueView, me: Waiter, now: number): boolean {
  return (
    now < view.readAt + NOBODY_WAITS_MS &&
    !view.isLockStale &&
    (view.lock.limit === undefined || view.lock.limit === limitFor(me, view.lock.limit)) &&
    !view.waiters.some((waiter) => isWaitedFor(view, waiter, now))
  );
}

/**
 * Whether this client may hand a slot over to this waiter: it is first in line, which it stays. Passed
 * waiters count as ahead, since a slot that is handed over is never free for them. Every waiter ahead of
 * the last new holder may be one.
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

/** The waiters ahead of a session; undefined if it does not wait. */
export function waitersAhead(
  { waiters }: QueueView,
  session: string,
): readonly ContenderEntry[] | undefined {
  const place = waiters.findIndex((waiter) => waiter.session === session);
  return place === -1 ? undefined : waiters.slice(0, place);
}

/** Whether a contender that came after the last reading holds a slot. */
function isOvertaken(view: QueueView): boolean {
  const known = new Set(view.read.map(({ session }) => session));
  return [...liveHolders(view)].some((session) => !known.has(session));
}

/** When the least recently seen holder was last known to be alive. */
function holdersSeenAt(view: QueueView): number {
  return Math.min(...[...liveHolders(view)].map((it) => view.aliveAt.get(it) ?? -Infinity));
}
