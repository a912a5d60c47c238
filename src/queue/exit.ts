import type { OwnRequestOptions } from "../consul/http/request-options.js";
import type { KVOperation } from "../consul/transaction.js";
import { SemaphoreRequestError } from "../errors.js";
import type { LockState } from "../protocol/lock-entry.js";
import { isNextInLine, mayPassOn } from "../protocol/next-step.js";
import { afterWrite, type QueueView } from "../protocol/queue-view.js";
import { readSnapshot } from "../protocol/snapshot.js";
import type { Claim } from "./claim.js";
import type { LeaveOptions } from "./clean-up.js";
import type { KnownQueue } from "./known-queue.js";
import type { Line } from "./line.js";
import type { LockWrites } from "./lock-writes.js";
import {
  wordsOf,
  type Applied,
  type PrefixRequests,
  type Refused,
  type Written,
} from "./requests.js";

/** How long after a reading a release relies on it, in milliseconds. */
const RELY_ON_READING_MS = 10;

/** How often a slot is passed on after a refusal, before it is released instead. */
const MOST_TRIES = 3;

/** Operations whose answer contains no entry. */
const HAS_NO_ENTRY = new Set<KVOperation["verb"]>(["delete", "check-not-exists"]);

/** How the sessions of one client leave a prefix, and hand slots over. */
export class Exit {
  readonly #requests: PrefixRequests;
  readonly #known: KnownQueue;
  readonly #line: Line;
  readonly #writes: LockWrites;

  constructor(requests: PrefixRequests, known: KnownQueue, line: Line, writes: LockWrites) {
    this.#requests = requests;
    this.#known = known;
    this.#line = line;
    this.#writes = writes;
  }

  /** Removes a session from the prefix, and hands its slot over if the next in line is one of ours. */
  async leave(session: string, options: LeaveOptions): Promise<void> {
    await this.#writes.inTurn(() => this.#leave(session, options));
  }

  /** Deletes the contender entry of a session that is no holder. */
  async deleteContender(session: string, options: OwnRequestOptions): Promise<void> {
    await this.#requests.deleteContender(session, options);
    const { view } = this.#known;
    this.#known.learn(afterWrite(view, view.lock, session, performance.now()));
  }

  /**
   * Ends a holder's slot and begins another one, for the next run of this client, if nobody else waits.
   * Resolves to the index of that write, or to nothing.
   */
  async passOn(claim: Claim, timeout: number): Promise<bigint | undefined> {
    return await this.#writes.inTurn(() => this.#passOn(claim, timeout));
  }

