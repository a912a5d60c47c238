import { inspect } from "node:util";

import { FirstOf } from "./async/first-of.js";
import { Caller } from "./caller.js";
import type { SemaphoreClient } from "./client-context.js";
import { acquireChannel, traced, type AcquireEvent } from "./diagnostics.js";
import {
  SemaphoreClosedError,
  SemaphoreHeldError,
  SemaphoreInUseError,
  SemaphoreRequestError,
  SemaphoreTimeoutError,
} from "./errors.js";
import {
  requireFunction,
  requireLimit,
  resolveOptions,
  resolveWait,
  type SemaphoreOptions,
  type SemaphoreWait,
} from "./options.js";
import type { SemaphoreState } from "./protocol/semaphore-state.js";
import { liveHolders } from "./protocol/snapshot.js";
import type { TooLate } from "./queue/claim.js";
import { Runs } from "./runs.js";
import { SingleSlot } from "./single-slot.js";
import { SlotSource, type Patience } from "./slot-source.js";
import type { SemaphoreSlot } from "./slot.js";
import type { Tenure } from "./tenure.js";

/**
 * A counting semaphore whose slots are shared by processes all over a fleet (Go: `Semaphore`). Make
 * one for the whole service, and call `run` for each piece of work. It costs nothing before its first
 * call.
 *
 * @example
 * ```ts
 * const sem = new Semaphore(consul, { prefix: "jobs/resize", limit: 3 });
 * await sem.run((slot) => work({ signal: slot.signal }));
 * ```
 */
export class Semaphore {
  readonly #source: SlotSource;
  readonly #single: SingleSlot;
  readonly #runs: Runs;

  /**
   * Sends nothing yet (Go: `SemaphoreOpts`).
   *
   * @param consul a {@link ConsulClient}
   * @throws {@link SemaphoreOptionsError} for options that it cannot work with, or does not know
   */
  constructor(consul: SemaphoreClient, options: SemaphoreOptions) {
    this.#source = new SlotSource(consul, resolveOptions(options));
    this.#single = new SingleSlot(this.#source);
    this.#runs = new Runs(this.#source);
  }

  /**
   * The limit in force: the one given or set by `resize`, or, with {@link SemaphoreOptions.adoptLimit},
   * the one in Consul as soon as it is known.
   */
  get limit(): number {
    return this.#source.limit;
  }

  /**
   * Whether `acquire` has a slot that is still yours, by the clock at the moment of the call (Go:
   * `isHeld`). After a loss it has none. The slots of `run` don't count.
   */
  get isHeld(): boolean {
    return this.#single.isHeld;
  }

