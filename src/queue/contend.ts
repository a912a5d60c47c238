import { attemptTimeout } from "../async/attempt-timeout.js";
import { Backoff } from "../async/backoff.js";
import { Deadline } from "../async/deadline.js";
import { isAborted } from "../async/is-aborted.js";
import { sleep } from "../async/sleep.js";
import type { Traces } from "./departure.js";
import type { Place } from "./place.js";
import { requireSameLimit } from "../protocol/snapshot.js";
import type { Subscription } from "./prefix-watch.js";
import { isPassing, SemaphoreRequestError } from "../errors.js";
import type { PrefixReading } from "./requests.js";
import type { SessionLease } from "../session/lease.js";
import type { SharedPrefix } from "./queue.js";
import { holderSubscription } from "./monitor.js";

export interface ContentionOptions {
  readonly limit: number;
  /** How long one blocking query may last, in milliseconds. */
  readonly lookTime: number;
  /** Until when to wait for a slot, on the clock of `performance.now()`. */
  readonly waitUntil: number;
  /** Whether Consul has said a moment ago that there is no slot. */
  readonly hasLooked?: boolean;
  readonly signal: AbortSignal | undefined;
}

/** How a wait in the queue ended: with the index of the write that made us a holder if it went well. */
export type Contention = bigint | "waited long enough" | "lost our place";

/** How to go on. */
interface NextStep {
  /** Looks at once, in place of waiting for something to change. */
  readonly looks: boolean;
  readonly until: number;
}

/** How long one blocking query lasts at least: a short wait time is meant for `tryAcquire`. */
const SHORTEST_LOOK_MS = 1_000;

/** For how long at least one with little time tries, for slots that are free too. */
export const SHORTEST_TRY_MS = 1_000;

/** The pauses of a waiter whose requests fail. */
const RETRY_PAUSES = { first: 50, longest: 1_000 };

/** The pauses of one who is beaten to it again and again. */
const RACE_PAUSES = { first: 5, longest: 500 };

/**
 * Waits in the queue, and tries for a slot when its turn has come (Go: the `WAIT` loop of
 * `Acquire`); or is handed one by another semaphore here that leaves. It rides out whatever passes:
 * in the queue there is nothing to lose but the session.
 */
export async function contend(
  prefix: SharedPrefix,
  lease: SessionLease,
  traces: Traces,
  options: ContentionOptions,
): Promise<Contention> {
  const place = prefix.takePlace(lease, options.limit, subscriptionFor(lease, options.lookTime));
  try {
    return await waitForSlot(prefix, place, traces, options);
  } finally {
    prefix.leavePlace(place);
    if (place.mayHold) traces.holder = true;
    if (place.mayHold && place.joinedAt === undefined) traces.inDoubt = true;
  }
}

/** The same looks must do for the holder that a waiter becomes. */
function subscriptionFor(lease: SessionLease, lookTime: number): Subscription {
  const { wait, grace } = holderSubscription(lease.ttl);
  return { wait: Math.min(wait, Math.max(lookTime, SHORTEST_LOOK_MS)), grace };
}

