import { isAborted } from "./async/is-aborted.js";
import { sleep } from "./async/sleep.js";
import { ConsulError } from "./consul/consul-error.js";
import type { PrefixSnapshot } from "./prefix-snapshot.js";
import { SemaphoreLostError, SemaphoreRequestError } from "./semaphore-errors.js";
import type { PrefixReading, SemaphoreStore } from "./semaphore-store.js";

export interface SlotMonitorOptions {
  readonly session: string;
  /** Ends the loop. */
  readonly signal: AbortSignal;
  /** How many failed looks in a row are repeated. */
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
 * A look during which nothing changes is repeated after this time: it finds a dead connection, and
 * stays well below the 60 s after which many proxies cut an idle one.
 */
const LOOK_WAIT_MS = 30_000;

/**
 * Watches a slot by blocking queries (Go: `monitorLock`). Resolves to how it was lost, or to nothing
 * when the signal aborts.
 */
export async function monitorSlot(
  store: SemaphoreStore,
  { session, signal, retries, retryTime }: SlotMonitorOptions,
): Promise<SemaphoreLostError | undefined> {
  let index = 0n;
  let retriesLeft = retries;
  await sleep(FIRST_LOOK_DELAY_MS, signal);
  while (!signal.aborted) {
    let reading: PrefixReading;
    try {
      reading = await store.read({ index, wait: LOOK_WAIT_MS, consistent: true, signal });
    } catch (error) {
      if (isAborted(signal)) break;
      // Consul did answer, but what is in the lock now was written by somebody who threw us out.
      if (!(error instanceof SemaphoreRequestError)) {
        return new SemaphoreLostError("holder-removed", error);
      }
      if (retriesLeft === 0 || !isRetryable(error)) {
        return new SemaphoreLostError("monitor-failed", error);
      }
      retriesLeft -= 1;
      index = 0n;
      await sleep(retryTime, signal);
      continue;
    }
    const lost = lossOf(session, reading.snapshot);
    if (lost !== undefined) return new SemaphoreLostError(lost);
    index = reading.nextIndex;
    retriesLeft = retries;
  }
  return undefined;
}

function isRetryable({ cause }: SemaphoreRequestError): boolean {
  return cause instanceof ConsulError && cause.retryable;
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