  /**
   * Waits for a slot and takes it (Go: `Acquire`). A Semaphore has one such slot, and its calls run one
   * after the other. To hold several slots, call `run`. Once it is in the queue, it survives outages of
   * any length; on the way there it tries each step for 15 s. After a loss it may be called at once, and
   * cleans up what is left first.
   *
   * @param wait gives up waiting: an `AbortSignal`, or `{ signal, timeout }`. Aborted, the promise
   *   rejects with the signal's reason, at once or, if there is something to clean up, within 100 ms.
   *   Nothing stays behind. Once acquired, the slot does not depend on it.
   * @throws `signal.reason` when the signal aborts
   * @throws {@link SemaphoreTimeoutError} when the timeout is over
   * @throws {@link SemaphoreHeldError} while `acquire` has a slot already
   * @throws {@link SemaphoreClosedError} when the client is closed
   * @throws {@link SemaphoreLimitConflictError} when others use the prefix with another limit
   * @throws {@link SemaphoreConflictError} or {@link SemaphoreDecodingError} when the prefix is in use
   *   for something else
   * @throws {@link SemaphoreRequestError} when Consul refuses a request, or could not be reached for
   *   the session and the contender entry
   * @throws {@link SemaphoreOptionsError} when `wait` is invalid
   * @example
   * ```ts
   * const slot = await sem.acquire({ timeout: "30s" });
   * try {
   *   await work({ signal: slot.signal });
   * } finally {
   *   await slot.release();
   * }
   * ```
   */
  async acquire(wait?: SemaphoreWait): Promise<SemaphoreSlot> {
    const caller = new Caller(this.#source.options.prefix);
    const { slot } = await this.#take(caller, "acquire", wait, (it) => this.#single.acquire(it));
    return slot;
  }

  /**
   * As `acquire`, but waits at most `wait.timeout`, or else {@link SemaphoreOptions.semaphoreWaitTime},
   * for a slot to become free, and resolves to `null` if none did (Go: `SemaphoreTryOnce`). The time
   * begins with the call: if an earlier call on this semaphore takes longer, the result is `null` as
   * well. Once it has its turn it tries at least once.
   *
   * With a time of 0 it does not wait for a slot to become free, but tries just once: it takes one that
   * is free and that nobody waits for, or to which it is next in line. That takes as long as its
   * requests: to create a session, unless one was kept, to read the prefix, and to take the slot; or, if
   * none is free, to make a contender entry and delete it.
   *
   * However short the timeout, a failed request on the way into the queue is retried for at least
   * a second, and so is a free slot that another contender took first. Cleaning up may take 100 ms more.
   *
   * @param wait gives up waiting, as in `acquire`
   * @throws as `acquire`, but for the timeout; a {@link SemaphoreRequestError} also where Consul could
   *   not be asked in that time
   * @example
   * ```ts
   * await using slot = await sem.tryAcquire({ timeout: 0 });
   * if (slot === null) console.log("busy");
   * else await work({ signal: slot.signal });
   * ```
   */
  async tryAcquire(wait?: SemaphoreWait): Promise<SemaphoreSlot | null> {
    const caller = new Caller(this.#source.options.prefix);
    const outcome = await this.#contend(caller, "tryAcquire", wait, (it) =>
      this.#single.acquire(it),
    );
    return outcome.kind === "too late" ? null : outcome.slot;
  }

  /**
   * Gives the slot of `acquire` back, and aborts its signal at once (Go: `Release`). It tries until
   * that is done. After a loss it cleans up what is left, and resolves.
   *
   * @throws {@link SemaphoreNotHeldError} when there is no slot
   * @throws {@link SemaphoreRequestError} when Consul refuses a request, or could not be reached for
   *   one TTL (at most a minute). The slot is no longer yours in any case. Consul frees it with its
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
    await this.#call(async () => {
      await this.#single.release();
    });
  }

  /**
   * Waits for a slot, calls `fn` with it, and releases it, however `fn` ends. Resolves to what `fn`
   * resolves to. A loss does not stop `fn`: hand `slot.signal` to whatever it does.
   *
   * It may be called any number of times at once: each call has a slot of its own. As many calls as
   * there are slots contend in Consul at most; the others wait in memory, in the order of their calls.
   * A call from within `fn` waits for another slot: if such calls hold all slots, they deadlock. With a {@link SemaphoreOptions.session} of yours the calls take turns.
   *
   * @param wait bounds the wait for the slot, as in `acquire`, and not the work, which has
   *   `slot.signal`. A wait that is aborted rejects with `signal.reason` itself.
   * @throws what `fn` throws, also where the slot was lost or cannot be released: neither hides it
   * @throws {@link SemaphoreLostError} when the slot was lost while `fn` ran, as soon as `fn` has settled,
   *   unless `fn` threw something else than the reason of `slot.signal` or an `AbortError` caused by it
   * @throws {@link SemaphoreClosedError} likewise when closing the client released the slot meanwhile
   * @throws as `acquire`, before `fn` is called, and as `release`, after `fn` has succeeded
   * @throws {@link SemaphoreOptionsError} when `fn` is not a function
   * @example
   * ```ts
   * try {
   *   await sem.run((slot) => work({ signal: slot.signal }), { timeout: "30s" });
   * } catch (error) {
   *   if (!(error instanceof SemaphoreTimeoutError)) throw error;
   *   console.log(error.message); // no slot of "jobs/resize" within 30s: 3 of 3 held, 12 ahead
   * }
   * ```
   */
  async run<Result>(
    fn: (slot: SemaphoreSlot) => Result | Promise<Result>,
    wait?: SemaphoreWait,
  ): Promise<Result> {
    const caller = new Caller(this.#source.options.prefix);
    const tenure = await this.#take(caller, "run", wait, (it) => {
      requireFunction(fn);
      return this.#runs.take(it);
    });
    const { slot } = tenure;
    let result: Result;
    try {
      result = await fn(slot);
      const loss = slot.loss() ?? (tenure.isClosed ? new SemaphoreClosedError() : undefined);
      if (loss !== undefined) throw caller.report(loss);
    } catch (error) {
      const released = slot.release().catch(() => undefined);
      // What is left of a lost slot is cleaned up behind the caller.
      if (slot.loss() === undefined) await released;
      const end = tenure.isClosed ? new SemaphoreClosedError() : slot.loss();
      const isAbort = end !== undefined && isAbortWith(slot.signal.reason, error);
      throw isAbort ? caller.report(end) : error;
    }
    try {
      await slot.release();
    } catch (error) {
      throw caller.report(error);
    }
    return result;
  }

