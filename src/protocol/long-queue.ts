import type { KnownTail, QueueView } from "./queue-view.js";
import type { Step, Target, Waiter } from "./step.js";

/**
 * Behind more contenders than that, a waiter enters as the tail of the queue, and reads only which session
 * was the tail before: to wait for that one is enough. A reading of the whole prefix would be the most
 * expensive request of a cycle, and grow with the queue.
 */
const LONG_QUEUE = 50;

/** How long after a reading the queue counts as long, in milliseconds. */
const LENGTH_KNOWN_MS = 60_000;

/**
 * A waiter that knows only the tail ahead of it reads the lock now and then, in case somebody ahead is
 * stalled. The pauses grow, up to a length that depends on the number of waiters: otherwise hundreds of
 * them would read the lock all the time.
 */
const FIRST_POLL_MS = 2_000;
const LONGEST_POLL_PER_WAITER_MS = 250;

/**
 * If a slot is free and the lock entry has not changed for this long, somebody ahead is stalled: the prefix
 * is read to find out who is ahead. A read that finds a free slot is repeated after this time.
 */
const STUCK_MS = 1_000;

/**
 * Whether to enter as the tail, as far as is known. Not if a waiter was overtaken: it makes no tail, as a Go
 * client, or is stalled. Only a reading shows such a waiter.
 */
export function entersAsTail({ read, readInOrder }: QueueView): boolean {
  return read.length > LONG_QUEUE && readInOrder;
}

/** The tail that a waiter has entered behind, if it can do without a reading. */
export function tailAhead(
  { tail, readAt }: QueueView,
  { session, enteredAt }: Waiter,
): KnownTail | undefined {
  const isItsOwn = tail?.follower === session && tail.enteredAt === enteredAt;
  return isItsOwn && enteredAt < readAt + LENGTH_KNOWN_MS ? tail : undefined;
}

/** Waits until the tail becomes a holder. */
export function waitBehindTail(
  view: QueueView,
  { entry }: KnownTail,
  { target, free }: { readonly target: Target; readonly free: number },
  now: number,
): Step {
  if (free > 0 && view.lockAt >= view.lockSince + STUCK_MS) return { kind: "read prefix" };
  const since = entry.createIndex === target.createIndex ? target.since : now;
  const polledAt = Math.max(view.lockAt, since);
  const longest = Math.max(FIRST_POLL_MS, LONGEST_POLL_PER_WAITER_MS * view.read.length);
  const next = Math.min(Math.max(2 * (polledAt - since), FIRST_POLL_MS), longest);
  const pause = free > 0 && polledAt > since ? STUCK_MS : next;
  const pollAt = polledAt + pause;
  // Check the holders as well: the first in line may have died with them.
  if (now >= pollAt) return { kind: free > 0 ? "read lock" : "check holders" };
  return { kind: "watch entry", entry, atMost: pollAt - now };
}
