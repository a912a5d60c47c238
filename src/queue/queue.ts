import { SerialQueue } from "../async/serial-queue.js";
import { unlessAborted } from "../async/unless-aborted.js";
import type { RequestOptions } from "../consul/http/request-options.js";
import type { KVOperation, TransactionOutcome } from "../consul/transaction.js";
import { SemaphoreRequestError } from "../errors.js";
import type { LockState } from "../protocol/lock-entry.js";
import { isNextInLine, mayJoinAtOnce, requireSameLimit } from "../protocol/next-step.js";
import { afterPassing, afterWrite, type QueueView } from "../protocol/queue-view.js";
import { readSnapshot, type Snapshot } from "../protocol/snapshot.js";
import type { Claim, ClaimedQueue } from "./claim.js";
import type { LeaveOptions } from "./clean-up.js";
import { KnownQueue } from "./known-queue.js";
import { Line } from "./line.js";
import { HolderMonitor } from "./monitor.js";
import { wordsOf, type PrefixRequests } from "./requests.js";

type Applied = Extract<TransactionOutcome, { applied: true }>;
type Refused = Extract<TransactionOutcome, { applied: false }>;

/** Writes of one client to one lock get in each other's way; but none waits for one that hangs. */
const WRITE_PATIENCE_MS = 100;

/** A reading that was asked for at that very moment need not show the entry. */
const ONE_TICK_MS = 1e-6;

/** For how long a reading does for the release as well. */
const LOOK_BACK_AFTER_MS = 10;

/** How often in a row a swap may be refused though the lock is the same, before that is final. */
const MOST_REFUSALS = 3;

/**
 * What the semaphores of one client share on one prefix: what is known of the queue, the line of
 * waiters here, the holders here, and the writes between them.
 */
export class Queue implements ClaimedQueue {
  readonly requests: PrefixRequests;
  readonly monitor: HolderMonitor;
  readonly #known: KnownQueue;
  readonly #line: Line;
  readonly #writes = new SerialQueue(WRITE_PATIENCE_MS);
  /** The sessions of this client that have a slot. */
  readonly #holders = new Set<string>();

