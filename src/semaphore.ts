import { Deadline } from "./async/deadline.js";
import { eitherSignal } from "./async/either-signal.js";
import { SerialQueue, type Background } from "./async/serial-queue.js";
import { settleAfterAbort } from "./async/settle-after-abort.js";
import { contextOf, type ClientContext, type SemaphoreClient } from "./client-context.js";
import { acquireChannel, traced, type AcquireEvent } from "./diagnostics.js";
import {
  SemaphoreClosedError,
  SemaphoreHeldError,
  SemaphoreInUseError,
  SemaphoreNotHeldError,
} from "./errors.js";
import {
  requireFunction,
  resolveOptions,
  resolveWait,
  type ResolvedSemaphoreOptions,
  type SemaphoreOptions,
} from "./options.js";
import { liveHolders, shown, type Contender, type ContenderEntry } from "./protocol/snapshot.js";
import { ABORT_GRACE_MS, contend, type Holding, type Wait } from "./queue/contend.js";
import type { Queue } from "./queue/queue.js";
import type { SessionLease } from "./session/lease.js";
import { SessionSource } from "./session/session-source.js";
import type { HeldSlot, SemaphoreSlot } from "./slot.js";
import { Tenure } from "./tenure.js";

/**
 * The holders and the waiters of a semaphore.
 *
 * @example
 * ```ts
 * const { limit, holders, waiters }: SemaphoreState = await sem.inspect();
 * console.log(`${holders.length} of ${limit} slots taken, ${waiters.length} waiting`);
 * ```
 */
export interface SemaphoreState {
  /** The limit in Consul, or this semaphore's where nobody has used the prefix yet. */
  readonly limit: number;
  /** In the order of their arrival. */
  readonly holders: readonly Contender[];
  /** In the order of their arrival. */
  readonly waiters: readonly Contender[];
}

/** Which slot a semaphore has. */
type State =
  | { readonly kind: "none" }
  /** It may have been lost: then it has still to be cleaned up. */
  | { readonly kind: "held"; readonly tenure: Tenure }
  /** There is nothing to release, and `release` need not complain. */
  | { readonly kind: "lost" }
  | { readonly kind: "released by close" };

const NOTHING: State = { kind: "none" };
const LOST: State = { kind: "lost" };
const CLOSED: State = { kind: "released by close" };

/**
 * A counting semaphore whose slots are shared by processes all over a fleet (Go: `Semaphore`).
 *
 * One `Semaphore` has at most one slot at a time, and its calls take turns: to hold two slots in
 * one process, make two. It costs nothing before its first call.
 *
 * @example
 * ```ts
 * const sem = new Semaphore(consul, { prefix: "jobs/resize", limit: 3 });
 * await sem.run((slot) => work({ signal: slot.signal }));
 * ```
 */
export class Semaphore {
  readonly #context: ClientContext;
  readonly #options: ResolvedSemaphoreOptions;
  readonly #queue: Queue;
  readonly #sessions: SessionSource;
  readonly #calls = new SerialQueue();
  #state: State = NOTHING;

  /**
   * Sends nothing yet (Go: `SemaphoreOpts`).
   *
   * @param consul a {@link ConsulClient}
   * @throws {@link SemaphoreOptionsError} for options that it cannot work with, or does not know
   */
  constructor(consul: SemaphoreClient, options: SemaphoreOptions) {
    this.#context = contextOf(consul);
    this.#options = resolveOptions(options);
    this.#queue = this.#context.queue(this.#options.prefix, this.#options.scope);
    this.#sessions = new SessionSource(this.#context, this.#options);
  }

  /**
   * Whether it has a slot that is still yours, by the clock at the moment of the call (Go: `isHeld`).
   * After a loss it has none.
   */
  get isHeld(): boolean {
    return this.#state.kind === "held" && this.#state.tenure.isHeld;
  }

