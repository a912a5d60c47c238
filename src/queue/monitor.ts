import { onAbort } from "../async/on-abort.js";
import { sleep } from "../async/sleep.js";
import type { PrefixSnapshot } from "../protocol/snapshot.js";
import { isUnclear, SemaphoreLostError, SemaphoreRequestError } from "../errors.js";
import type { Subscription, WatchEvents } from "./prefix-watch.js";

/** A prefix whose looks are told to whoever wants to know. */
export interface WatchedPrefix {
  /** Whether looks are under way, so that one more who wants to know costs nothing. */
  readonly isWatched: boolean;
  watch(subscription: Subscription, events: WatchEvents): () => void;
  /** Looks at once; what it shows is told to all who watch. */
  look(timeout: number): Promise<unknown>;
}

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
 * The first look waits a little, where it would need a connection of its own: a slot that is
 * released before it costs no read, and no connection cut off in the middle of a blocking query.
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

/** How a holder with a session of that TTL wants its prefix to be watched. */
export function holderSubscription(ttl: number): Subscription {
  return { wait: Math.min(LONGEST_LOOK_MS, ttl / 2), grace: Math.min(ANSWER_GRACE_MS, ttl / 4) };
}

/**
 * Watches a slot through the looks at its prefix (Go: `monitorLock`). For two TTLs of the session
 * after the last successful look, failures are of no account: the renewal of the session decides.
 * Resolves to how the slot was lost, or to nothing when the signal aborts.
 */
export async function monitorSlot(
  prefix: WatchedPrefix,
  { session, signal, held, ttl, retries, retryTime }: SlotMonitorOptions,
): Promise<SemaphoreLostError | undefined> {
  const since = performance.now();
  if (!prefix.isWatched) await sleep(FIRST_LOOK_DELAY_MS, signal);
  if (!held()) return undefined;
  const patience = ttl === Infinity ? 0 : PATIENCE_TTLS * ttl;
  let seenAt = since;
  let retriesLeft = retries;
  let retryAt = 0;
  return await new Promise((resolve) => {
    const end = (loss?: SemaphoreLostError): void => {
      off();
      stopWatching();
      resolve(loss);
    };
    const stopWatching = prefix.watch(holderSubscription(ttl), {
      shown: ({ snapshot, sentAt }) => {
        if (!held()) return;
        if (sentAt < since) {
          // What was asked for before we were a holder may come from a server that was replaced
          // since: a look that is asked for now has to say so too.
          if (lossOf(session, snapshot) !== undefined) {
            void prefix.look(ANSWER_GRACE_MS).catch(() => undefined);
          }
          return;
        }
        seenAt = performance.now();
        retriesLeft = retries;
        retryAt = 0;
        const lost = lossOf(session, snapshot);
        if (lost !== undefined) end(new SemaphoreLostError(lost));
      },
      failed: (error) => {
        if (!held()) return undefined;
        // Consul did answer, but what is in the lock now was written by somebody who threw us out.
        if (!(error instanceof SemaphoreRequestError)) {
          end(new SemaphoreLostError("holder-removed", error));
          return undefined;
        }
        const now = performance.now();
        const impatient = now >= seenAt + patience;
        if (isUnclear(error) && !impatient) return undefined;
        if (isUnclear(error) && now < retryAt) return retryAt - now;
        if (!isUnclear(error) || retriesLeft === 0) {
          end(new SemaphoreLostError("monitor-failed", error));
          return undefined;
        }
        retriesLeft -= 1;
        // Others may have looks made sooner, which are none of these retries.
        retryAt = now + retryTime / 2;
        return retryTime;
      },
    });
    const off = onAbort(signal, () => {
      end();
    });
  });
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