  constructor(requests: PrefixRequests) {
    this.requests = requests;
    this.#known = new KnownQueue(requests);
    this.#line = new Line({
      requests,
      known: this.#known,
      join: (claim) => this.#writes.run(() => this.#join(claim)),
      isOwnHolder: (session) => this.#holders.has(session),
    });
    this.monitor = new HolderMonitor(requests, () => this.#line.size > 0);
  }

  /** Reads the whole prefix, whatever is known. */
  async read(): Promise<Snapshot> {
    return (await this.requests.readAll()).snapshot;
  }

  /**
   * Enters the queue and takes a slot in one write, if there is one that nobody waits for. Resolves
   * to the index of the write, or to nothing where it takes a wait.
   *
   * @throws SemaphoreLimitConflictError, and why the prefix could not be read
   */
  async joinAtOnce(
    claim: Claim,
    timeout: () => number,
    signal: AbortSignal | undefined,
  ): Promise<bigint | undefined> {
    for (;;) {
      if (this.#line.size > 0) return undefined;
      const isRead = !this.#mayJoinAtOnce(claim);
      // Where others were waiting a moment ago, the way in is through the queue.
      if (isRead && this.#isContended(claim)) return undefined;
      if (isRead) {
        requireSameLimit(await unlessAborted(this.#known.read(timeout()), signal), claim.limit);
      }
      const index = await this.#writes.run(() => this.#enterAndJoin(claim, timeout()));
      if (index !== undefined) return index;
      if (isRead) return undefined;
      // What was known was not so any more: one more attempt, on a fresh reading.
      this.#known.forget();
    }
  }

  /** Makes the contender entry. Resolves to Consul's words where it refuses. */
  async enter(claim: Claim, options: RequestOptions): Promise<string | undefined> {
    const { transactions, keys } = this.requests;
    // Behind another waiter of this client there is nothing to learn yet, if the limit is the same.
    const isBehind =
      this.#line.size > 0 && claim.lease.own && this.#known.view?.lock.limit === claim.limit;
    const sentAt = performance.now();
    const outcome = await this.requests.transact(
      [...transactions.enter(claim.entry), ...(isBehind ? [] : [transactions.readAll()])],
      "SEMAPHORE_CONTENDER_FAILED",
      options,
    );
    if (!outcome.applied) return wordsOf(outcome);
    const now = performance.now();
    const enteredAt = isBehind ? now + ONE_TICK_MS : sentAt;
    claim.entered(enteredAt);
    if (isBehind) {
      this.#known.entered(enteredAt);
      return undefined;
    }
    const [, ...entries] = outcome.entries;
    const snapshot = readSnapshot(keys, entries);
    this.#known.readingShows(snapshot, { sentAt, now }, claim.session);
    requireSameLimit(snapshot, claim.limit);
    const own = snapshot.contenders.find(({ session }) => session === claim.session);
    if (own !== undefined && snapshot.lock.holders.has(claim.session)) {
      claim.resumes(own.createIndex > snapshot.lock.modifyIndex);
    }
    return undefined;
  }

  /** Has a claim wait for a slot. */
  wait(claim: Claim): void {
    this.monitor.giveUpEntryWatch();
    this.#line.add(claim);
  }

  /** The claim waits no longer. */
  leaveLine(claim: Claim): void {
    this.#line.remove(claim);
  }

  /** Takes a session off the prefix, and passes its slot on if the next in line is one of ours. */
  async leave(session: string, options: LeaveOptions): Promise<void> {
    await this.#writes.run(() => this.#leave(session, options));
    this.#holders.delete(session);
  }

  /** Deletes the contender entry of a session that is no holder. */
  async deleteContender(session: string, options: RequestOptions): Promise<void> {
    await this.requests.deleteContender(session, options);
    const { view } = this.#known;
    if (view === undefined) return;
    this.#known.learn(afterWrite(view, view.lock, session, performance.now()));
  }

  #mayJoinAtOnce({ limit }: Claim): boolean {
    const { view } = this.#known;
    if (view === undefined || this.#known.isContended || this.#line.size > 0) return false;
    return mayJoinAtOnce(view, limit, performance.now());
  }

  #isContended({ limit }: Claim): boolean {
    return this.#known.isContended && this.#known.view?.lock.limit === limit;
  }

  async #enterAndJoin(claim: Claim, timeout: number): Promise<bigint | undefined> {
    const { view } = this.#known;
    // Others may have come first while other writes had their turn.
    if (view === undefined || !this.#mayJoinAtOnce(claim)) return undefined;
    claim.beforeSwap();
    try {
      const operations = this.requests.transactions.enterAndJoin(claim.entry, view, claim.limit);
      const outcome = await this.#swap(operations, timeout);
      if (!outcome.applied) {
        claim.afterSwap();
        return undefined;
      }
      const index = this.#joined(claim, view, outcome);
      claim.holds(index);
      return index;
    } catch (error) {
      claim.swapWentUnanswered();
      throw error;
    }
  }

  /**
   * Takes a slot for the first in line, or makes sure of one that it has. Resolves to whether Consul
   * has refused.
   */
  async #join(claim: Claim): Promise<boolean> {
    const { view } = this.#known;
    if (view === undefined || !this.#line.has(claim)) return false;
    const step = this.#line.stepOf(claim);
    // What is known may have changed while other writes had their turn.
    if (step.kind !== "join" && step.kind !== "rejoin") return false;
    const { transactions } = this.requests;
    const isHolder = step.kind === "rejoin";
    const operations = isHolder
      ? transactions.rejoin(claim.entry, view, claim.limit)
      : transactions.join(claim.entry, view, claim.limit);
    claim.beforeSwap(isHolder);
    try {
      const outcome = await this.#swap(operations, claim.requestTimeout());
      if (!outcome.applied) {
        claim.afterSwap();
        this.#refused(claim, view, outcome, operations);
        return true;
      }
      const index = this.#joined(claim, view, outcome);
      const { view: current } = this.#known;
      if (current !== undefined && step.kind === "join" && step.passing.length > 0) {
        this.#known.learn(afterPassing(current, step.passing, performance.now()));
      }
      this.#line.remove(claim);
      claim.holds(index);
      return false;
    } catch (error) {
      claim.swapWentUnanswered();
      this.#known.doubt();
      throw error;
    }
  }

  /** Takes in a swap that went well, and returns its index. */
  #joined({ session, limit }: Claim, view: QueueView, outcome: Applied): bigint {
    const modifyIndex = this.#lockIndexIn(outcome);
    this.#holders.add(session);
    const holders = this.requests.transactions.holdersAfter(session, view);
    this.#known.wrote({ limit, holders, modifyIndex });
    return modifyIndex;
  }

  /**
   * Takes in that Consul has refused a swap: another came first, or the first copy of this one, or
   * something else is not as it was known.
   *
   * @throws SemaphoreRequestError where the lock has not changed again and again
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
    const { lock: key } = this.requests.keys;
    const isOvertaken = outcome.errors.every(({ operation }) => operations[operation]?.key === key);
    if (isOvertaken) this.#known.doubt();
    else this.#known.forget();
  }

  async #leave(
    session: string,
    { unlessHolder = false, swapMayCome = false, timeout }: LeaveOptions,
  ): Promise<void> {
    const { transactions } = this.requests;
    const gone = new Set<Claim>();
    let refusal: { readonly index: bigint; readonly words: string } | undefined;
    let known = unlessHolder ? undefined : this.#lockAsWritten(session);
    for (;;) {
      const lock = known ?? (await this.#known.look({ timeout }));
      const isHolder = lock.holders.has(session);
      if (unlessHolder && isHolder && !(await this.#isRevived(session, lock, timeout))) return;
      // Consul refused, and nothing has changed since: to go on would never end.
      if (known === undefined && refusal?.index === lock.modifyIndex) {
        throw new SemaphoreRequestError("SEMAPHORE_UPDATE_FAILED", refusal.words);
      }
      const successor = isHolder ? this.#successor(lock, session, gone) : undefined;
      const operations = transactions.leave(session, lock, {
        successor: successor?.entry,
        // A lock that has changed since is out of reach for that swap already.
        swapMayCome: swapMayCome && refusal === undefined,
      });
      const outcome = await this.#handOver(successor, operations, timeout);
      if (outcome.applied) {
        this.#left(session, lock, successor, outcome);
        return;
      }
      const { keys } = this.requests;
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
  ): Promise<TransactionOutcome> {
    successor?.beforeSwap();
    try {
      const sentAt = performance.now();
      const looksBack = this.#looksBack();
      const { transactions, keys } = this.requests;
      const looking = looksBack ? [...operations, transactions.readAll()] : operations;
      const outcome = await this.#swap(looking, timeout);
      if (!outcome.applied) successor?.afterSwap();
      if (outcome.applied && looksBack) {
        // The last of the operations is a deletion, which answers with no entry.
        const snapshot = readSnapshot(keys, outcome.entries.slice(operations.length - 1));
        this.#known.readingShows(snapshot, { sentAt, now: performance.now() });
      }
      return outcome;
    } catch (error) {
      successor?.swapWentUnanswered();
      this.#known.doubt();
      throw error;
    }
  }

  /**
   * Whether a release reads the prefix as it leaves it: an acquire that follows at once must let those
   * go first that have come meanwhile. Where others were waiting, the next acquire finds them in the
   * queue.
   */
  #looksBack(): boolean {
    const { view, isContended } = this.#known;
    if (view === undefined || isContended || this.#line.size > 0) return false;
    return performance.now() >= view.readAt + LOOK_BACK_AFTER_MS;
  }

  #left(session: string, lock: LockState, successor: Claim | undefined, outcome: Applied): void {
    const holders = new Set(lock.holders);
    const isWritten = holders.delete(session);
    if (successor !== undefined) {
      holders.add(successor.session);
      this.#holders.add(successor.session);
    }
    const modifyIndex = isWritten ? this.#lockIndexIn(outcome) : lock.modifyIndex;
    this.#known.wrote({ limit: lock.limit, holders, modifyIndex }, session);
    if (successor === undefined) return;
    this.#line.remove(successor);
    successor.holds(modifyIndex);
  }

  /** The lock, where nobody but this client has written it lately, as far as is known. */
  #lockAsWritten(session: string): LockState | undefined {
    const lock = this.#known.view?.lock;
    if (lock?.modifyIndex !== this.#known.ownWrite.index) return undefined;
    if (!lock.holders.has(session)) return undefined;
    return [...lock.holders].every((holder) => this.#holders.has(holder)) ? lock : undefined;
  }

  /** The waiter to pass a slot on to: one of ours that is next in line of all. */
  #successor(lock: LockState, leaver: string, gone: ReadonlySet<Claim>): Claim | undefined {
    const { view } = this.#known;
    if (view === undefined) return undefined;
    const holders = new Set(lock.holders);
    holders.delete(leaver);
    const waiters = view.waiters.filter(({ session }) => !lock.holders.has(session));
    const then = { ...view, waiters, lock: { ...lock, holders } };
    for (const claim of this.#line) {
      if (claim.isOpen && !gone.has(claim) && isNextInLine(then, claim)) return claim;
    }
    return undefined;
  }

  /** Whether a holder had counted as dead, for want of a contender entry, when it entered. */
  async #isRevived(session: string, lock: LockState, timeout?: number): Promise<boolean> {
    const entry = await this.requests.readContender(session, { timeout });
    return (entry?.createIndex ?? 0n) > lock.modifyIndex;
  }

  async #swap(
    operations: readonly KVOperation[],
    timeout: number | undefined,
  ): Promise<TransactionOutcome> {
    return await this.requests.transact(operations, "SEMAPHORE_UPDATE_FAILED", { timeout });
  }

  #lockIndexIn({ entries }: Applied): bigint {
    const { lock } = this.requests.keys;
    // In a transaction that reads as well, the lock that was written comes before the one that is read.
    const written = entries.findLast(({ key }) => key === lock);
    if (written !== undefined) return written.modifyIndex;
    throw new SemaphoreRequestError(
      "SEMAPHORE_UPDATE_FAILED",
      `Consul answered without the index of the write to ${lock}`,
    );
  }
}

/** Whether a refusal is about an operation on that key. */
function isAbout({ errors }: Refused, operations: readonly KVOperation[], key: string): boolean {
  return errors.some(({ operation }) => operations[operation]?.key === key);
}
