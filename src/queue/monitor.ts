import { Backoff } from "../async/backoff.js";
import { callAfter } from "../async/call-after.js";
import { Cancellation, type Ending } from "../async/cancellation.js";
import { FirstOf } from "../async/first-of.js";
import { isAborted } from "../async/is-aborted.js";
import { onAbort } from "../async/on-abort.js";
import { inSharedContext } from "../async/shared-context.js";
import { sleep } from "../async/sleep.js";
import { nextIndex } from "../consul/query.js";
import { pauseFactor, SemaphoreLostError } from "../errors.js";
import { liveHolders, type Snapshot } from "../protocol/snapshot.js";
import { Patience, type ReadSlot } from "./patience.js";
import { LONGEST_WATCH_MS, type LockReading, type PrefixRequests } from "./requests.js";

/** A held slot that is monitored. */
export interface MonitoredSlot extends ReadSlot {
  readonly session: string;
  /** The index of the write that made it a holder: the first blocking query waits for a later change. */
  readonly index: bigint;
  /** Aborts when the slot has ended. */
  readonly signal: Ending;
}

export interface HolderMonitorOptions {
  /** Whether waiters of the client need a connection for a blocking query as well. */
  readonly isShared: () => boolean;
  /** Called with each reading of the lock. */
  readonly lockRead: (reading: LockReading) => void;
}

/** A slot that is released before that costs no read. */
const FIRST_READING_MS = 100;

/** A busy lock changes all the time. With this pause, a loss is still reported within a second. */
const PAUSE_MS = 250;

/**
 * How often several contender entries are read, which a single blocking query cannot do. The first query
 * waits no longer either: if the servers were restored after the write that it waits since, it would
 * never be answered.
 */
const CHECK_MS = 500;

/** What an answer may need beyond the wait of its query; at most a quarter of a TTL. */
const ANSWER_GRACE_MS = 5_000;

const RETRY_PAUSES = { first: 50, longest: 500 };

/** Reads for the slots that are due, and resolves to the pause after it. */
type Reader = (due: readonly MonitoredSlot[]) => Promise<number | typeof GIVEN_UP>;

/** What has become of a query that was ended for another one. */
const GIVEN_UP = "given up";

/**
 * Detects the loss of the slots that one client holds on a prefix (Go: `monitorLock`). Each depends on two
 * keys: the lock entry, which all share, and its own contender entry.
 */
export class HolderMonitor {
  readonly #requests: PrefixRequests;
  readonly #options: HolderMonitorOptions;
  /** Since when each is monitored. */
  readonly #slots = new Map<MonitoredSlot, number>();
  /** Those that are old enough to be read. */
  readonly #due = new Set<MonitoredSlot>();
  #stop: Cancellation | undefined;
  /** The long blocking query on the lock entry, if that was the last one. */
  #lockQuery: MonitorQuery | undefined;
  /** The last one on the contender entry of the only slot. */
  #entryQuery: MonitorQuery | undefined;

  constructor(requests: PrefixRequests, options: HolderMonitorOptions) {
    this.#requests = requests;
    this.#options = options;
  }

