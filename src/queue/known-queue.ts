import { callAfter } from "../async/call-after.js";
import { inSharedContext } from "../async/shared-context.js";
import type { OwnQueryOptions } from "../consul/query.js";
import type { LockState } from "../protocol/lock-entry.js";
import {
  afterDoubt,
  afterLook,
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

  /** Whether others than the one that read the prefix last were waiting then. */
  get isContended(): boolean {
    return this.#isContended;
  }

  /** The index of this client's last write to the lock, and when it was answered. */
  get ownWrite(): { readonly index: bigint; readonly at: number } {
    return this.#ownWrite;
  }

  /** Something is known that was not. */
  learn(view: QueueView): void {
    this.#view = view;
    this.stir();
  }

  /** Calls back whenever something may have become known, until the result is called. */
  onNews(call: () => void): () => void {
    this.#listeners.add(call);
    return () => {
      this.#listeners.delete(call);
    };
  }

  /** Has whatever waits for a change think again. */
  stir(): void {
    for (const call of [...this.#listeners]) call();
  }

  /** Waits until something becomes known, but no longer than so many milliseconds. */
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

  /** Something in the view is wrong: the whole prefix has to be read. */
  forget(): void {
    this.learn({ ...this.#view, readAt: -Infinity });
  }

  /** A write may have changed the lock, or somebody else's has. */
  doubt(): void {
    this.learn(afterDoubt(this.#view));
  }

  /** An entry of this client was made that no reading has shown yet. */
  entered(at: number): void {
    this.#enteredAt = at;
  }

  /** Reads the whole prefix. All that ask at the same moment share it. */
  async read(timeout: number): Promise<QueueView> {
    this.#nextReading ??= inSharedContext(async () => {
      await Promise.resolve();
      this.#nextReading = undefined;
      // It shows every entry that was made before, also one of the same moment.
      const entered = this.#enteredAt;
      const { snapshot, sentAt, now } = await this.#requests.readAll({ timeout });
      return this.readingShows(snapshot, { sentAt: Math.max(sentAt, entered), now });
    });
    return await this.#nextReading;
  }

  /** Reads the lock entry; with an index, once it has changed since, or when the wait is over. */
  async look(options: OwnQueryOptions): Promise<LockState> {
    const reading = await this.#requests.readLock(options);
    this.lockShows(reading);
    return reading.lock;
  }

  /** Takes in a reading of the whole prefix, in which `own` is the reader's session. */
  readingShows(snapshot: Snapshot, times: ReadTimes, own?: string): QueueView {
    const view = afterReading(this.#view, snapshot, times);
    this.#isContended = view.waiters.some(({ session }) => session !== own);
    this.learn(view);
    return view;
  }

  /** Takes in a reading of the lock entry. */
  lockShows({ lock, sentAt, now }: LockReading): void {
    const before = this.#view;
    this.learn(afterLook(before, lock, { sentAt, now }));
    // Servers that were restored count anew: the indexes of the entries are not what they were.
    if (sentAt >= before.lockAt && lock.modifyIndex < before.lock.modifyIndex) this.forget();
  }

  /** Takes in a write of this client to the lock, with which a session may have left the prefix. */
  wrote(lock: LockState, left?: string): void {
    const now = performance.now();
    this.#ownWrite = { index: lock.modifyIndex, at: now };
    this.learn(afterWrite(this.#view, lock, left, now));
  }
}
