import type { KnownTail, QueueView } from "./queue-view.js";
import type { Step, Target, Waiter } from "./step.js";

/**
 * Behind more contenders than that, a waiter enters as the tail of the queue, and asks only who was the
 * tail before: to wait for that one is all it takes. A reading of the whole prefix would be the dearest
 * request of a cycle, the more so the longer the queue.
 */
const LONG_QUEUE = 50;

/** For how long a reading says whether the queue is long, in milliseconds. */
const LENGTH_KNOWN_MS = 60_000;

/**
 * A waiter that knows nothing of those ahead but the last looks at the lock now and then, in case one of
 * them does not move: each time after a longer pause, and the longest is longer the more they are, or
 * hundreds of them would look all the time.
 */
const FIRST_LOOK_MS = 2_000;
const LONGEST_LOOK_PER_WAITER_MS = 250;

/**
 * Where a slot is free, and the lock entry stays as it is for so long, somebody ahead does not move: it is
 * time to read who they are. A look that finds a slot free is followed by another after that time.
 */
const STUCK_MS = 1_000;

/**
 * Whether to enter as the tail, as far as is known. Where somebody was overtaken, there is one that has
 * no tail, such as a Go client, or that does not move: then it takes a reading to wait for it, or not.
 */
export function entersAsTail({ read, readInOrder }: QueueView): boolean {
  return read.length > LONG_QUEUE && readInOrder;
}

/** Whom a waiter waits behind, if all that it needs to know is that. */
export function tailAhead(
  { tail, readAt }: QueueView,
  { session, enteredAt }: Waiter,
): KnownTail | undefined {
  const isItsOwn = tail?.follower === session && tail.enteredAt === enteredAt;
  return isItsOwn && enteredAt < readAt + LENGTH_KNOWN_MS ? tail : undefined;
}

/** Waits for the tail to become a holder. */
export function waitBehindTail(
  view: QueueView,
  { entry }: KnownTail,
  { target, free }: { readonly target: Target; readonly free: number },
  now: number,
): Step {
  if (free > 0 && view.lockAt >= view.lockSince + STUCK_MS) return { kind: "read" };
  const since = entry.createIndex === target.createIndex ? target.since : now;
  const lookedAt = Math.max(view.lockAt, since);
  const longest = Math.max(FIRST_LOOK_MS, LONGEST_LOOK_PER_WAITER_MS * view.read.length);
  const next = Math.min(Math.max(2 * (lookedAt - since), FIRST_LOOK_MS), longest);
  const pause = free > 0 && lookedAt > since ? STUCK_MS : next;
  const lookAt = lookedAt + pause;
  // The first in line may have died with the holders.
  if (now >= lookAt) return { kind: free > 0 ? "look" : "check" };
  return { kind: "watch entry", entry, atMost: lookAt - now };
}
