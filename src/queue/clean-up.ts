import { SHORTEST_ATTEMPT_MS } from "../async/attempt-timeout.js";
import { callAfter } from "../async/call-after.js";
import { retry } from "../async/retry.js";
import { inSharedContext } from "../async/shared-context.js";
import { sleep } from "../async/sleep.js";
import type { OwnRequestOptions } from "../consul/http/request-options.js";
import { isOutcomeUnknown, pauseFactor, SemaphoreRequestError } from "../errors.js";
import { LATE_DELIVERY_MS } from "../session/creation.js";
import type { SessionLease } from "../session/lease.js";

/** How a session leaves a prefix. */
export interface LeaveOptions extends OwnRequestOptions {
  /** Leaves a slot that the session had before it entered as it is. */
  readonly unlessHolder?: boolean;
  /** Makes sure that a swap which is still on its way fails, also where a late entry precedes it. */
  readonly swapMayCome?: boolean;
}

/** What a cleanup asks of the queue. */
export interface LeftQueue {
  leave(session: string, options: LeaveOptions): Promise<void>;
  deleteContender(session: string, options: OwnRequestOptions): Promise<void>;
}

/**
 * What there may be in Consul because of a claim: a holder may be a mere contender, and a contender may
 * be nothing.
 */
export type ClaimState = "nothing" | "contender" | "holder";

/** What there may be to clean up. */
export interface Remains {
  readonly kind: ClaimState;
  /** Whether a request for the contender entry went unanswered: it may yet arrive. */
  readonly mayEnterLate: boolean;
  /** Whether any write went unanswered: what is still on its way must find the session gone. */
  readonly hasUnanswered: boolean;
}

export interface CleanUpOptions {
  /** Takes over a session of ours that has left nothing behind, in place of ending it. */
  readonly keep?: ((lease: SessionLease) => void) | undefined;
}

/** How long a caller whose wait has failed, or whose slot was lost, waits for what is left of it. */
export const CLEAN_UP_GRACE_MS = 1_000;

/** How long to try to end a session that ends by itself as well. */
const LONGEST_DESTRUCTION_MS = 60_000;

/** How long one request may take: the next attempt may get through at once. */
const LONGEST_ATTEMPT_MS = 5_000;

/**
 * Takes what a session has on a prefix away, and ends the session if it is ours. It tries until that
 * is done, or, with a session of ours, until its TTL does the same: it is renewed no longer.
 */
export class CleanUp {
  /** Settles when nothing is left but what goes with the session; rejects where that is not so. */
  readonly finished: Promise<void>;
  readonly #queue: LeftQueue;
  readonly #lease: SessionLease;
  readonly #remains: () => Remains;
  readonly #attempt: OwnRequestOptions;
  #hasLeft = false;
  #failure: Error | undefined;
  #isAwaited = true;
  #isOver = false;

  /** `remains` is asked for each attempt: what was under way may have ended since. */
  constructor(
    queue: LeftQueue,
    lease: SessionLease,
    remains: () => Remains,
    { keep }: CleanUpOptions = {},
  ) {
    this.#queue = queue;
    this.#lease = lease;
    this.#remains = remains;
    const timeout = Math.max(SHORTEST_ATTEMPT_MS, Math.min(LONGEST_ATTEMPT_MS, lease.ttl / 4));
    this.#attempt = { timeout };
    this.finished = inSharedContext(() => this.#run(keep));
    const over = (): void => {
      this.#isOver = true;
    };
    this.finished.then(over, over);
  }

  /** Whether it has finished, or failed: until then it may take away what the session makes next. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Waits until it has finished, but no longer than so many milliseconds: then it goes on behind the
   * caller.
   *
   * @throws why it has failed, or has not finished yet; not if only the session is still to end
   */
  async within(ms: number): Promise<void> {
    let cancel = (): void => undefined;
    const late = new Promise<void>((resolve, reject) => {
      cancel = callAfter(ms, () => {
        if (this.#hasLeft) resolve();
        else reject(this.#failure ?? tookTooLong(ms));
      });
    });
    try {
      await Promise.race([this.finished, late]);
    } finally {
      this.#isAwaited = false;
      cancel();
    }
  }

  async #run(keep: CleanUpOptions["keep"]): Promise<void> {
    const lease = this.#lease;
    // What may be kept is renewed as long as all goes well.
    let isKept = keep !== undefined && lease.own && !this.#remains().hasUnanswered;
    if (!isKept) lease.stop();
    const keepAlive = (): boolean => this.#isAwaited;
    try {
      await retry(() => this.#leave(), {
        isTransient: isOutcomeUnknown,
        pauseFactor,
        until: lease.own ? lease.expiresAt : Infinity,
        failed: (error) => {
          if (error instanceof Error) this.#failure = error;
          isKept = false;
          lease.stop();
        },
        keepAlive,
      });
      this.#hasLeft = true;
      if (isKept) {
        keep?.(lease);
        return;
      }
      lease.stop();
      // Where the session cannot be ended, its TTL does it.
      await retry(() => lease.destroy(this.#attempt), {
        isTransient: isOutcomeUnknown,
        pauseFactor,
        until: Math.min(lease.expiresAt, performance.now() + LONGEST_DESTRUCTION_MS),
        keepAlive,
      }).catch(() => undefined);
    } catch (error) {
      await lease.destroy(this.#attempt).catch(() => undefined);
      throw error;
    } finally {
      if (this.#remains().mayEnterLate && !lease.own) void this.#removeLateContender();
    }
  }

  async #leave(): Promise<void> {
    const { id: session, own } = this.#lease;
    const { kind, hasUnanswered } = this.#remains();
    try {
      if (kind === "holder") {
        // Where a session of ours is ended late, a swap that comes before that leaves it in the lock.
        const swapMayCome = !own || hasUnanswered;
        await this.#queue.leave(session, { ...this.#attempt, swapMayCome });
      } else if (kind === "contender" && own) {
        await this.#queue.deleteContender(session, this.#attempt);
      } else if (kind === "contender") {
        // A session of the user's may have come to us with a slot, which is not ours to give back.
        await this.#queue.leave(session, { ...this.#attempt, unlessHolder: true });
      }
    } catch (error) {
      if (isOutcomeUnknown(error)) throw error;
      const isUnreadable = !(error instanceof SemaphoreRequestError);
      // A lock that cannot be read was written by somebody who has thrown us out of it; and where
      // Consul refuses to let us out, a holder without its contender entry counts as dead. Ours goes
      // with its session.
      if (isUnreadable || !own) await this.#deleteContender();
      throw error;
    }
  }

  /** Ignores a permanent failure. */
  async #deleteContender(): Promise<void> {
    try {
      await this.#queue.deleteContender(this.#lease.id, this.#attempt);
    } catch (error) {
      if (isOutcomeUnknown(error)) throw error;
    }
  }

  /**
   * A network that was silent may deliver a request long after it was given up, and after the
   * cleanup. With a session of ours nothing comes of it; one of the user's would be left in the
   * queue. Where it is back in the queue for good by now, it is removed, and enters again.
   */
  async #removeLateContender(): Promise<void> {
    await sleep(LATE_DELIVERY_MS, undefined, { keepAlive: false });
    await this.#queue.leave(this.#lease.id, { unlessHolder: true }).catch(() => undefined);
  }
}

function tookTooLong(ms: number): SemaphoreRequestError {
  return new SemaphoreRequestError("SEMAPHORE_UPDATE_FAILED", `not done within ${ms} ms`);
}
