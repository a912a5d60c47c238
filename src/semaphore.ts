import { Deadline } from "./async/deadline.js";
import { SerialCalls } from "./async/serial-calls.js";
import { settleAfterAbort } from "./async/settle-after-abort.js";
import { sleep } from "./async/sleep.js";
import { parseDuration } from "./consul/duration.js";
import type { ConsulEndpoints } from "./consul/endpoints.js";
import { requireSameLimit, type Contender } from "./prefix-snapshot.js";
import {
  SemaphoreHeldError,
  SemaphoreInUseError,
  SemaphoreNotHeldError,
  SemaphoreReleasedError,
  SemaphoreRequestError,
} from "./semaphore-errors.js";
import {
  requireClient,
  requireFunction,
  requireSignal,
  resolveOptions,
  type ResolvedSemaphoreOptions,
  type SemaphoreOptions,
} from "./semaphore-options.js";
import { HeldSlot, type SemaphoreSlot } from "./semaphore-slot.js";
import { SemaphoreStore, type PrefixReading } from "./semaphore-store.js";
import { borrowSession, leaseSession, type SessionLease } from "./session-lease.js";
import { monitorSlot } from "./slot-monitor.js";

/** Who holds a semaphore and who waits for it, each in the order of their arrival. */
export interface SemaphoreState {
  /** The limit in Consul, or this semaphore's where nobody has used the prefix yet. */
  readonly limit: number;
  readonly holders: readonly Contender[];
  readonly waiters: readonly Contender[];
}

/** What there is from a successful acquire to the release, whether the slot is lost or not. */
interface Holding {
  readonly slot: HeldSlot;
  readonly lease: SessionLease;
}

/** What an acquire may have written by now, and has to clear away if it comes to nothing. */
interface Traces {
  contender: boolean;
  holder: boolean;
}

/**
 * How long an aborted acquire is given to clear away what it has written before it rejects: as a
 * rule a few milliseconds do, and a process that exits right after leaves nothing behind. What
 * takes longer goes on behind the caller's back.
 */
const ABORT_GRACE_MS = 100;

/** A waiter that loses its place over and over comes back after longer and longer pauses. */
const REENTRY_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5_000;

/** How long one blocking query lasts at least: a short wait time is meant for `tryAcquire`. */
const SHORTEST_WAIT_MS = 1_000;

/** For how long at least `tryAcquire` tries for slots that are free. */
const SHORTEST_RACE_MS = 1_000;

/** How long each step may take in which a failed acquire clears away what it has written. */
const WITHDRAW_STEP_MS = 5_000;

/**
 * A counting semaphore whose slots are shared by processes all over a fleet (Go: `Semaphore`).
 *
 * One `Semaphore` has at most one slot at a time, and its calls take turns: to hold two slots in
 * one process, make two.
 */
export class Semaphore {
  readonly #consul: ConsulEndpoints;
  readonly #options: ResolvedSemaphoreOptions;
  readonly #store: SemaphoreStore;
  readonly #calls = new SerialCalls();
  #held: Holding | undefined;

  /**
   * Sends nothing yet (Go: `SemaphoreOpts`).
   *
   * @throws SemaphoreOptionsError
   */
  constructor(consul: ConsulEndpoints, options: SemaphoreOptions) {
    requireClient(consul);
    this.#consul = consul;
    this.#options = resolveOptions(options);
    this.#store = new SemaphoreStore(consul, this.#options.prefix, this.#scope);
  }

  /**
   * Whether there is a slot to release (Go: `isHeld`). That stays so after a loss: ask `slot.held`
   * whether the slot is still yours.
   */
  get isHeld(): boolean {
    return this.#held !== undefined;
  }

