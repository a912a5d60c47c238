import { callAfter } from "../async/call-after.js";
import { inSharedContext } from "../async/shared-context.js";
import type { OwnQueryOptions } from "../consul/query.js";
import type { LockState } from "../protocol/lock-entry.js";
import {
  withStaleLock,
  afterLockRead,
  afterReading,
  afterWrite,
  UNREAD,
  type QueueView,
  type ReadTimes,
} from "../protocol/queue-view.js";
import type { Snapshot } from "../protocol/snapshot.js";
import type { LockReading, PrefixRequests } from "./requests.js";

/** What one client knows of the queue of a prefix, and how it learns more. */
export class KnownQueue {
  readonly #requests: PrefixRequests;
  #view = UNREAD;
  #isContended = false;
  #ownWrite = { index: 0n, at: -Infinity };
  #enteredAt = -Infinity;
  #nextReading: Promise<QueueView> | undefined;
  readonly #listeners = new Set<() => void>();

  constructor(requests: PrefixRequests) {
    this.#requests = requests;
  }

  get view(): QueueView {
    return this.#view;
  }

  /** Whether the last reading of the prefix showed other waiters than the reader. */
  get isContended(): boolean {
    return this.#isContended;
  }

  /** The index of this client's last write to the lock, and when it was answered. */
  get ownWrite(): { readonly index: bigint; readonly at: number } {
    return this.#ownWrite;
  }

  /** Replaces what is known. */
  learn(view: QueueView): void {
    this.#view = view;
    this.notify();
  }

  /** Calls back whenever there may be news, until the result is called. */
  onNews(call: () => void): () => void {
    this.#listeners.add(call);
    return () => {
      this.#listeners.delete(call);
    };
  }

  /** Wakes all that wait for news. */
  notify(): void {
    for (const call of [...this.#listeners]) call();
  }

  /** Waits for news, at most so many milliseconds. */
  async nextChange(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        off();
        cancel();
        resolve();
      };
      const off = this.onNews(done);
      const cancel = callAfter(ms, done);
    });
  }

  /** Something that is known is wrong: the whole prefix must be read. */
  markUnread(): void {
    this.learn({ ...this.#view, readAt: -Infinity });
  }

  /** The lock may have changed: it must be read. */
  markLockStale(): void {
    this.learn(withStaleLock(this.#view));
  }

  /** This client has made an entry that no reading has shown yet. */
  entered(at: number): void {
    this.#enteredAt = at;
  }

  /** Reads the whole prefix. Calls of the same moment share a reading. */
  async readPrefix(timeout: number): Promise<QueueView> {
    this.#nextReading ??= inSharedContext(async () => {
      await Promise.resolve();
      this.#nextReading = undefined;
      // It shows every entry that was made before, even at the same moment.
      const entered = this.#enteredAt;
      const { snapshot, sentAt, now } = await this.#requests.readAll({ timeout });
      return this.readingShows(snapshot, { sentAt: Math.max(sentAt, entered), now });
    });
    return await this.#nextReading;
  }

  /** Reads the lock entry; with an index, once it has changed since, or when the wait is over. */
  async readLock(options: OwnQueryOptions): Promise<LockState> {
    const reading = await this.#requests.readLock(options);
    this.lockShows(reading);
    return reading.lock;
  }

  /** Learns from a reading of the whole prefix. `own` is the reader's session. */
  readingShows(snapshot: Snapshot, times: ReadTimes, own?: string): QueueView {
    const view = afterReading(this.#view, snapshot, times);
    this.#isContended = view.waiters.some(({ session }) => session !== own);
    this.learn(view);
    return view;
  }

  /** Learns from a read of the lock entry. */
  lockShows({ lock, sentAt, now }: LockReading): void {
    const before = this.#view;
    this.learn(afterLockRead(before, lock, { sentAt, now }));
    // After a restore, indexes may be smaller: those of all entries may have changed.
    if (sentAt >= before.lockAt && lock.modifyIndex < before.lock.modifyIndex) this.markUnread();
  }

  /** Learns from a write of this client to the lock, which may have removed a session from the prefix. */
  wrote(lock: LockState, left?: string): void {
    const now = performance.now();
    this.#ownWrite = { index: lock.modifyIndex, at: now };
    this.learn(afterWrite(this.#view, lock, left, now));
  }
}