async function waitForSlot(
  prefix: SharedPrefix,
  place: Place,
  traces: Traces,
  { limit, waitUntil, hasLooked: hasLookedBefore = false, signal }: ContentionOptions,
): Promise<Contention> {
  const { session, lease } = place;
  const raceUntil = Math.max(waitUntil, performance.now() + SHORTEST_TRY_MS);
  const timeout = (): number => attemptTimeout(raceUntil);
  const pauses = new Backoff(RETRY_PAUSES);
  const racePauses = new Backoff(RACE_PAUSES);
  // Who has little time looks at once, and so does who may have a slot already. All others are
  // shown by the watch that they are in the queue.
  let step: NextStep = { looks: !lease.own || waitUntil !== Infinity, until: Infinity };
  let hasLooked = hasLookedBefore;
  let failure: unknown;
  let refusal: { readonly index: bigint; readonly words: string } | undefined;
  for (;;) {
    try {
      const reading = await newsUntil(prefix, place, step, timeout(), signal, lease.lost);
      if (place.joinedAt !== undefined) {
        return lease.checkLost() ? "lost our place" : place.joinedAt;
      }
      if (reading === null) {
        if (hasLooked) return "waited long enough";
        throw failure;
      }
      hasLooked = true;
      pauses.reset();
      const { snapshot } = reading;
      const holds = snapshot.holders.has(session);
      const contender = snapshot.contenders.find((candidate) => candidate.session === session);
      // A slot that the session had before it came to us is not for us to clear away, but one that
      // counted as dead, for want of a contender entry, until we made that.
      if (holds && (contender?.createIndex ?? 0n) > snapshot.lockIndex) traces.holder = true;
      if (!traces.holder) traces.contender = !holds;
      // What was known before we came is no reason to give up.
      if (step.looks || reading.sentAt >= place.since) requireSameLimit(snapshot, limit);
      if (lease.checkLost()) return "lost our place";
      if (contender === undefined && !holds) {
        // Without its contender entry a session counts as dead: the slot would be lost at once.
        // But a server that has just lost the lead may not show it yet.
        if (step.looks) return "lost our place";
        step = { looks: true, until: raceUntil };
      } else if (holds || prefix.isUpNext(session)) {
        // Consul refused, and nothing has changed since: to go on would never end.
        if (step.looks && refusal?.index === reading.index) {
          throw new SemaphoreRequestError("SEMAPHORE_UPDATE_FAILED", refusal.words);
        }
        // A process that restarted with its session finds its slot waiting for it, and so does one
        // whose swap went through without an answer.
        traces.holder ||= !holds;
        const joining = await prefix.join(place, timeout);
        if (joining === undefined) {
          step = { looks: false, until: waitUntil };
        } else if ("joinedAt" in joining) {
          return lease.checkLost() ? "lost our place" : joining.joinedAt;
        } else {
          // Somebody else's swap came first, or the first copy of ours: read what is, at once.
          const left = raceUntil - performance.now();
          if (refusal !== undefined) await sleep(Math.min(racePauses.next(), left), signal);
          refusal = { index: joining.index, words: joining.refusal };
          step = { looks: true, until: raceUntil };
        }
      } else {
        refusal = undefined;
        racePauses.reset();
        step = { looks: false, until: waitUntil };
      }
    } catch (error) {
      if (isAborted(signal)) throw error;
      if (lease.checkLost()) return "lost our place";
      if (!isPassing(error)) throw error;
      failure = error;
      if (!isReadFailure(error)) traces.inDoubt = true;
      const left = waitUntil - performance.now();
      if (left <= 0 && hasLooked) return "waited long enough";
      if (left <= 0) throw error;
      await sleep(Math.min(pauses.next(), left), signal);
      // What became of a swap without an answer is in the lock, and so is who came first.
      step = { looks: true, until: raceUntil };
    }
    signal?.throwIfAborted();
  }
}

function isReadFailure(error: unknown): boolean {
  return error instanceof SemaphoreRequestError && error.code === "SEMAPHORE_READ_FAILED";
}

/** The news of a place, if there are any in that time. `null`: out of time. */
async function newsUntil(
  prefix: SharedPrefix,
  place: Place,
  { looks, until }: NextStep,
  timeout: number,
  ...signals: readonly (AbortSignal | undefined)[]
): Promise<PrefixReading | null> {
  const left = until - performance.now();
  if (left <= 0) return null;
  const deadline = new Deadline(left, ...signals);
  const { signal } = deadline;
  try {
    const reading = await prefix.news(place, { looks, timeout, signal });
    signal.throwIfAborted();
    return reading ?? null;
  } catch (error) {
    if (deadline.expired) return null;
    throw error;
  } finally {
    deadline.dispose();
  }
}