  /**
   * Waits for a slot and takes it (Go: `Acquire`).
   *
   * @param signal gives up waiting: the promise then rejects with the signal's reason, at once or,
   *   if there is something to clear away, within 100 ms. Nothing stays behind. Once acquired, the
   *   slot does not depend on it.
   * @throws SemaphoreHeldError while this semaphore has a slot that was not released
   * @throws SemaphoreConflictError, SemaphoreLimitConflictError, SemaphoreDecodingError when the
   *   prefix is in use for something else
   * @throws SemaphoreRequestError when Consul refuses a request or cannot be reached
   */
  async acquire(signal?: AbortSignal): Promise<SemaphoreSlot> {
    return await this.#acquireSlot(signal);
  }

  /**
   * As `acquire`, but waits at most `semaphoreWaitTime` for a slot to become free, and resolves to
   * `null` if none did (Go: `SemaphoreTryOnce`). It always looks once; and while there are free
   * slots that others are faster to take, it goes on for a second at least.
   */
  async tryAcquire(signal?: AbortSignal): Promise<SemaphoreSlot | null> {
    requireSignal(signal);
    const waitLimit = parseDuration(this.#options.semaphoreWaitTime);
    const untilTurn = new Deadline(waitLimit, signal);
    try {
      const waitUntil = performance.now() + waitLimit;
      const turn = this.#calls.run(() => {
        untilTurn.dispose();
        return this.#acquire(signal, waitUntil);
      }, untilTurn.signal);
      return await settleAfterAbort(turn, signal, ABORT_GRACE_MS);
    } catch (error) {
      if (untilTurn.expired) return null;
      throw error;
    } finally {
      untilTurn.dispose();
    }
  }

  /**
   * Gives the slot back, and aborts its signal (Go: `Release`). After a loss this clears away what
   * is left, and has to come before the next `acquire`.
   *
   * @throws SemaphoreNotHeldError
   * @throws SemaphoreRequestError when Consul refuses a request or cannot be reached. The slot is
   *   no longer yours all the same, and Consul frees it with its session. Where that is a session of
   *   yours which lives on, the next `acquire` takes the slot up again, to be released once more.
   */
  async release(): Promise<void> {
    await this.#calls.run(async () => {
      if (this.#held === undefined) throw new SemaphoreNotHeldError();
      await this.#release(this.#held);
    });
  }

  /**
   * Acquires, calls `fn` with the slot, and releases, however `fn` ends. Resolves to what `fn`
   * resolves to.
   *
   * @param signal gives up waiting for the slot, as in `acquire`. It does not reach into `fn`, which
   *   has `slot.signal`.
   * @throws SemaphoreLostError when the slot was lost while `fn` ran and `fn` did not throw
   * @throws what `fn` throws, which is never hidden by a failed release
   */
  async run<Result>(
    fn: (slot: SemaphoreSlot) => Result | Promise<Result>,
    signal?: AbortSignal,
  ): Promise<Result> {
    requireFunction(fn);
    const slot = await this.#acquireSlot(signal);
    let result: Result;
    try {
      result = await fn(slot);
      const loss = slot.loss();
      if (loss !== undefined) throw loss;
    } catch (error) {
      await slot.release().catch(() => undefined);
      throw error;
    }
    await slot.release();
    return result;
  }

  /**
   * Deletes the lock entry, so that the prefix can be used with another limit (Go: `Destroy`). It is
   * never necessary.
   *
   * @throws SemaphoreHeldError while this semaphore has a slot
   * @throws SemaphoreInUseError while anybody else has one
   * @throws SemaphoreConflictError, SemaphoreRequestError
   */
  async destroy(): Promise<void> {
    await this.#calls.run(async () => {
      if (this.#held !== undefined) throw new SemaphoreHeldError();
      const { snapshot } = await this.#store.read();
      if (snapshot.lockIndex === 0n) return;
      if (snapshot.holders.size > 0) throw new SemaphoreInUseError();
      if (!(await this.#store.deleteLock(snapshot))) throw new SemaphoreInUseError();
    });
  }

  /**
   * Who holds and who waits, of this library and of any other that uses the prefix.
   *
   * @throws SemaphoreConflictError, SemaphoreDecodingError, SemaphoreRequestError
   */
  async inspect(): Promise<SemaphoreState> {
    const { snapshot } = await this.#store.read();
    const holds = ({ session }: Contender): boolean => snapshot.holders.has(session);
    return {
      limit: snapshot.limit ?? this.#options.limit,
      holders: snapshot.contenders.filter(holds),
      waiters: snapshot.contenders.filter((contender) => !holds(contender)),
    };
  }

  get #scope(): { namespace?: string | undefined; partition?: string | undefined } {
    const { namespace, partition } = this.#options;
    return { namespace, partition };
  }

  async #acquireSlot(signal: AbortSignal | undefined): Promise<HeldSlot> {
    requireSignal(signal);
    for (;;) {
      const turn = this.#calls.run(() => this.#acquire(signal, Infinity), signal);
      const slot = await settleAfterAbort(turn, signal, ABORT_GRACE_MS);
      // Only a wait with a limit comes to an end without one.
      if (slot !== null) return slot;
    }
  }

  async #acquire(signal: AbortSignal | undefined, waitUntil: number): Promise<HeldSlot | null> {
    if (this.#held !== undefined) throw new SemaphoreHeldError();
    for (let pause = 0; ; pause = Math.min(2 * pause + REENTRY_PAUSE_MS, LONGEST_PAUSE_MS)) {
      if (pause > 0) await sleep(Math.min(pause, waitUntil - performance.now()), signal);
      signal?.throwIfAborted();
      const lease = await this.#openSession();
      const traces: Traces = { contender: false, holder: false };
      try {
        // No write is cut off by the signal: a write that may or may not have taken place is more
        // to clear away than one that has.
        signal?.throwIfAborted();
        await this.#enter(lease.id, traces);
        const outcome = await this.#contend(lease, traces, waitUntil, signal);
        signal?.throwIfAborted();
        if (outcome === "took a slot") return this.#hold(lease);
        await this.#withdraw(lease, traces);
        if (outcome === "waited long enough" || performance.now() >= waitUntil) return null;
      } catch (error) {
        await this.#withdraw(lease, traces);
        throw error;
      }
    }
  }

  async #openSession(): Promise<SessionLease> {
    const { session, sessionName, sessionTTL, sessionChecks } = this.#options;
    if (session !== undefined) return borrowSession(session);
    try {
      return await leaseSession(this.#consul, {
        name: sessionName,
        ttl: sessionTTL,
        checks: sessionChecks,
        scope: this.#scope,
      });
    } catch (error) {
      throw new SemaphoreRequestError("SEMAPHORE_SESSION_FAILED", error);
    }
  }

  async #enter(session: string, traces: Traces): Promise<void> {
    traces.contender = true;
    if (await this.#store.enter(session, this.#options.value)) return;
    traces.contender = false;
    throw new SemaphoreRequestError(
      "SEMAPHORE_CONTENDER_FAILED",
      `another session has the lock of the entry of ${session}, or had it a moment ago`,
    );
  }

  /** Looks at the prefix, and tries for a slot whenever there is a free one. */
  async #contend(
    { id: session, lost }: SessionLease,
    traces: Traces,
    waitUntil: number,
    signal: AbortSignal | undefined,
  ): Promise<"took a slot" | "waited long enough" | "lost our place"> {
    const { limit } = this.#options;
    const raceUntil = Math.max(waitUntil, performance.now() + SHORTEST_RACE_MS);
    let reading = await this.#read(0n, signal);
    for (;;) {
      const { snapshot, nextIndex } = reading;
      const holds = snapshot.holders.has(session);
      // A slot that the session had before it came to us is not for us to clear away.
      if (holds) traces.contender = false;
      requireSameLimit(snapshot, limit);
      // Without its contender entry a session counts as dead: the slot would be lost at once.
      const contends = snapshot.contenders.some((contender) => contender.session === session);
      if (!contends || lost.aborted) return "lost our place";
      // A process that restarted with its session finds its slot waiting for it.
      if (holds) return "took a slot";
      const free = snapshot.holders.size < limit;
      if (free) {
        traces.holder = true;
        if (await this.#store.join(session, snapshot, limit)) return "took a slot";
        traces.holder = false;
      }
      signal?.throwIfAborted();
      // Where somebody else's swap came first, read what it made of the lock, without waiting.
      const next = free
        ? await this.#readUntil(raceUntil, 0n, signal)
        : await this.#readUntil(waitUntil, nextIndex, signal);
      if (next === null) return "waited long enough";
      reading = next;
    }
  }

  /** Reads the prefix: at once, or with an index when it has changed since. */
  async #read(index: bigint, signal: AbortSignal | undefined): Promise<PrefixReading> {
    const wait = Math.max(parseDuration(this.#options.semaphoreWaitTime), SHORTEST_WAIT_MS);
    return await this.#store.read({ index, wait, signal });
  }

  /** The same, but resolves to `null` when the time is over. */
  async #readUntil(
    waitUntil: number,
    index: bigint,
    signal: AbortSignal | undefined,
  ): Promise<PrefixReading | null> {
    if (waitUntil === Infinity) return await this.#read(index, signal);
    const left = waitUntil - performance.now();
    if (left <= 0) return null;
    const deadline = new Deadline(left, signal);
    try {
      return await this.#read(index, deadline.signal);
    } catch (error) {
      if (deadline.expired) return null;
      throw error;
    } finally {
      deadline.dispose();
    }
  }

  #hold(lease: SessionLease): HeldSlot {
    const slot = new HeldSlot(lease, () =>
      this.#calls.run(async () => {
        if (this.#held === holding) await this.#release(holding);
      }),
    );
    const holding = { slot, lease };
    this.#held = holding;
    void this.#monitor(slot);
    return slot;
  }

  async #monitor(slot: HeldSlot): Promise<void> {
    const loss = await monitorSlot(this.#store, {
      session: slot.session,
      signal: slot.signal,
      retries: this.#options.monitorRetries,
      retryTime: parseDuration(this.#options.monitorRetryTime),
    });
    if (loss !== undefined) slot.end(loss);
  }

  async #release({ slot, lease }: Holding): Promise<void> {
    const lost = slot.loss() !== undefined;
    // First of all it is no longer ours: whoever works in it must hear before the next one may.
    this.#held = undefined;
    slot.end(new SemaphoreReleasedError());
    if (lost && lease.own) {
      // What is left of a lost slot goes with its session, in whatever order.
      await Promise.allSettled([this.#leave(lease.id), lease.end()]);
      return;
    }
    try {
      await this.#leave(lease.id);
    } catch (error) {
      // Whoever wrote a lock that cannot be read has taken us out of it.
      if (!lost || error instanceof SemaphoreRequestError) throw error;
    } finally {
      await lease.end();
    }
  }

  /** Holders first, contender entry after: a holder without one counts as dead. */
  async #leave(session: string): Promise<void> {
    try {
      await this.#store.leave(session);
    } catch (error) {
      const unreadable = !(error instanceof SemaphoreRequestError);
      if (unreadable) await this.#store.deleteContender(session);
      throw error;
    }
    await this.#store.deleteContender(session);
  }

  /** Clears away what an acquire without success has written. It has its own error to tell. */
  async #withdraw(lease: SessionLease, { contender, holder }: Traces): Promise<void> {
    if (holder) await attempt((signal) => this.#store.leave(lease.id, signal));
    // Also where that failed: a holder without contender entry counts as dead.
    if (contender) await attempt((signal) => this.#store.deleteContender(lease.id, signal));
    await lease.end();
  }
}

/** Does what it can in a limited time; the session's end may still do the rest. */
async function attempt(step: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const deadline = new Deadline(WITHDRAW_STEP_MS);
  try {
    await step(deadline.signal);
  } catch {
    // There is an error already that made us withdraw.
  } finally {
    deadline.dispose();
  }
}