  /**
   * Sets the limit in Consul, for all that use the prefix. It is the limit of this semaphore from then
   * on; others follow where they {@link SemaphoreOptions.adoptLimit | adopt} it, and are refused with a
   * {@link SemaphoreLimitConflictError} where they don't, as Go's are. With a smaller limit nobody loses
   * a slot, and nobody takes one until there are fewer holders than that. Of two calls at once, one
   * comes last.
   *
   * @throws {@link SemaphoreOptionsError} for an invalid limit
   * @throws {@link SemaphoreClosedError} when the client is closed
   * @throws {@link SemaphoreConflictError} or {@link SemaphoreDecodingError} when the lock entry is no
   *   semaphore's
   * @throws {@link SemaphoreRequestError} when Consul refuses, or could not be reached for 15 s
   * @example
   * ```ts
   * const sem = consul.semaphoreOpts({ prefix: "jobs/resize", limit: 3, adoptLimit: true });
   * await sem.resize(5);
   * ```
   */
  async resize(limit: number): Promise<void> {
    await this.#call(async () => {
      requireLimit(limit);
      await this.#untilClosed(() => this.#source.resize(limit));
      this.#runs.callUp();
    });
  }

  /**
   * Deletes the lock entry, and with it the limit that is set there (Go: `Destroy`). It is never
   * necessary. Where there is none, it has nothing to do.
   *
   * @throws {@link SemaphoreHeldError} while `acquire` has a slot
   * @throws {@link SemaphoreInUseError} while anybody else has one, or takes one at that moment
   * @throws {@link SemaphoreClosedError} when the client is closed
   * @throws {@link SemaphoreConflictError} or {@link SemaphoreDecodingError} when the lock entry is no
   *   semaphore's
   * @throws {@link SemaphoreRequestError} when Consul refuses a request or cannot be reached
   * @example
   * ```ts
   * await consul.semaphorePrefix("jobs/resize", 3).destroy();
   * ```
   */
  async destroy(): Promise<void> {
    await this.#call(async () => {
      await this.#single.inTurn(async () => {
        if (this.isHeld) throw new SemaphoreHeldError("destroy");
        await this.#untilClosed(async () => {
          const { queue } = this.#source;
          const snapshot = await queue.read();
          if (snapshot.lock.modifyIndex === 0n) return;
          if (liveHolders(snapshot).size > 0) throw new SemaphoreInUseError();
          if (!(await queue.deleteLock(snapshot.lock))) throw new SemaphoreInUseError();
        });
      });
    });
  }

  /**
   * The holders and the waiters, those of Go programs included. It may be called at any time, and waits
   * for no other call. Runs that wait in memory are not among them.
   *
   * @throws {@link SemaphoreClosedError} when the client is closed
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
    return await this.#call(async () => {
      const { queue, limit } = this.#source;
      const state = await this.#untilClosed(() => queue.inspect());
      return { ...state, limit: state.limit ?? limit };
    });
  }

  /** For `console.log`. */
  [inspect.custom](): string {
    const { prefix } = this.#source.options;
    const { active, waiting } = this.#runs;
    const held = this.isHeld ? "held" : "not held";
    return (
      `Semaphore ${JSON.stringify(prefix)} (limit ${this.limit}, ${held}, ` +
      `${active} runs active, ${waiting} waiting in memory)`
    );
  }

  /** Runs a method whose errors are to be the caller's own. */
  async #call<Result>(method: () => Promise<Result>): Promise<Result> {
    const caller = new Caller(this.#source.options.prefix);
    try {
      return await method();
    } catch (error) {
      throw caller.report(error);
    }
  }

  /** Has requests that the end of the client cuts short reject as those after it. */
  async #untilClosed<Result>(ask: () => Promise<Result>): Promise<Result> {
    const { closing } = this.#source.context;
    closing.throwIfAborted();
    try {
      return await ask();
    } catch (error) {
      if (error instanceof SemaphoreRequestError) closing.throwIfAborted();
      throw error;
    }
  }

  /** @throws what its caller is to have, a SemaphoreTimeoutError among it */
  async #take(
    caller: Caller,
    call: AcquireEvent["call"],
    wait: SemaphoreWait | undefined,
    take: (patience: Patience) => Promise<Tenure | TooLate>,
  ): Promise<Tenure> {
    const outcome = await this.#contend(caller, call, wait, take);
    if (outcome.kind === "held") return outcome;
    const { prefix } = this.#source.options;
    const { timeout = 0 } = resolveWait(wait);
    throw caller.report(new SemaphoreTimeoutError(prefix, timeout, outcome.standing));
  }

  /** @throws what its caller is to have */
  async #contend(
    caller: Caller,
    call: AcquireEvent["call"],
    wait: SemaphoreWait | undefined,
    take: (patience: Patience) => Promise<Tenure | TooLate>,
  ): Promise<Tenure | TooLate> {
    const { options, limit, context } = this.#source;
    const longest = call === "tryAcquire" ? options.semaphoreWaitTime : Infinity;
    let given: AbortSignal | undefined;
    let giveUp: FirstOf | undefined;
    try {
      const { signal, timeoutMs = longest } = resolveWait(wait);
      given = signal;
      const until = performance.now() + timeoutMs;
      const event: AcquireEvent = { prefix: options.prefix, limit, call };
      const patience = { until, signal: (giveUp = new FirstOf(signal, context.closing)) };
      let outcome: Tenure | TooLate = { kind: "too late", standing: undefined };
      await traced(acquireChannel, event, async () => {
        outcome = await take(patience);
        if (outcome.kind === "too late") return null;
        const { slot } = outcome;
        event.session = slot.session;
        event.fencingToken = slot.fencingToken;
        return slot;
      });
      return outcome;
    } catch (error) {
      throw caller.report(error, given);
    } finally {
      giveUp?.dispose();
    }
  }
}

/** What works with a signal throws its reason, or, as Node does, an `AbortError` whose cause that is. */
function isAbortWith(reason: unknown, error: unknown): boolean {
  if (error === reason) return true;
  return error instanceof Error && error.name === "AbortError" && error.cause === reason;
}
