import { attemptTimeout } from "./async/attempt-timeout.js";
import { Backoff } from "./async/backoff.js";
import { Deadline } from "./async/deadline.js";
import { eitherSignal } from "./async/either-signal.js";
import { retry } from "./async/retry.js";
import { SerialCalls } from "./async/serial-calls.js";
import { settleAfterAbort } from "./async/settle-after-abort.js";
import { sleep } from "./async/sleep.js";
import { clientUse, type ClientUse, type Releasable } from "./client-use.js";
import { ConsulError } from "./consul/http/consul-error.js";
import { parseDuration } from "./consul/duration.js";
import type { ConsulEndpoints } from "./consul/endpoints.js";
import {
  contend,
  SHORTEST_TRY_MS,
  type Contention,
  type ContentionOptions,
} from "./queue/contend.js";
import { depart, type DepartureOptions, type Traces } from "./queue/departure.js";
import {
  acquireChannel,
  heldChannel,
  releaseChannel,
  tellOfLoss,
  traced,
  tracedTime,
  waitChannel,
  type AcquireEvent,
  type HeldEvent,
  type SemaphoreEvent,
} from "./diagnostics.js";
import { keptSessions } from "./session/idle-sessions.js";
import type { Contender } from "./protocol/snapshot.js";
import {
  isPassing,
  isUnclear,
  SemaphoreClosedError,
  SemaphoreHeldError,
  SemaphoreInUseError,
  SemaphoreLostError,
  SemaphoreNotHeldError,
  SemaphoreReleasedError,
  SemaphoreRequestError,
} from "./errors.js";
import {
  requireClient,
  requireFunction,
  requireSignal,
  resolveOptions,
  type ResolvedSemaphoreOptions,
  type SemaphoreOptions,
} from "./options.js";
import { HeldSlot, type SemaphoreSlot } from "./slot.js";
import type { SessionLease } from "./session/lease.js";
import { sharedPrefix, type SharedPrefix } from "./queue/queue.js";
import { openBorrowedSession, openOwnSession } from "./session/creation.js";
import { monitorSlot } from "./queue/monitor.js";
import { checkWatchdogs } from "./session/watchdog.js";

/**
 * Who holds a semaphore and who waits for it.
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
  /** Who holds a slot, in the order of their arrival. */
  readonly holders: readonly Contender[];
  /** Who waits for one, in the order of their arrival. */
  readonly waiters: readonly Contender[];
}

/** What there is from a successful acquire to the release, whether the slot is lost or not. */
interface Holding {
  readonly slot: HeldSlot;
  readonly lease: SessionLease;
  /** What the end of the client does. */
  readonly untilClosed: Releasable;
  readonly traces: Traces;
}

/** Tells the caller of a call how it came out, while the call still goes on. */
interface Tell<Result> {
  readonly result: (result: Result) => void;
  readonly failure: (reason: unknown) => void;
}

/**
 * How long an aborted acquire is given to clear away what it has written before it rejects: as a
 * rule a few milliseconds do, and a process that exits right after leaves nothing behind. What
 * takes longer goes on behind the caller's back.
 */
const ABORT_GRACE_MS = 100;

/**
 * How long an acquire tries to get into the queue. In the queue it rides out an outage of any
 * length; but where nothing has ever worked, a caller wants to know why.
 */
const ENTRY_PATIENCE_MS = 15_000;

/**
 * How long a caller is left waiting for a release that does not get through: for a TTL, which is
 * when it is moot, but no longer than a minute; and where there is no TTL to go by, as long as the
 * default one.
 */
const LONGEST_RELEASE_MS = 60_000;
const RELEASE_MS = 15_000;

/** How long an acquire that came to nothing keeps its caller waiting while it clears away. */
const WITHDRAW_PATIENCE_MS = 1_000;