  /**
   * Waits for a slot and takes it (Go: `Acquire`). Once it is in the queue, it survives outages of any
   * length; on the way there it tries each step for 15 s. After a loss it may be called at once, and
   * cleans up what is left first.
   *
   * @param signal gives up waiting: the promise then rejects with the signal's reason, at once or,
   *   if there is something to clear away, within 100 ms. Nothing stays behind. Once acquired, the
   *   slot does not depend on it.
   * @throws `signal.reason` when the signal aborts
   * @throws {@link SemaphoreHeldError} while this semaphore has a slot
   * @throws {@link SemaphoreClosedError} when the client is closed
   * @throws {@link SemaphoreLimitConflictError} when others use the prefix with another limit
   * @throws {@link SemaphoreConflictError} or {@link SemaphoreDecodingError} when the prefix is in use
   *   for something else
   * @throws {@link SemaphoreRequestError} when Consul refuses a request, or could not be reached for
   *   the session and the contender entry
   * @throws {@link SemaphoreOptionsError} when `signal` is no signal
   * @example
   * ```ts
   * const slot = await sem.acquire(AbortSignal.timeout(30_000));
   * try {
   *   await work({ signal: slot.signal });
   * } finally {
   *   await sem.release();
   * }
   * ```
   */
  async acquire(signal?: AbortSignal): Promise<SemaphoreSlot> {
    return await this.#acquireSlot("acquire", signal);
  }

  /**
   * As `acquire`, but waits at most {@link SemaphoreOptions.semaphoreWaitTime} for a slot to become
   * free, and resolves to `null` if none did (Go: `SemaphoreTryOnce`). The time begins with the call:
   * if an earlier call on this semaphore takes longer, the result is `null` as well. Once it has its
   * turn it looks at least once.
   *
   * With a `semaphoreWaitTime` of 0 it does not wait for a slot to become free, but looks just once: it
   * takes one that is free and that nobody waits for, or to which it is next in line. That takes as
   * long as the requests for it: a session, unless one was kept, a look at the prefix, and the slot;
   * or, where there is none, a contender entry that is taken away again.
   *
   * However short the time, what fails on the way into the queue is tried again for a second at least,
   * and so is a free slot that others were faster to take. Clearing away may take 100 ms more.
   *
   * @param signal gives up waiting, as in `acquire`
   * @throws as `acquire`; a {@link SemaphoreRequestError} also where Consul could not be asked in that
   *   time
   * @example
   * ```ts
   * await using slot = await sem.tryAcquire();
   * if (slot === null) console.log("busy");
   * else await work({ signal: slot.signal });
   * ```
   */
  async tryAcquire(signal?: AbortSignal): Promise<SemaphoreSlot | null> {
    return await this.#traceAcquire("tryAcquire", () => this.#tryAcquireSlot(signal));
  }

