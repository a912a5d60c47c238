import { Backoff } from "./async/backoff.js";
import { isAborted } from "./async/is-aborted.js";
import { sleep } from "./async/sleep.js";
import type { PrefixSnapshot } from "./prefix-snapshot.js";
import { isUnclear, SemaphoreLostError, SemaphoreRequestError } from "./semaphore-errors.js";
import type { PrefixReading, SemaphoreStore } from "./semaphore-store.js";

export interface SlotMonitorOptions {
  readonly session: string;
  /** Ends the loop. */
  readonly signal: AbortSignal;
  /** Whether the slot is still held by the clock, which every answer is preceded by. */
  readonly held: () => boolean;
  /** The TTL of the session, in milliseconds; `Infinity` for none. */
  readonly ttl: number;
  /** How many failed looks in a row are repeated where the TTL gives no patience any more. */
  readonly retries: number;
  /** The pause before each of them, in milliseconds. */
  readonly retryTime: number;
}

/**
 * The first look waits a little: a slot that is released before it costs no read, and no connection
 * cut off in the middle of a blocking query.
 */
const FIRST_LOOK_DELAY_MS = 100;

/**
 * A look during which nothing changes is repeated after this time, or after half a TTL: it finds a
 * dead connection, and stays well below the 60 s after which many proxies cut an idle one.
 */
const LONGEST_LOOK_MS = 30_000;

/** What an answer may need beyond the time for which Consul holds the query; at most a quarter TTL. */
const ANSWER_GRACE_MS = 5_000;

/**
 * For how many TTLs looks may fail. While nothing gets through, the session expires before; these
 * are for when it is only the looks that fail.
 */
const PATIENCE_TTLS = 2;

const FIRST_RETRY_MS = 50;
/** Less than the second within which a loss is to be told once looks get through again. */
const LONGEST_RETRY_MS = 500;

/**
 * Watches a slot by blocking queries (Go: `monitorLock`). For two TTLs of the session after the last
 * successful look, failures are of no account: the renewal of the session decides. Resolves to how
 * the slot was lost, or to nothing when the signal aborts.
 */
export async function monitorSlot(
  store: SemaphoreStore,
  { session, signal, held, ttl, retries, retryTime }: SlotMonitorOptions,
): Promise<SemaphoreLostError | undefined> {
  const wait = Math.min(LONGEST_LOOK_MS, ttl / 2);
  // The server adds up to a sixteenth.
  const timeout = wait + wait / 16 + Math.min(ANSWER_GRACE_MS, ttl / 4);
  const patience = ttl === Infinity ? 0 : PATIENCE_TTLS * ttl;
  const backoff = new Backoff({ first: FIRST_RETRY_MS, longest: LONGEST_RETRY_MS });
  let index = 0n;
  let seenAt = performance.now();
  let retriesLeft = retries;
  await sleep(FIRST_LOOK_DELAY_MS, signal);
  while (held()) {
    let reading: PrefixReading;
    try {
      reading = await store.read({ index, wait, timeout, consistent: true, signal });
    } catch (error) {
      if (isAborted(signal)) break;
      // Consul did answer, but what is in the lock now was written by somebody who threw us out.
      if (!(error instanceof SemaphoreRequestError)) {
        return new SemaphoreLostError("holder-removed", error);
      }
      const impatient = performance.now() >= seenAt + patience;
      if (!isUnclear(error) || (impatient && retriesLeft === 0)) {
        return new SemaphoreLostError("monitor-failed", error);
      }
      if (impatient) retriesLeft -= 1;
      index = 0n;
      await sleep(impatient ? retryTime : backoff.next(), signal);
      continue;
    }
    if (!held()) break;
    const lost = lossOf(session, reading.snapshot);
    if (lost !== undefined) return new SemaphoreLostError(lost);
    index = reading.nextIndex;
    seenAt = performance.now();
    retriesLeft = retries;
    backoff.reset();
  }
  return undefined;
}

/** Whether the snapshot still shows the session as a holder, and if not, what must have happened. */
function lossOf(
  session: string,
  { limit, holders, contenders }: PrefixSnapshot,
): "holder-removed" | "session-invalidated" | undefined {
  if (holders.has(session)) return undefined;
  // With the session goes its contender entry, but the lock stays. Somebody who deletes the whole
  // tree, or edits the lock, ends the slot and not the session.
  const contends = contenders.some((contender) => contender.session === session);
  return contends || limit === undefined ? "holder-removed" : "session-invalidated";
}
