import type { Ending } from "../async/cancellation.js";
import { unlessAborted } from "../async/unless-aborted.js";
import type { OwnRequestOptions } from "../consul/http/request-options.js";
import type { KVEntry } from "../consul/kv.js";
import type { KVOperation } from "../consul/transaction.js";
import { SemaphoreRequestError } from "../errors.js";
import { readLockEntry } from "../protocol/lock-entry.js";
import { entersAsTail } from "../protocol/long-queue.js";
import { limitFor, mayJoinAtOnce, requireSameLimit } from "../protocol/next-step.js";
import {
  afterEntering,
  afterPassing,
  type QueueView,
  type ReadTimes,
} from "../protocol/queue-view.js";
import { readSnapshot, readTail } from "../protocol/snapshot.js";
import type { Claim, EnterOptions } from "./claim.js";
import type { KnownQueue } from "./known-queue.js";
import type { Line } from "./line.js";
import type { LockWrites } from "./lock-writes.js";
import { wordsOf, type Applied, type PrefixRequests, type Refused } from "./requests.js";

/** A reading that was sent at the very same moment need not show the entry. */
const ONE_TICK_MS = 1e-6;

/** How often in a row a swap may be refused while the lock stays the same, before that is final. */
const MOST_REFUSALS = 3;

/** How the claims of one client enter the queue of a prefix, and take a slot. */
export class Entrance {
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