  /**
   * Gives the slot back, and aborts its signal at once (Go: `Release`). It tries until that is done.
   * After a loss it cleans up what is left, and resolves.
   *
   * @throws {@link SemaphoreNotHeldError} when there is no slot
   * @throws {@link SemaphoreRequestError} when Consul refuses a request, or could not be reached for
   *   one TTL (at most a minute). The slot is no longer yours all the same. Consul frees it with its
   *   session; with a session of yours, which lives on, giving it back goes on being tried, and the
   *   next calls wait for that.
   * @throws {@link SemaphoreConflictError} or {@link SemaphoreDecodingError} when somebody has
   *   overwritten the lock entry, and with it the slot
   * @example
   * ```ts
   * await sem.release();
   * ```
   */
  async release(): Promise<void> {
    await this.#inTurn(async (background) => {
      const state = this.#state;
      if (state.kind === "none") throw new SemaphoreNotHeldError();
      if (state.kind === "held") await this.#end(state.tenure, NOTHING, background);
    });
  }

  /**
   * Acquires, calls `fn` with the slot, and releases, however `fn` ends. Resolves to what `fn`
   * resolves to. A loss does not stop `fn`: hand `slot.signal` to whatever it does.
   *
   * @param signal bounds the wait for the slot, as in `acquire`, and not the work, which has
   *   `slot.signal`. A wait that it ends rejects with `signal.reason` itself, so that
   *   `error === signal.reason` tells it from an error of `fn`, unless `fn` has been given the same
   *   signal.
   * @throws what `fn` throws, also where the slot was lost or cannot be released: neither hides it
   * @throws {@link SemaphoreLostError} when the slot was lost while `fn` ran and `fn` did not throw
   * @throws {@link SemaphoreClosedError} when the slot was given back by the end of the client
   *   meanwhile and `fn` did not throw
   * @throws as `acquire`, before `fn` is called, and as `release`, after `fn` has done well
   * @throws {@link SemaphoreOptionsError} when `fn` is no function
   * @example
   * ```ts
   * const patience = AbortSignal.timeout(30_000);
   * try {
   *   await sem.run((slot) => work({ signal: slot.signal }), patience);
   * } catch (error) {
   *   if (error !== patience.reason) throw error;
   *   console.log("no slot within 30 s");
   * }
   * ```
   */
  async run<Result>(
    fn: (slot: SemaphoreSlot) => Result | Promise<Result>,
    signal?: AbortSignal,
  ): Promise<Result> {
    requireFunction(fn);
    const slot = await this.#acquireSlot("run", signal);
    let result: Result;
    try {
      result = await fn(slot);
      const loss = slot.loss();
      if (loss !== undefined) throw loss;
      if (this.#state.kind === "released by close") throw new SemaphoreClosedError();
    } catch (error) {
      const released = slot.release().catch(() => undefined);
      // What is left of a lost slot is cleaned up behind the caller.
      if (slot.loss() === undefined) await released;
      throw error;
    }
    await slot.release();
    return result;
  }

  /**
   * Deletes the lock entry, so that the prefix can be used with another limit (Go: `Destroy`). It is
   * never necessary. Where there is none, it has nothing to do.
   *
   * @throws {@link SemaphoreHeldError} while this semaphore has a slot
   * @throws {@link SemaphoreInUseError} while anybody else has one, or takes one at that moment
   * @throws {@link SemaphoreConflictError} or {@link SemaphoreDecodingError} when the lock entry is no
   *   semaphore's
   * @throws {@link SemaphoreRequestError} when Consul refuses a request or cannot be reached
   * @example
   * ```ts
   * await consul.semaphorePrefix("jobs/resize", 3).destroy();
   * const wider = consul.semaphorePrefix("jobs/resize", 5);
   * ```
   */
  async destroy(): Promise<void> {
    await this.#calls.run(async () => {
      if (this.isHeld) throw new SemaphoreHeldError("destroy");
      const snapshot = await this.#queue.read();
      if (snapshot.lock.modifyIndex === 0n) return;
      if (liveHolders(snapshot).size > 0) throw new SemaphoreInUseError();
      if (!(await this.#queue.requests.deleteLock(snapshot.lock))) throw new SemaphoreInUseError();
    });
  }

  /**
   * The holders and the waiters, those of Go programs included. It may be called at any time, and waits
   * for no other call.
   *
   * @throws {@link SemaphoreConflictError} or {@link SemaphoreDecodingError} when the lock entry is no
   *   semaphore's
   * @throws {@link SemaphoreRequestError} when Consul refuses the request or cannot be reached
   * @example
   * ```ts
   * const { limit, holders, waiters } = await sem.inspect();
   * console.log(`${holders.length} of ${limit} slots are taken, ${waiters.length} wait`);
   * ```
   */
  async inspect(): Promise<SemaphoreState> {
    const snapshot = await this.#queue.read();
    const holders = liveHolders(snapshot);
    const holds = ({ session }: ContenderEntry): boolean => holders.has(session);
    return {
      limit: snapshot.lock.limit ?? this.#options.limit,
      holders: snapshot.contenders.filter(holds).map(shown),
      waiters: snapshot.contenders.filter((contender) => !holds(contender)).map(shown),
    };
  }

  async #traceAcquire<Slot extends HeldSlot | null>(
    call: AcquireEvent["call"],
    acquire: () => Promise<Slot>,
  ): Promise<Slot> {
    const { prefix, limit } = this.#options;
    const event: AcquireEvent = { prefix, limit, call };
    return await traced(acquireChannel, event, async () => {
      const slot = await acquire();
      if (slot !== null) {
        event.session = slot.session;
        event.fencingToken = slot.fencingToken;
      }
      return slot;
    });
  }

  async #acquireSlot(call: "acquire" | "run", signal: AbortSignal | undefined): Promise<HeldSlot> {
    return await this.#traceAcquire(call, async () => {
      const giveUp = eitherSignal(resolveWait(signal).signal, this.#context.closing);
      try {
        for (;;) {
          const slot = await this.#contendInTurn(Infinity, giveUp.signal);
          // Only a wait with a limit ends without one.
          if (slot !== null) return slot;
        }
      } finally {
        giveUp.dispose();
      }
    });
  }

  async #tryAcquireSlot(signal: AbortSignal | undefined): Promise<HeldSlot | null> {
    const wait = resolveWait(signal);
    const { semaphoreWaitTime: waitTime } = this.#options;
    const until = performance.now() + waitTime;
    const giveUp = eitherSignal(wait.signal, this.#context.closing);
    const untilTurn = new Deadline(waitTime, giveUp.signal);
    try {
      return await this.#contendInTurn(until, giveUp.signal, untilTurn);
    } catch (error) {
      if (untilTurn.expired) return null;
      throw error;
    } finally {
      untilTurn.dispose();
      giveUp.dispose();
    }
  }

  /** Contends once all earlier calls have ended, if `untilTurn` does not end before that. */
  async #contendInTurn(
    until: number,
    signal: AbortSignal,
    untilTurn?: Deadline,
  ): Promise<HeldSlot | null> {
    const turn = this.#inTurn(async (background) => {
      untilTurn?.dispose();
      return await this.#contend({ until, signal, background });
    }, untilTurn?.signal ?? signal);
    return await settleAfterAbort(turn, signal, ABORT_GRACE_MS);
  }

  /** Runs a call once all earlier ones, and what they have left to do, have ended. */
  async #inTurn<Result>(
    call: (background: Background) => Promise<Result>,
    signal?: AbortSignal,
  ): Promise<Result> {
    const turn = this.#calls.run(call, signal);
    this.#context.track(this.#calls.settled);
    const result = await turn;
    this.#context.watchdogs.check();
    return result;
  }

  async #contend(wait: Wait): Promise<HeldSlot | null> {
    if (this.isHeld) throw new SemaphoreHeldError();
    if (this.#state.kind === "held" && !(await this.#makeWay(this.#state.tenure, wait)))
      return null;
    const { prefix, limit, value, semaphoreWaitTime: longestWatch } = this.#options;
    const openSession = (until: number): Promise<SessionLease> =>
      this.#sessions.open({ ...wait, until });
    const holding = await contend(
      this.#queue,
      { prefix, limit, value, longestWatch, openSession },
      wait,
    );
    return holding && this.#hold(holding);
  }

  #hold(holding: Holding): HeldSlot {
    const tenure = new Tenure(holding, {
      context: this.#context,
      queue: this.#queue,
      options: this.#options,
      keepSession: this.#sessions.keep,
      release: (it) => this.#endInTurn(it, NOTHING),
      close: (it) => this.#endInTurn(it, CLOSED),
    });
    this.#state = { kind: "held", tenure };
    return tenure.slot;
  }

  async #makeWay(tenure: Tenure, { until, background }: Wait): Promise<boolean> {
    this.#state = LOST;
    return await tenure.makeWay(until, background);
  }

  /** Ends a tenure in turn, unless that has been done. */
  async #endInTurn(tenure: Tenure, then: State): Promise<void> {
    // What is released already has nothing to wait for behind an acquire that came after it.
    if (!this.#has(tenure)) return;
    await this.#inTurn(async (background) => {
      if (this.#has(tenure)) await this.#end(tenure, then, background);
    });
  }

  async #end(tenure: Tenure, then: State, background: Background): Promise<void> {
    this.#state = tenure.isHeld ? then : LOST;
    await tenure.end(background);
  }

  #has(tenure: Tenure): boolean {
    return this.#state.kind === "held" && this.#state.tenure === tenure;
  }
}
