import type { OwnRequestOptions } from "../consul/http/request-options.js";
import { SemaphoreRequestError } from "../errors.js";
import type { LockState } from "../protocol/lock-entry.js";
import { readState } from "../protocol/semaphore-state.js";
import { readSnapshot, type Snapshot } from "../protocol/snapshot.js";
import { standingOf, type Standing } from "../protocol/standing.js";
import type { Claim, ClaimedQueue } from "./claim.js";
import { Entrance } from "./entrance.js";
import { Exit } from "./exit.js";
import { KnownQueue } from "./known-queue.js";
import { Line } from "./line.js";
import { LockWrites } from "./lock-writes.js";
import { HolderMonitor } from "./monitor.js";
import { wordsOf, type PrefixRequests } from "./requests.js";

/**
 * What the semaphores of one client share on one prefix: what is known of the queue, the client's waiters
 * and holders, and their writes.
 */
export class Queue implements ClaimedQueue {
  readonly entrance: Entrance;
  readonly exit: Exit;
  readonly monitor: HolderMonitor;
  readonly #requests: PrefixRequests;
  readonly #known: KnownQueue;
  readonly #line: Line;
  readonly #writes: LockWrites;

  constructor(requests: PrefixRequests) {
    const writes = new LockWrites(requests);
    this.#requests = requests;
    this.#writes = writes;
    this.#known = new KnownQueue(requests);
    this.#line = new Line({
      requests,
      known: this.#known,
      join: (claim) => this.entrance.join(claim),
      isOwnHolder: (session) => writes.holders.has(session),
    });
    this.entrance = new Entrance(requests, this.#known, this.#line, writes);
    this.exit = new Exit(requests, this.#known, this.#line, writes);
    this.monitor = new HolderMonitor(requests, {
      isShared: () => this.#line.size > 0,
      lockRead: (reading) => {
        this.#known.lockShows(reading);
      },
    });
  }

  /** The limit in Consul, as far as is known. */
  get limit(): number | undefined {
    return this.#known.view.lock.limit;
  }

  /** The standing of a waiter, or of a contender that has not entered. */
  standingOf(claim?: Claim): Standing | undefined {
    return standingOf(this.#known.view, claim?.session, performance.now());
  }

  /** Calls back whenever there may be news, until the result is called. */
  onNews(call: () => void): () => void {
    return this.#known.onNews(call);
  }

  /** Reads the whole prefix, whatever is known. */
  async read(): Promise<Snapshot> {
    const { snapshot } = await this.#requests.readAll();
    await this.#requireComplete(snapshot);
    return snapshot;
  }

  /** The same, as users see it. */
  async inspect() {
    const { keys } = this.#requests;
    const entries = await this.#requests.list();
    await this.#requireComplete(readSnapshot(keys, entries));
    return readState(keys, entries);
  }

  /**
   * A list leaves out what the token may not read, older agents without a word; the read of an entry is
   * refused.
   */
  async #requireComplete({ lock, dead }: Snapshot): Promise<void> {
    if (lock.modifyIndex === 0n) await this.#requests.readLock();
    for (const session of dead.keys()) await this.#requests.readContender(session);
  }

  /** Has a claim wait for a slot. */
  wait(claim: Claim): void {
    this.monitor.giveUpEntryWatch();
    this.#line.add(claim);
  }

  /** The claim no longer waits. */
  leaveLine(claim: Claim): void {
    this.#line.remove(claim);
  }

  /** Deletes the lock entry as it was read. Resolves to whether it was still that one. */
  async deleteLock(read: LockState): Promise<boolean> {
    const sentAt = performance.now();
    const isDeleted = await this.#requests.deleteLock(read);
    const lock = { limit: undefined, holders: new Set<string>(), modifyIndex: 0n };
    if (isDeleted) this.#known.lockShows({ lock, index: 0n, sentAt, now: performance.now() });
    return isDeleted;
  }

  /** Writes another limit, while others hold and wait. */
  async resize(limit: number, options: OwnRequestOptions): Promise<bigint> {
    return await this.#writes.inTurn(() => this.#resize(limit, options));
  }

  async #resize(limit: number, options: OwnRequestOptions): Promise<bigint> {
    let refusedAt = -1n;
    for (;;) {
      const lock = await this.#known.readLock(options);
      if (lock.limit === limit) return lock.modifyIndex;
      const operations = this.#requests.transactions.resize(lock, limit);
      const outcome = await this.#writes.send(operations, options.timeout);
      if (outcome.applied) {
        const modifyIndex = this.#writes.indexIn(outcome);
        this.#known.wrote({ ...lock, limit, modifyIndex });
        return modifyIndex;
      }
      // Consul refused, and nothing has changed since: to go on would never end.
      if (refusedAt === lock.modifyIndex) {
        throw new SemaphoreRequestError("SEMAPHORE_UPDATE_FAILED", wordsOf(outcome));
      }
      refusedAt = lock.modifyIndex;
    }
  }
}