  /**
   * Enters the queue and takes a slot in one write, if one is free that nobody waits for. Resolves to the
   * index of the write, or to nothing if the claim has to wait.
   *
   * @throws SemaphoreLimitConflictError, and why the prefix could not be read
   */
  async joinAtOnce(
    claim: Claim,
    timeout: () => number,
    signal: Ending,
  ): Promise<bigint | undefined> {
    for (;;) {
      if (this.#line.size > 0) return undefined;
      const isRead = !this.#mayJoinAtOnce(claim);
      // Others were waiting a moment ago: enter the queue.
      if (isRead && this.#isContended(claim)) return undefined;
      if (isRead) {
        requireSameLimit(await unlessAborted(this.#known.readPrefix(timeout()), signal), claim);
      }
      const index = await this.#writes.inTurn(() => this.#enterAndJoin(claim, timeout()));
      if (index !== undefined) return index;
      if (isRead) return undefined;
      // The lock has changed since it was read: one more attempt, on a fresh reading.
      this.#known.markUnread();
    }
  }

  /** Whether the session is in the lock, alive or dead. */
  async isHolder({ session }: Claim, options: OwnRequestOptions): Promise<boolean> {
    return (await this.#known.readLock(options)).holders.has(session);
  }

  /** Makes the contender entry. Resolves to Consul's words where it refuses. */
  async enter(claim: Claim, { timeout, isHolder }: EnterOptions): Promise<string | undefined> {
    const { transactions } = this.#requests;
    const { entry } = claim;
    const mayReadLater = this.#mayReadLater(claim);
    const isTail = mayReadLater && entersAsTail(this.#known.view);
    // Only the first waiter of a client needs to know the queue.
    const learns = !(mayReadLater && this.#line.size > 0);
    const reads = learns && !isTail;
    const operations = [
      ...(isHolder ? [transactions.checkContender(claim.session)] : []),
      ...(learns && isTail ? transactions.readTail() : []),
      ...(isTail ? transactions.enterAsTail(entry) : transactions.enter(entry)),
      ...(reads ? [transactions.readAll()] : []),
    ];
    const sentAt = performance.now();
    const outcome = await this.#requests.transact(operations, "SEMAPHORE_CONTENDER_FAILED", {
      timeout,
    });
    if (!outcome.applied) return wordsOf(outcome);
    const now = performance.now();
    if (reads) {
      claim.entered(sentAt);
      // Those before are the entry that it has made, and the one that was checked.
      this.#prefixShows(claim, outcome.entries.slice(isHolder ? 2 : 1), { sentAt, now });
      return undefined;
    }
    claim.entered(now + ONE_TICK_MS);
    this.#known.entered(claim.enteredAt);
    if (!isTail) return undefined;
    if (learns && this.#line.size === 0) {
      this.#tailShows(claim, outcome.entries, { sentAt, now });
    } else if ((this.#known.view.tail?.enteredAt ?? 0) > sentAt) {
      // Another waiter of this client, whose answer was faster, may be behind this one.
      this.#known.markUnread();
    }
    return undefined;
  }

  /** Learns the prefix as it was right after the claim has entered. */
  #prefixShows(claim: Claim, entries: readonly KVEntry[], times: ReadTimes): void {
    const snapshot = readSnapshot(this.#requests.keys, entries);
    this.#known.readingShows(snapshot, times, claim.session);
    requireSameLimit(snapshot, claim);
    if (snapshot.lock.holders.has(claim.session)) claim.resumes();
  }

  /** Learns the lock entry and the tail as they were right before the claim has entered. */
  #tailShows(
    { session, enteredAt }: Claim,
    entries: readonly KVEntry[],
    { sentAt, now }: ReadTimes,
  ): void {
    const { keys } = this.#requests;
    const lock = readLockEntry(entries.find(({ key }) => key === keys.lock) ?? null);
    this.#known.lockShows({ lock, index: lock.modifyIndex, sentAt, now });
    const entry = readTail(keys, entries, session);
    const tail = entry && { entry, hasJoined: false, follower: session, enteredAt };
    this.#known.learn(afterEntering(this.#known.view, tail));
  }

  /**
   * Takes a slot for the first in line, or confirms the one that it has. Resolves to whether Consul has
   * refused.
   */
  async join(claim: Claim): Promise<boolean> {
    return await this.#writes.inTurn(() => this.#join(claim));
  }

  async #join(claim: Claim): Promise<boolean> {
    const { view } = this.#known;
    if (!this.#line.has(claim)) return false;
    const step = this.#line.stepOf(claim);
    // There may have been news while other writes had their turn.
    if (step.kind !== "join" && step.kind !== "rejoin") return false;
    const { transactions } = this.#requests;
    const isHolder = step.kind === "rejoin";
    const limit = limitFor(claim, view.lock.limit);
    const operations = isHolder
      ? transactions.rejoin(claim.entry, view, limit)
      : transactions.join(claim.entry, view, limit);
    claim.beforeSwap(isHolder);
    const outcome = await this.#swapIn(claim, view, operations, claim.requestTimeout());
    if (typeof outcome !== "bigint") {
      this.#refused(claim, view, outcome, operations);
      return true;
    }
    if (step.kind === "join" && step.passing.length > 0) {
      this.#known.learn(afterPassing(this.#known.view, step.passing, performance.now()));
    }
    this.#line.remove(claim);
    claim.holds(outcome);
    return false;
  }

  /** Whether a claim may enter without a reading: the first step of its wait reads if it has to. */
  #mayReadLater(claim: Claim): boolean {
    return claim.lease.own && this.#hasLimitOf(claim);
  }

  #mayJoinAtOnce(claim: Claim): boolean {
    const { view } = this.#known;
    if (this.#known.isContended || this.#line.size > 0) return false;
    return mayJoinAtOnce(view, claim, performance.now());
  }

  #isContended(claim: Claim): boolean {
    return this.#known.isContended && this.#hasLimitOf(claim);
  }

  /** Whether the lock is known to have the limit that a claim goes by. */
  #hasLimitOf(claim: Claim): boolean {
    const limit = this.#known.view.lock.limit;
    return limit !== undefined && limit === limitFor(claim, limit);
  }

  async #enterAndJoin(claim: Claim, timeout: number): Promise<bigint | undefined> {
    const { view } = this.#known;
    // Others may have come first while other writes had their turn.
    if (!this.#mayJoinAtOnce(claim)) return undefined;
    const limit = limitFor(claim, view.lock.limit);
    const operations = this.#requests.transactions.enterAndJoin(claim.entry, view, limit);
    claim.beforeSwap();
    const outcome = await this.#swapIn(claim, view, operations, timeout);
    if (typeof outcome !== "bigint") return undefined;
    claim.holds(outcome);
    return outcome;
  }

  /** Sends a swap that makes a claim a holder. Resolves to its index, or to Consul's refusal. */
  async #swapIn(
    claim: Claim,
    view: QueueView,
    operations: readonly KVOperation[],
    timeout: number,
  ): Promise<bigint | Refused> {
    try {
      const outcome = await this.#writes.send(operations, timeout);
      if (outcome.applied) return this.#joined(claim, view, outcome);
      claim.afterSwap();
      return outcome;
    } catch (error) {
      claim.swapWentUnanswered();
      this.#known.markLockStale();
      throw error;
    }
  }

  /** Learns from a swap that was applied, and returns its index. */
  #joined(claim: Claim, view: QueueView, outcome: Applied): bigint {
    const { session } = claim;
    const modifyIndex = this.#writes.indexIn(outcome);
    this.#writes.holders.add(session);
    const holders = this.#requests.transactions.holdersAfter(session, view);
    this.#known.wrote({ limit: limitFor(claim, view.lock.limit), holders, modifyIndex });
    return modifyIndex;
  }

  /**
   * Learns from a refused swap: another write came first, or a first copy of this one, or something else
   * is not as it was known.
   *
   * @throws SemaphoreRequestError if Consul keeps refusing while the lock does not change
   */
  #refused(
    claim: Claim,
    { lock }: QueueView,
    outcome: Refused,
    operations: readonly KVOperation[],
  ): void {
    if (claim.refused(lock.modifyIndex) > MOST_REFUSALS) {
      throw new SemaphoreRequestError("SEMAPHORE_UPDATE_FAILED", wordsOf(outcome));
    }
    const { lock: key } = this.#requests.keys;
    const isOvertaken = outcome.errors.every(({ operation }) => operations[operation]?.key === key);
    if (isOvertaken) this.#known.markLockStale();
    else this.#known.markUnread();
  }
}
