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
  /** Does not touch a slot that the session had before it entered. */
  readonly unlessHolder?: boolean;
  /** Makes a swap fail that is still on its way, even if a late contender entry precedes it. */
  readonly swapMayCome?: boolean;
}

/** What a cleanup uses of the queue. */
export interface LeftQueue {
  leave(session: string, options: LeaveOptions): Promise<void>;
  deleteContender(session: string, options: OwnRequestOptions): Promise<void>;
}

/**
 * What may exist in Consul because of a claim: a holder may be a mere contender, and a contender may be
 * nothing.
 */
export type ClaimState = "nothing" | "contender" | "holder";

/** What there may be to clean up. */
export interface Remains {
  readonly kind: ClaimState;
  /** Whether a request for the contender entry had no answer: it may still arrive. */
  readonly mayEnterLate: boolean;
  /** Whether any write had no answer: the session must be gone when it arrives. */
  readonly hasUnanswered: boolean;
}

export interface CleanUpOptions {
  /** Keeps a session of ours that has left nothing behind, instead of ending it. */
  readonly keep?: ((lease: SessionLease) => void) | undefined;
}

/** How long a call whose wait has failed, or whose slot was lost, waits for the cleanup. */
export const CLEAN_UP_GRACE_MS = 1_000;

/** How long one request may take. The next attempt may succeed at once. */
const LONGEST_ATTEMPT_MS = 5_000;

/**
 * Removes all that a session has on a prefix, and ends the session if it is ours. It retries until that is
 * done, or until the TTL of a session of ours has the same effect: the session is no longer renewed.
 */
export class CleanUp {
  /** Resolves when nothing is left but what the end of the session removes; rejects if it failed. */
  readonly finished: Promise<void>;
  readonly #queue: LeftQueue;
  readonly #lease: SessionLease;
  readonly #remains: () => Remains;
  readonly #attempt: OwnRequestOptions;
  #hasLeft = false;
  #failure: Error | undefined;
  #isAwaited = true;
  #isOver = false;

  /** `remains` is called for each attempt: requests under way may have ended since. */
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

  /** Whether it has finished, or failed. Before that, it could remove what the session makes next. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Waits until it has finished, at most so many milliseconds. After that it goes on in the background.
   *
   * @throws the failure, or why it has not finished yet; not if only the session has not ended yet
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
    // A session that may be kept is renewed until something fails.
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
      await lease.destroyInTime(this.#attempt, { keepAlive });
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
        // A swap that arrives before a session of ours is ended would leave it in the lock.
        const swapMayCome = !own || hasUnanswered;
        await this.#queue.leave(session, { ...this.#attempt, swapMayCome });
      } else if (kind === "contender" && own) {
        await this.#queue.deleteContender(session, this.#attempt);
      } else if (kind === "contender") {
        // A session of the user's may have had a slot before, which is not ours to release.
        await this.#queue.leave(session, { ...this.#attempt, unlessHolder: true });
      }
    } catch (error) {
      if (isOutcomeUnknown(error)) throw error;
      const isUnreadable = !(error instanceof SemaphoreRequestError);
      // A lock that cannot be read was overwritten, with our holder in it. And if Consul refuses the write,
      // a holder without its contender entry counts as dead. Ours goes with its session.
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
   * A network may deliver a request long after it was given up, and after the cleanup. With a session of ours
   * that has no effect; one of the user's would be left in the queue. If that session has entered again on
   * purpose by now, it is removed, and enters once more.
   */
  async #removeLateContender(): Promise<void> {
    await sleep(LATE_DELIVERY_MS, undefined, { keepAlive: false });
    await this.#queue.leave(this.#lease.id, { unlessHolder: true }).catch(() => undefined);
  }
}

function tookTooLong(ms: number): SemaphoreRequestError {
  return new SemaphoreRequestError("SEMAPHORE_UPDATE_FAILED", `not done within ${ms} ms`);
}
