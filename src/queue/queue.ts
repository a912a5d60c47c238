import type { RequestOptions } from "../consul/http/request-options.js";
import { afterWrite } from "../protocol/queue-view.js";
import type { Snapshot } from "../protocol/snapshot.js";
import type { Claim, ClaimedQueue } from "./claim.js";
import type { LeaveOptions } from "./clean-up.js";
import { Entrance } from "./entrance.js";
import { Exit } from "./exit.js";
import { KnownQueue } from "./known-queue.js";
import { Line } from "./line.js";
import { LockWrites } from "./lock-writes.js";
import { HolderMonitor } from "./monitor.js";
import type { PrefixRequests } from "./requests.js";

/**
 * What the semaphores of one client share on one prefix: what is known of the queue, the line of
 * waiters here, the holders here, and the writes between them.
 */
export class Queue implements ClaimedQueue {
  readonly requests: PrefixRequests;
  readonly monitor: HolderMonitor;
  readonly #known: KnownQueue;
  readonly #line: Line;
  readonly #entrance: Entrance;
  readonly #exit: Exit;

  constructor(requests: PrefixRequests) {
    const writes = new LockWrites(requests);
    this.requests = requests;
    this.#known = new KnownQueue(requests);
    this.#line = new Line({
      requests,
      known: this.#known,
      join: (claim) => this.#entrance.join(claim),
      isOwnHolder: (session) => writes.holders.has(session),
    });
    this.#entrance = new Entrance(requests, this.#known, this.#line, writes);
    this.#exit = new Exit(requests, this.#known, this.#line, writes);
    this.monitor = new HolderMonitor(requests, () => this.#line.size > 0);
  }

  /** Reads the whole prefix, whatever is known. */
  async read(): Promise<Snapshot> {
    return (await this.requests.readAll()).snapshot;
  }

  async joinAtOnce(
    claim: Claim,
    timeout: () => number,
    signal: AbortSignal | undefined,
  ): Promise<bigint | undefined> {
    return await this.#entrance.joinAtOnce(claim, timeout, signal);
  }

  async enter(claim: Claim, options: RequestOptions): Promise<string | undefined> {
    return await this.#entrance.enter(claim, options);
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

  async leave(session: string, options: LeaveOptions): Promise<void> {
    await this.#exit.leave(session, options);
  }

  /** Deletes the contender entry of a session that is no holder. */
  async deleteContender(session: string, options: RequestOptions): Promise<void> {
    await this.requests.deleteContender(session, options);
    const { view } = this.#known;
    if (view === undefined) return;
    this.#known.learn(afterWrite(view, view.lock, session, performance.now()));
  }
}