  async #passOn(claim: Claim, timeout: number): Promise<bigint | undefined> {
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      // A waiter that has come meanwhile has precedence.
      const view = this.#readLately ?? (await this.#known.readPrefix(timeout));
      const { limit } = view.lock;
      const isOurs = this.#line.size === 0 && mayPassOn(view, claim, performance.now());
      if (!isOurs || limit === undefined) return undefined;
      const lock = { ...view.lock, limit };
      const operations = this.#requests.transactions.passOn(claim.entry, lock);
      const outcome = await this.#send(operations, timeout);
      if (outcome.applied) {
        const modifyIndex = this.#writes.indexIn(outcome);
        this.#known.wrote({ ...lock, modifyIndex });
        return modifyIndex;
      }
      this.#known.markUnread();
    }
    return undefined;
  }

  async #leave(
    session: string,
    { unlessHolder = false, swapMayCome = false, timeout }: LeaveOptions,
  ): Promise<void> {
    const { transactions } = this.#requests;
    const gone = new Set<Claim>();
    let refusal: { readonly index: bigint; readonly words: string } | undefined;
    let known = unlessHolder ? undefined : this.#lockAsWritten(session);
    for (;;) {
      const lock = known ?? (await this.#known.readLock({ timeout }));
      const isHolder = lock.holders.has(session);
      if (unlessHolder && isHolder) return;
      // Consul refused, and nothing has changed since: to go on would never end.
      if (known === undefined && refusal?.index === lock.modifyIndex) {
        throw new SemaphoreRequestError("SEMAPHORE_UPDATE_FAILED", refusal.words);
      }
      const successor = isHolder ? this.#successor(lock, session, gone) : undefined;
      const operations = transactions.leave(session, lock, {
        successor: successor?.entry,
        // Once the lock has changed, that swap fails anyway.
        swapMayCome: swapMayCome && refusal === undefined,
      });
      const outcome = await this.#handOver(successor, operations, timeout);
      if (outcome.applied) {
        this.#left(session, lock, successor, outcome);
        return;
      }
      const { keys } = this.#requests;
      if (
        successor !== undefined &&
        isAbout(outcome, operations, keys.contender(successor.session))
      ) {
        gone.add(successor);
      } else if (known === undefined) {
        refusal = { index: lock.modifyIndex, words: wordsOf(outcome) };
      }
      known = undefined;
    }
  }

  /** Leaves, and keeps a successor from joining by itself meanwhile. */
  async #handOver(
    successor: Claim | undefined,
    operations: readonly KVOperation[],
    timeout: number | undefined,
  ): Promise<Written> {
    successor?.beforeHandover();
    try {
      const outcome = await this.#send(operations, timeout);
      if (!outcome.applied) successor?.afterSwap();
      return outcome;
    } catch (error) {
      successor?.swapWentUnanswered();
      throw error;
    }
  }

  /** Sends a write, which may read the prefix right after it. */
  async #send(operations: readonly KVOperation[], timeout: number | undefined): Promise<Written> {
    const { transactions, keys } = this.#requests;
    const readsAfterwards = this.#readsAfterwards();
    const sentAt = performance.now();
    try {
      const sent = readsAfterwards ? [...operations, transactions.readAll()] : operations;
      const outcome = await this.#writes.send(sent, timeout);
      if (outcome.applied && readsAfterwards) {
        const answers = operations.filter(({ verb }) => !HAS_NO_ENTRY.has(verb)).length;
        const snapshot = readSnapshot(keys, outcome.entries.slice(answers));
        this.#known.readingShows(snapshot, { sentAt, now: performance.now() });
      }
      return outcome;
    } catch (error) {
      this.#known.markLockStale();
      throw error;
    }
  }

  /**
   * Whether a release reads the prefix right after it: an acquire that follows at once must not pass waiters
   * that have come meanwhile. If others were waiting before, the next acquire enters the queue anyway.
   */
  #readsAfterwards(): boolean {
    return !this.#known.isContended && this.#line.size === 0 && this.#readLately === undefined;
  }

  /** What is known, if the prefix was read a moment ago. */
  get #readLately(): QueueView | undefined {
    const { view } = this.#known;
    if (view.isLockStale) return undefined;
    return performance.now() < view.readAt + RELY_ON_READING_MS ? view : undefined;
  }

  #left(session: string, lock: LockState, successor: Claim | undefined, outcome: Applied): void {
    const holders = new Set(lock.holders);
    const isWritten = holders.delete(session);
    this.#writes.holders.delete(session);
    if (successor !== undefined) {
      holders.add(successor.session);
      this.#writes.holders.add(successor.session);
    }
    const modifyIndex = isWritten ? this.#writes.indexIn(outcome) : lock.modifyIndex;
    this.#known.wrote({ limit: lock.limit, holders, modifyIndex }, session);
    if (successor === undefined) return;
    this.#line.remove(successor);
    successor.holds(modifyIndex);
  }

  /** The lock, if this client has written it last and all holders are its own, as far as is known. */
  #lockAsWritten(session: string): LockState | undefined {
    const { view, ownWrite } = this.#known;
    const { lock } = view;
    if (lock.modifyIndex !== ownWrite.index || !lock.holders.has(session)) return undefined;
    return [...lock.holders].every((holder) => this.#writes.holders.has(holder)) ? lock : undefined;
  }

  /** The waiter of this client to hand a slot over to, if it is next in line of all. */
  #successor(lock: LockState, leaver: string, gone: ReadonlySet<Claim>): Claim | undefined {
    const holders = new Set(lock.holders);
    holders.delete(leaver);
    const then = { ...this.#known.view, lock: { ...lock, holders } };
    const now = performance.now();
    for (const claim of this.#line) {
      if (claim.isOpen && !gone.has(claim) && isNextInLine(then, claim, now)) return claim;
    }
    return undefined;
  }
}

/** Whether a refusal is about an operation on that key. */
function isAbout({ errors }: Refused, operations: readonly KVOperation[], key: string): boolean {
  return errors.some(({ operation }) => operations[operation]?.key === key);
}