/** A waiter that loses its place over and over comes back after longer and longer pauses. */
const REENTRY_PAUSES = { first: 50, longest: 5_000 };

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
  readonly #consul: ConsulEndpoints;
  readonly #options: ResolvedSemaphoreOptions;
  readonly #prefix: SharedPrefix;
  readonly #use: ClientUse;
  readonly #calls = new SerialCalls();
  #held: Holding | undefined;
  /** Whether a slot was given back by the end of the client, of which its user need not know. */
  #isClosedOver = false;

  /**
   * Sends nothing yet (Go: `SemaphoreOpts`).
   *
   * @param consul a {@link ConsulClient}
   * @throws {@link SemaphoreOptionsError} for options that it cannot work with, or does not know
   */
  constructor(consul: ConsulEndpoints, options: SemaphoreOptions) {
    requireClient(consul);
    this.#consul = consul;
    this.#options = resolveOptions(options);
    this.#use = clientUse(consul);
    this.#prefix = sharedPrefix(consul, this.#options.prefix, this.#scope);
  }

  /**
   * Whether there is a slot to release (Go: `isHeld`). That stays so after a loss: ask `slot.held`
   * whether the slot is still yours.
   */
  get isHeld(): boolean {
    return this.#held !== undefined;
  }

  /**
   * Waits for a slot and takes it (Go: `Acquire`). Once it is in the queue, it rides out outages of
   * any length; on the way there it tries each step for 15 s.
   *
   * @param signal gives up waiting: the promise then rejects with the signal's reason, at once or,
   *   if there is something to clear away, within 100 ms. Nothing stays behind. Once acquired, the
   *   slot does not depend on it.
   * @throws `signal.reason` when the signal aborts
   * @throws {@link SemaphoreHeldError} while this semaphore has a slot that was not released
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

  async #tryAcquireSlot(signal: AbortSignal | undefined): Promise<HeldSlot | null> {
    requireSignal(signal);
    const waitLimit = parseDuration(this.#options.semaphoreWaitTime);
    const giveUp = eitherSignal(signal, this.#use.closing);
    const untilTurn = new Deadline(waitLimit, giveUp.signal);
    try {
      const waitUntil = performance.now() + waitLimit;
      const turn = this.#inTurn<HeldSlot | null>((tell) => {
        untilTurn.dispose();
        return this.#acquire(giveUp.signal, waitUntil, tell);
      }, untilTurn.signal);
      return await settleAfterAbort(turn, giveUp.signal, ABORT_GRACE_MS);
    } catch (error) {
      if (untilTurn.expired) return null;
      throw error;
    } finally {
      untilTurn.dispose();
      giveUp.dispose();
    }
  }

  /**
   * Gives the slot back, and aborts its signal at once (Go: `Release`). It tries until that is done.
   * After a loss this clears away what is left, and has to come before the next `acquire`.
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
    await this.#inTurn(async (tell: Tell<void>) => {
      if (this.#held === undefined && this.#isClosedOver) return;
      if (this.#held === undefined) throw new SemaphoreNotHeldError();
      await this.#release(this.#held, tell);
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
      if (this.#isClosedOver) throw new SemaphoreClosedError();
    } catch (error) {
      await slot.release().catch(() => undefined);
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
      if (this.#held !== undefined) throw new SemaphoreHeldError();
      const { snapshot } = await this.#prefix.store.read();
      if (snapshot.lockIndex === 0n) return;
      if (snapshot.holders.size > 0) throw new SemaphoreInUseError();
      if (!(await this.#prefix.store.deleteLock(snapshot))) throw new SemaphoreInUseError();
    });
  }

  /**
   * Who holds and who waits, of this library and of any other that uses the prefix. It may be called
   * at any time, and waits for no other call.
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
    const { snapshot } = await this.#prefix.store.read();
    const holds = ({ session }: Contender): boolean => snapshot.holders.has(session);
    return {
      limit: snapshot.limit ?? this.#options.limit,
      holders: snapshot.contenders.filter(holds),
      waiters: snapshot.contenders.filter((contender) => !holds(contender)),
    };
  }

  /** What is told of this semaphore in every event. */
  get #identity(): SemaphoreEvent {
    const { prefix, limit } = this.#options;
    return { prefix, limit };
  }

  get #scope(): { namespace?: string | undefined; partition?: string | undefined } {
    const { namespace, partition } = this.#options;
    return { namespace, partition };
  }

  /** What a session has to be made for to do for this semaphore as well. */
  get #sessionUse(): string {
    const { prefix, sessionName, sessionTTL, sessionChecks } = this.#options;
    return JSON.stringify([prefix, this.#scope, sessionName, sessionTTL, sessionChecks]);
  }

  async #acquireSlot(call: "acquire" | "run", signal: AbortSignal | undefined): Promise<HeldSlot> {
    return await this.#traceAcquire(call, () => this.#waitForSlot(signal));
  }

  async #traceAcquire<Slot extends HeldSlot | null>(
    call: AcquireEvent["call"],
    acquire: () => Promise<Slot>,
  ): Promise<Slot> {
    const event: AcquireEvent = { ...this.#identity, call };
    return await traced(acquireChannel, event, async () => {
      const slot = await acquire();
      if (slot !== null) {
        event.session = slot.session;
        event.fencingToken = slot.fencingToken;
      }
      return slot;
    });
  }

  async #waitForSlot(signal: AbortSignal | undefined): Promise<HeldSlot> {
    requireSignal(signal);
    const giveUp = eitherSignal(signal, this.#use.closing);
    try {
      for (;;) {
        const turn = this.#inTurn<HeldSlot | null>(
          (tell) => this.#acquire(giveUp.signal, Infinity, tell),
          giveUp.signal,
        );
        const slot = await settleAfterAbort(turn, giveUp.signal, ABORT_GRACE_MS);
        // Only a wait with a limit comes to an end without one.
        if (slot !== null) return slot;
      }
    } finally {
      giveUp.dispose();
    }
  }

  /**
   * Runs a call once all earlier ones have ended. The caller may be told how it came out while it
   * still clears away behind itself.
   */
  #inTurn<Result>(
    call: (tell: Tell<Result>) => Promise<Result>,
    signal?: AbortSignal,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      const report = (result: Result): void => {
        checkWatchdogs(this.#consul.session);
        resolve(result);
      };
      const turn = this.#calls.run(() => call({ result: report, failure: reject }), signal);
      this.#use.track(turn);
      turn.then(report, reject);
    });
  }

  async #acquire(
    signal: AbortSignal | undefined,
    waitUntil: number,
    tell: Tell<HeldSlot | null>,
  ): Promise<HeldSlot | null> {
    if (this.#held !== undefined) throw new SemaphoreHeldError();
    const pauses = new Backoff(REENTRY_PAUSES);
    const begunAt = performance.now();
    const tryUntil = Math.max(waitUntil, begunAt + SHORTEST_TRY_MS);
    const entryUntil = (): number => Math.min(tryUntil, performance.now() + ENTRY_PATIENCE_MS);
    let hasEntered = false;
    for (;;) {
      signal?.throwIfAborted();
      const openUntil = hasEntered ? tryUntil : entryUntil();
      const lease = await this.#openSession(openUntil, signal, tell.failure);
      const traces: Traces = {
        contender: false,
        lateContender: false,
        holder: false,
        inDoubt: false,
      };
      let outcome: Contention = "lost our place";
      try {
        // No write is cut off by the signal: a write that may or may not have taken place is more
        // to clear away than one that has.
        signal?.throwIfAborted();
        const joinedAt = await this.#joinAtOnce(lease, traces, entryUntil(), signal);
        signal?.throwIfAborted();
        const enterUntil = hasEntered ? tryUntil : entryUntil();
        if (typeof joinedAt === "bigint") {
          if (!lease.checkLost()) return this.#hold(lease, traces, joinedAt);
        } else if (await this.#enter(lease, traces, enterUntil, signal)) {
          hasEntered = true;
          const wait: ContentionOptions = {
            limit: this.#options.limit,
            lookTime: parseDuration(this.#options.semaphoreWaitTime),
            waitUntil,
            hasLooked: joinedAt === "occupied",
            signal,
          };
          outcome = await traced(waitChannel, { ...this.#identity, session: lease.id }, () =>
            contend(this.#prefix, lease, traces, wait),
          );
          signal?.throwIfAborted();
          if (typeof outcome === "bigint") return this.#hold(lease, traces, outcome);
        }
      } catch (error) {
        const reason: unknown = signal?.aborted ? signal.reason : error;
        await this.#withdraw(lease, traces, signal, WITHDRAW_PATIENCE_MS, () => {
          tell.failure(reason);
        });
        throw reason;
      }
      const over = outcome === "waited long enough" || performance.now() >= waitUntil;
      const patience = over ? ABORT_GRACE_MS : waitUntil - performance.now();
      const caller = { told: false };
      await this.#withdraw(lease, traces, signal, patience, () => {
        caller.told = true;
        tell.result(null);
      });
      // A slot that is got after that would be nobody's.
      if (over || caller.told || performance.now() >= waitUntil) return null;
      await sleep(Math.min(pauses.next(), waitUntil - performance.now()), signal);
    }
  }

  async #openSession(
    until: number,
    signal: AbortSignal | undefined,
    failed: (reason: unknown) => void,
  ): Promise<SessionLease> {
    const { session: id, sessionName, sessionTTL, sessionChecks } = this.#options;
    const scope = this.#scope;
    const reasonOf = (error: unknown): unknown =>
      signal?.aborted
        ? signal.reason
        : new SemaphoreRequestError("SEMAPHORE_SESSION_FAILED", error);
    try {
      if (id !== undefined) {
        return await openBorrowedSession(this.#consul.session, { id, scope, until, signal });
      }
      const kept = keptSessions(this.#consul).take(this.#sessionUse);
      if (kept !== undefined) return kept;
      return await openOwnSession(this.#consul.session, {
        name: sessionName,
        ttl: sessionTTL,
        checks: sessionChecks,
        scope,
        until,
        signal,
        failed: (error) => {
          failed(reasonOf(error));
        },
      });
    } catch (error) {
      throw reasonOf(error);
    }
  }

  /**
   * Takes a slot that nobody waits for, with the contender entry, in one write. Where that cannot
   * be, for whatever reason that passes, the queue is the way.
   */
  async #joinAtOnce(
    lease: SessionLease,
    traces: Traces,
    until: number,
    signal: AbortSignal | undefined,
  ): Promise<bigint | "occupied" | "unclear"> {
    // A session of the user's may be in there already.
    if (!lease.own) return "unclear";
    const { value, limit } = this.#options;
    const sends = (): void => {
      traces.contender = true;
      traces.holder = true;
    };
    const timeout = (): number => attemptTimeout(until);
    const options = { value, limit, sends, timeout, signal };
    try {
      return (await this.#prefix.joinAtOnce(lease.id, options)) ?? "occupied";
    } catch (error) {
      signal?.throwIfAborted();
      if (!isPassing(error) && !isSessionGone(error)) throw error;
      traces.inDoubt ||= traces.holder;
      return "unclear";
    }
  }

  /** Makes the contender entry. Resolves to whether there still is a session to do it with. */
  async #enter(
    lease: SessionLease,
    traces: Traces,
    until: number,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    traces.contender = true;
    try {
      const entered = await retry(() => this.#tryToEnter(lease.id, traces, until), {
        isTransient: (error) => isPassing(error) && !lease.checkLost(),
        until,
        signal,
      });
      if (entered) return true;
      // The entry of a session of ours is its own; but one that was ended while it was kept has left
      // it under lock-delay, of which Consul speaks first.
      if (lease.own) return false;
    } catch (error) {
      if (lease.own && (lease.checkLost() || isSessionGone(error))) return false;
      throw error;
    }
    traces.contender = false;
    throw new SemaphoreRequestError(
      "SEMAPHORE_CONTENDER_FAILED",
      `another session has the lock of the entry of ${lease.id}, or had it a moment ago, ` +
        `as when that session was ended and its lock-delay is not over`,
    );
  }

  async #tryToEnter(session: string, traces: Traces, until: number): Promise<boolean> {
    const timeout = attemptTimeout(until);
    try {
      return await this.#prefix.store.enter(session, this.#options.value, { timeout });
    } catch (error) {
      traces.lateContender ||= isPassing(error);
      traces.inDoubt ||= isUnclear(error);
      throw error;
    }
  }

  #hold(lease: SessionLease, traces: Traces, fencingToken: bigint): HeldSlot {
    const event = { ...this.#identity, session: lease.id, fencingToken };
    const heldNoLonger = tracedTime<HeldEvent>(heldChannel, { ...event });
    const slot = new HeldSlot(lease, fencingToken, {
      release: async () => {
        // What is given back already has nothing to wait for behind an acquire that came after.
        if (this.#held !== holding) return;
        await this.#inTurn(async (tell: Tell<void>) => {
          if (this.#held === holding) await this.#release(holding, tell);
        });
      },
      ended: (reason) => {
        const error = reason instanceof SemaphoreLostError ? reason : undefined;
        if (error !== undefined) tellOfLoss({ ...event, error });
        heldNoLonger(error);
      },
    });
    const untilClosed = {
      release: async (): Promise<void> => {
        this.#isClosedOver = true;
        await slot.release();
      },
    };
    const holding: Holding = {
      ...{ slot, lease, untilClosed },
      // A slot that came with its session is ours from here on.
      traces: { ...traces, contender: true, holder: true },
    };
    this.#held = holding;
    this.#use.hold(untilClosed);
    void this.#monitor(slot, lease.ttl);
    return slot;
  }

  async #monitor(slot: HeldSlot, ttl: number): Promise<void> {
    const loss = await monitorSlot(this.#prefix, {
      session: slot.session,
      signal: slot.signal,
      held: () => slot.held,
      ttl,
      retries: this.#options.monitorRetries,
      retryTime: parseDuration(this.#options.monitorRetryTime),
    });
    if (loss !== undefined) slot.end(loss);
  }

  async #release({ slot, lease, untilClosed, traces }: Holding, tell: Tell<void>): Promise<void> {
    const lost = slot.loss() !== undefined;
    // First of all it is no longer ours: whoever works in it must hear before the next one may.
    this.#held = undefined;
    this.#use.letGo(untilClosed);
    slot.end(new SemaphoreReleasedError());
    // What is left of a lost slot goes with its session, if that is ours.
    const moot = lost && lease.own;
    try {
      const departure: DepartureOptions = {
        patience: lease.ttl === Infinity ? RELEASE_MS : Math.min(lease.ttl, LONGEST_RELEASE_MS),
        gaveUp: (failure) => {
          if (moot || failure === undefined) tell.result();
          else tell.failure(failure);
        },
        keep: lost
          ? undefined
          : (ended) => {
              keptSessions(this.#consul).keep(this.#sessionUse, ended);
            },
      };
      const { session, fencingToken } = slot;
      await traced(releaseChannel, { ...this.#identity, session, fencingToken }, () =>
        depart(this.#prefix, lease, traces, departure),
      );
    } catch (error) {
      // Whoever wrote a lock that cannot be read has taken us out of it.
      if (moot || (lost && !(error instanceof SemaphoreRequestError))) return;
      throw error;
    }
  }

  /** Clears away what an acquire without success has written. It has its own outcome to tell. */
  async #withdraw(
    lease: SessionLease,
    traces: Traces,
    signal: AbortSignal | undefined,
    patience: number,
    gaveUp: () => void,
  ): Promise<void> {
    await depart(this.#prefix, lease, traces, { patience, gaveUp, signal }).catch(() => undefined);
  }
}

function isSessionGone(error: unknown): boolean {
  return (
    error instanceof SemaphoreRequestError &&
    error.cause instanceof ConsulError &&
    /invalid session/i.test(error.cause.text ?? "")
  );
}
