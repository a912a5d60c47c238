import { answerTime } from "./async/answer-time.js";
import { Backoff } from "./async/backoff.js";
import { Deadline } from "./async/deadline.js";
import { isAborted } from "./async/is-aborted.js";
import { sleep } from "./async/sleep.js";
import type { Traces } from "./departure.js";
import { requireSameLimit } from "./prefix-snapshot.js";
import { isPassing, SemaphoreRequestError } from "./semaphore-errors.js";
import type { PrefixReading, SemaphoreStore } from "./semaphore-store.js";
import type { SessionLease } from "./session-lease.js";

export interface ContentionOptions {
  readonly limit: number;
  /** How long one blocking query lasts, in milliseconds. */
  readonly lookTime: number;
  /** Until when to wait for a slot, on the clock of `performance.now()`. */
  readonly waitUntil: number;
  readonly signal: AbortSignal | undefined;
}

/** How a wait in the queue ended: with the index of the write that made us a holder if it went well. */
export type Contention = bigint | "waited long enough" | "lost our place";

/** How to look at the prefix next. */
interface Look {
  /** 0 for at once. */
  readonly index: bigint;
  readonly consistent: boolean;
  readonly until: number;
  /** Where the answer comes at once. */
  readonly timeout?: number;
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
 * Looks at the prefix, and tries for a slot whenever there is a free one (Go: the `WAIT` loop of
 * `Acquire`). It rides out whatever passes: in the queue there is nothing to lose but the session.
 */
export async function contend(
  store: SemaphoreStore,
  lease: SessionLease,
  traces: Traces,
  { limit, lookTime, waitUntil, signal }: ContentionOptions,
): Promise<Contention> {
  const { id: session } = lease;
  const raceUntil = Math.max(waitUntil, performance.now() + SHORTEST_TRY_MS);
  const wait = Math.max(lookTime, SHORTEST_LOOK_MS);
  const pauses = new Backoff(RETRY_PAUSES);
  const racePauses = new Backoff(RACE_PAUSES);
  let look: Look = {
    index: 0n,
    consistent: false,
    until: Infinity,
    timeout: answerTime(raceUntil),
  };
  let hasLooked = false;
  let failure: unknown;
  let refusal: { readonly index: bigint; readonly words: string } | undefined;
  for (;;) {
    try {
      const reading = await readUntil(store, look, wait, signal, lease.lost);
      if (reading === null) {
        if (hasLooked) return "waited long enough";
        throw failure;
      }
      hasLooked = true;
      pauses.reset();
      const { snapshot, nextIndex } = reading;
      const holds = snapshot.holders.has(session);
      const contender = snapshot.contenders.find((candidate) => candidate.session === session);
      // A slot that the session had before it came to us is not for us to clear away, but one that
      // counted as dead, for want of a contender entry, until we made that.
      if (holds && (contender?.createIndex ?? 0n) > snapshot.lockIndex) traces.holder = true;
      if (!traces.holder) traces.contender = !holds;
      requireSameLimit(snapshot, limit);
      if (lease.checkLost()) return "lost our place";
      if (contender === undefined) {
        // Without its contender entry a session counts as dead: the slot would be lost at once.
        // But a server that has just lost the lead may not show it yet.
        if (look.consistent) return "lost our place";
        look = { index: 0n, consistent: true, until: raceUntil };
      } else if (holds || snapshot.holders.size < limit) {
        // Consul refused, and nothing has changed since: to go on would never end.
        if (refusal?.index === nextIndex) {
          throw new SemaphoreRequestError("SEMAPHORE_UPDATE_FAILED", refusal.words);
        }
        // A process that restarted with its session finds its slot waiting for it, and so does one
        // whose swap went through without an answer.
        traces.holder ||= !holds;
        const joining = holds
          ? await store.joinAgain(session, snapshot, limit, { timeout: answerTime(raceUntil) })
          : await store.join(session, snapshot, limit, { timeout: answerTime(raceUntil) });
        if ("joinedAt" in joining) return lease.checkLost() ? "lost our place" : joining.joinedAt;
        // Somebody else's swap came first, or the first copy of ours: read what is, at once.
        const left = raceUntil - performance.now();
        if (refusal !== undefined) await sleep(Math.min(racePauses.next(), left), signal);
        refusal = { index: nextIndex, words: joining.refusal };
        look = { index: 0n, consistent: true, until: raceUntil };
      } else {
        refusal = undefined;
        racePauses.reset();
        look = { index: nextIndex, consistent: false, until: waitUntil };
      }
    } catch (error) {
      if (isAborted(signal)) throw error;
      if (lease.checkLost()) return "lost our place";
      if (!isPassing(error)) throw error;
      failure = error;
      const left = waitUntil - performance.now();
      if (left <= 0 && hasLooked) return "waited long enough";
      if (left <= 0) throw error;
      await sleep(Math.min(pauses.next(), left), signal);
      // What became of a swap without an answer is in the lock, and so is who came first.
      look = { index: 0n, consistent: true, until: raceUntil };
    }
    signal?.throwIfAborted();
  }
}

/** Reads the prefix: at once, or with an index when it has changed since. `null`: out of time. */
async function readUntil(
  store: SemaphoreStore,
  { index, consistent, until, timeout }: Look,
  wait: number,
  ...signals: readonly (AbortSignal | undefined)[]
): Promise<PrefixReading | null> {
  const left = until - performance.now();
  if (left <= 0) return null;
  const deadline = new Deadline(left, ...signals);
  try {
    return await store.read({ index, consistent, wait, timeout, signal: deadline.signal });
  } catch (error) {
    if (deadline.expired) return null;
    throw error;
  } finally {
    deadline.dispose();
  }
}
