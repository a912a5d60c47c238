import { waitersAhead } from "./next-step.js";
import { type QueueView } from "./queue-view.js";
import { isWaitedFor } from "./passes.js";
import { liveHolders } from "./snapshot.js";

/** How things stand for a waiter, or for one that has not entered yet. */
export interface Standing {
  readonly held: number;
  readonly limit: number;
  /** The waiters that come before it. */
  readonly ahead: number;
}

export function standingOf(
  view: QueueView,
  session: string | undefined,
  now: number,
): Standing | undefined {
  const { limit } = view.lock;
  if (limit === undefined) return undefined;
  const waiters = (session === undefined ? undefined : waitersAhead(view, session)) ?? view.waiters;
  // Waiters that were passed have usually gone long ago.
  const ahead = waiters.filter((waiter) => isWaitedFor(view, waiter, now));
  return { held: liveHolders(view).size, limit, ahead: ahead.length };
}