  /** Watches a slot until its signal aborts. */
  add(slot: MonitoredSlot): void {
    const since = performance.now();
    this.#slots.set(slot, since);
    const cancel = callAfter(FIRST_READING_MS, () => {
      this.#due.add(slot);
      this.#start();
      // Two slots need more than one blocking query.
      if (this.#slots.size > 1) this.giveUpEntryWatch();
      // The slot's own write ends an earlier query, unless that is dead, or waits for an index from before a
      // restore. Then it might last longer than this slot's TTL.
      if ((this.#lockQuery?.sentAt ?? since) < since) this.#lockQuery?.giveUp();
    });
    onAbort(slot.signal, () => {
      cancel();
      this.#slots.delete(slot);
      this.#due.delete(slot);
      // Its entry may stay for a while, if its release fails.
      if (this.#entryQuery?.session === slot.session) this.giveUpEntryWatch();
      if (this.#slots.size > 0) return;
      this.#stop?.abort("nobody holds");
      this.#stop = undefined;
    });
  }

  #start(): void {
    if (this.#stop !== undefined) return;
    const stop = (this.#stop = new Cancellation());
    inSharedContext(() => {
      void this.#watch(stop, this.#lockReader(stop));
      void this.#watch(stop, this.#entryReader(stop));
    });
  }

  /** Ends the blocking query on the entry of the only slot, whose connection others need. */
  giveUpEntryWatch(): void {
    this.#entryQuery?.giveUp();
  }

  /** Reads in a loop, with the pause that each read returns. */
  async #watch(signal: Ending, read: Reader): Promise<void> {
    const patience = new WeakMap<MonitoredSlot, Patience>();
    const pauses = new Backoff(RETRY_PAUSES);
    while (!signal.aborted) {
      const now = performance.now();
      const due = [...this.#due];
      for (const slot of due) if (!patience.has(slot)) patience.set(slot, new Patience(slot, now));
      let pause = FIRST_READING_MS;
      try {
        if (due.length > 0) {
          const outcome = await read(due);
          if (outcome === GIVEN_UP) continue;
          pause = outcome;
        }
        pauses.reset();
        for (const slot of due) patience.get(slot)?.succeeded();
      } catch (error) {
        if (isAborted(signal)) return;
        const wanted = due.map((slot) => patience.get(slot)?.failed(error));
        const usual = pauses.next(pauseFactor(error));
        // Longer than usual only if every slot needs it.
        pause = Math.min(...wanted.map((ms) => ms ?? usual));
      }
      await sleep(pause, signal);
    }
  }

  #lockReader(signal: Ending): Reader {
    let last: { readonly index: bigint; readonly slots: ReadonlySet<MonitoredSlot> } | undefined;
    return async (due) => {
      // A slot that was not due before may have been lost since its own write.
      const indexes = due.filter((slot) => !last?.slots.has(slot)).map(({ index }) => index);
      const since = least(last === undefined ? indexes : [last.index, ...indexes]);
      const query = new MonitorQuery(signal);
      // If slots join all the time, a short one has to have its answer, or to fail.
      this.#lockQuery = last && query;
      const longest = last === undefined ? CHECK_MS : LONGEST_WATCH_MS;
      last = undefined;
      const reading = await query.run((ending) =>
        this.#requests.readLock({ ...this.#query(due, since, longest), signal: ending }),
      );
      if (reading === GIVEN_UP) return reading;
      const { lock, index } = reading;
      this.#options.lockRead(reading);
      if (due.some(({ session }) => !lock.holders.has(session))) await this.#judge(signal);
      // Not before that: if it fails, the query that follows must show the same again.
      last = { index: nextIndex(since, index), slots: new Set(due) };
      return PAUSE_MS;
    };
  }

  #entryReader(signal: Ending): Reader {
    let seen = { session: "", index: 0n };
    return async (due) => {
      const [only, ...others] = due;
      if (
        only !== undefined &&
        others.length === 0 &&
        this.#slots.size === 1 &&
        !this.#options.isShared()
      ) {
        const { session } = only;
        const query =
          seen.session === session
            ? this.#query(due, seen.index)
            : this.#query(due, only.index, CHECK_MS);
        this.#entryQuery = new MonitorQuery(signal, session);
        const entry = await this.#entryQuery.run((ending) =>
          this.#requests.readContender(session, { ...query, signal: ending }),
        );
        if (entry === GIVEN_UP) return entry;
        if (entry?.session === session) {
          seen = { session, index: entry.modifyIndex };
          return 0;
        }
      } else {
        const { timeout } = this.#query(due, 0n);
        const sessions = due.map(({ session }) => session);
        if (await this.#requests.areAlive(sessions, { timeout, signal })) return CHECK_MS;
      }
      await this.#judge(signal);
      return PAUSE_MS;
    };
  }

  /** Something is wrong: a reading of the whole prefix shows what has become of each slot. */
  async #judge(signal: Ending): Promise<void> {
    const { snapshot, sentAt } = await this.#requests.readAll({ signal });
    for (const [slot, since] of this.#slots) {
      if (sentAt < since || !slot.isHeld()) continue;
      const reason = lossOf(slot.session, snapshot);
      if (reason !== undefined) slot.lost(new SemaphoreLostError(reason));
    }
  }

  /** A query that suits the slot with the shortest TTL. */
  #query(due: readonly MonitoredSlot[], index: bigint, longest = LONGEST_WATCH_MS) {
    const ttl = Math.min(...due.map((slot) => slot.ttl));
    const wait = Math.min(longest, ttl / 2);
    // Consul adds up to a sixteenth to the wait.
    return { index, wait, timeout: wait + wait / 16 + Math.min(ANSWER_GRACE_MS, ttl / 4) };
  }
}

/** What ends a blocking query that can be given up for another one. */
class MonitorQuery extends FirstOf {
  readonly sentAt = performance.now();
  /** Whose contender entry it is about, if any. */
  readonly session: string | undefined;

  constructor(signal: Ending, session?: string) {
    super(signal);
    this.session = session;
  }

  async run<Answer>(query: (ending: Ending) => Promise<Answer>): Promise<Answer | typeof GIVEN_UP> {
    try {
      return await query(this);
    } catch (error) {
      if (this.reason === GIVEN_UP) return GIVEN_UP;
      throw error;
    } finally {
      this.dispose();
    }
  }

  giveUp(): void {
    this.abort(GIVEN_UP);
  }
}

function least(indexes: readonly bigint[]): bigint {
  return indexes.reduce((least, index) => (index < least ? index : least));
}

/** Why the session no longer holds, if so. */
function lossOf(
  session: string,
  snapshot: Snapshot,
): "holder-removed" | "session-invalidated" | undefined {
  if (liveHolders(snapshot).has(session)) return undefined;
  // The end of a session deletes its contender entry, but leaves the lock. If the whole tree was deleted, or
  // the lock edited, the slot has ended and not the session.
  const contends = snapshot.contenders.some((contender) => contender.session === session);
  return contends || snapshot.lock.limit === undefined ? "holder-removed" : "session-invalidated";
}
