import { onAbort } from "../async/on-abort.js";
import { retry } from "../async/retry.js";
import { sleep } from "../async/sleep.js";
import { timerMs } from "../async/timer-limit.js";
import type { RequestOptions } from "../consul/http/request-options.js";
import { isUnclear, SemaphoreRequestError } from "../errors.js";
import type { LeaveOptions } from "./requests.js";
import type { SessionLease } from "../session/lease.js";

/** What a session may have on the prefix by now. */
export interface Traces {
  contender: boolean;
  /** Whether a request for a contender entry went unanswered: it may yet arrive. */
  lateContender: boolean;
  /** Also where a try for a slot was refused: the refusal may be that of its second copy. */
  holder: boolean;
  /** Whether a write went unanswered: what is still on its way must find the session gone. */
  inDoubt: boolean;
}

/** What a departure asks of the prefix. */
export interface Departed {
  leave(session: string, options: LeaveOptions): Promise<unknown>;
  deleteContender(session: string, options: RequestOptions): Promise<void>;
}

export interface DepartureOptions {
  /** How long whoever waits for the departure is left waiting, in milliseconds. */
  readonly patience: number;
  /**
   * Told when that is over, while the departure goes on: with the last failure, or with nothing
   * where only the end of the session is still to come.
   */
  readonly gaveUp: (failure?: unknown) => void;
  /** Aborts when nobody waits any more. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Takes over a session of ours that has left nothing behind and nothing on its way, in place of
   * ending it.
   */
  readonly keep?: ((lease: SessionLease) => void) | undefined;
}

/** How long to try to end a session that ends by itself as well. */
const LONGEST_DESTRUCTION_MS = 60_000;

/** How long after its departure a session of the user's is looked for once more. */
const LATE_CONTENDER_MS = 1_000;

/** How long one request of a departure may take: the next try may get through at once. */
const LONGEST_ATTEMPT_MS = 5_000;
const SHORTEST_ATTEMPT_MS = 1_000;

/**
 * Takes what a session has on the prefix away, and ends the session if it is ours. Tries until that
 * is done, or, with a session of ours, until its TTL does the same: it is renewed no longer.
 */
export async function depart(
  prefix: Departed,
  lease: SessionLease,
  traces: Readonly<Traces>,
  { patience, gaveUp, signal, keep }: DepartureOptions,
): Promise<void> {
  // What may be kept is renewed as long as all goes well.
  let keeps = keep !== undefined && lease.own && !traces.inDoubt && !traces.lateContender;
  if (!keeps) lease.stop();
  const timeout = Math.max(SHORTEST_ATTEMPT_MS, Math.min(LONGEST_ATTEMPT_MS, lease.ttl / 4));
  let failure: unknown;
  let isGone = false;
  let awaited = true;
  const timer = setTimeout(() => {
    awaited = false;
    if (isGone) gaveUp();
    else gaveUp(failure ?? tookTooLong(patience));
  }, timerMs(patience));
  const off = onAbort(signal, () => {
    awaited = false;
    clearTimeout(timer);
  });
  try {
    await retry(() => leave(prefix, lease, traces, { timeout }), {
      isTransient: isUnclear,
      until: lease.own ? lease.expiresAt : Infinity,
      failed: (error) => {
        failure = error;
        keeps = false;
        lease.stop();
      },
      keepAlive: () => awaited,
    });
    isGone = true;
    if (keeps) {
      keep?.(lease);
      return;
    }
    lease.stop();
    // Where the session cannot be ended, its TTL does it.
    await retry(() => lease.destroy({ timeout }), {
      isTransient: isUnclear,
      until: Math.min(lease.expiresAt, performance.now() + LONGEST_DESTRUCTION_MS),
      keepAlive: () => awaited,
    }).catch(() => undefined);
  } catch (error) {
    await lease.destroy({ timeout }).catch(() => undefined);
    throw error;
  } finally {
    clearTimeout(timer);
    off();
    if (traces.lateContender && !lease.own) void removeLateContender(prefix, lease.id);
  }
}

function tookTooLong(patience: number): SemaphoreRequestError {
  return new SemaphoreRequestError("SEMAPHORE_UPDATE_FAILED", `not done within ${patience} ms`);
}

/**
 * A network that was silent may deliver a request long after it was given up, and after that of the
 * departure. With a session of ours nothing comes of it; one of the user's would be left in the
 * queue. Where it is back in the queue for good by now, it loses its place and enters again.
 */
async function removeLateContender(prefix: Departed, session: string): Promise<void> {
  await sleep(LATE_CONTENDER_MS, undefined, { keepAlive: false });
  await prefix.leave(session, { unlessHolder: true }).catch(() => undefined);
}

async function leave(
  prefix: Departed,
  { id: session, own }: SessionLease,
  { contender, holder }: Readonly<Traces>,
  options: { readonly timeout: number },
): Promise<void> {
  try {
    if (holder) await prefix.leave(session, { ...options, joinMayCome: !own });
    else if (contender && own) await prefix.deleteContender(session, options);
    // A session of the user's may have come to us with a slot, which is not ours to give back.
    else if (contender) await prefix.leave(session, { ...options, unlessHolder: true });
  } catch (error) {
    if (isUnclear(error)) throw error;
    const unreadable = !(error instanceof SemaphoreRequestError);
    // Whoever wrote a lock that cannot be read has taken us out of it; and where Consul refuses to
    // let us out, a holder without its contender entry counts as dead. Ours goes with its session.
    if (unreadable || !own) await insist(() => prefix.deleteContender(session, options));
    throw error;
  }
}

/** Has what passes tried again, and lets be what does not. */
async function insist(step: () => Promise<void>): Promise<void> {
  try {
    await step();
  } catch (error) {
    if (isUnclear(error)) throw error;
  }
}
