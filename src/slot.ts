import { inspect, type InspectOptions } from "node:util";

import { Cancellation } from "./async/cancellation.js";
import { onAbort } from "./async/on-abort.js";
import { Caller } from "./caller.js";
import { SemaphoreError, SemaphoreLostError, withPrefix } from "./errors.js";
import type { SessionLease } from "./session/lease.js";

/**
 * A slot of a semaphore that `acquire` has got for you. The end of its block releases it where it is
 * taken with `await using`. As long as it is held it keeps the process alive.
 *
 * @example
 * ```ts
 * await using slot = await sem.acquire();
 * await work({ signal: slot.signal });
 * ```
 */
export interface SemaphoreSlot extends AsyncDisposable {
  /** The ID of the session that holds the slot; it is in the lock's list of holders. */
  readonly session: string;
  /**
   * The index of the write that made the session a holder: greater for each later acquisition on
   * the prefix, in whatever process. A resource that remembers the greatest token it has seen can
   * refuse a holder that has lost its slot and does not know it yet.
   *
   * @example
   * ```ts
   * await fetch(url, { method: "PUT", headers: { "x-fencing-token": String(slot.fencingToken) } });
   * ```
   */
  readonly fencingToken: bigint;
  /**
   * Aborts when the slot is lost, with a {@link SemaphoreLostError} as its reason: others may be in
   * it from then on, so hand the signal to whatever you do in there. It aborts as well when the
   * slot is released, with a {@link SemaphoreReleasedError} (Go: the channel `Acquire` returns).
   *
   * @example
   * ```ts
   * await fetch(url, { signal: slot.signal });
   * for (const item of items) {
   *   slot.signal.throwIfAborted();
   *   await handle(item);
   * }
   * ```
   */
  readonly signal: AbortSignal;
  /**
   * Whether the slot is yours at this very moment. It reads the clock: code that has blocked the
   * event loop learns here that its session may have expired meanwhile. What is lost stays lost.
   *
   * @example
   * ```ts
   * for (const item of items) {
   *   if (!slot.held) break;
   *   await handle(item);
   * }
   * ```
   */
  readonly held: boolean;
  /**
   * Gives the slot back, as {@link Semaphore.release} does, but may be called more than once: only the
   * first call releases.
   *
   * @throws {@link SemaphoreRequestError} as {@link Semaphore.release} does, for each of the calls
   * @example
   * ```ts
   * const slot = await sem.acquire();
   * await slot.release();
   * ```
   */
  release(): Promise<void>;
}

export interface HeldSlotOptions {
  readonly prefix: string;
  readonly limit: number;
  readonly release: () => Promise<void>;
  /** Called once, when the slot's signal has aborted. */
  readonly ended: (reason: unknown) => void;
}

/** The slot while it is in the user's hands. */
export class HeldSlot implements SemaphoreSlot {
  readonly fencingToken: bigint;
  readonly #lease: SessionLease;
  readonly #ended = new Cancellation();
  readonly #options: HeldSlotOptions;
  readonly #offLease: () => void;
  #released: Promise<void> | undefined;

  constructor(lease: SessionLease, fencingToken: bigint, options: HeldSlotOptions) {
    this.#lease = lease;
    this.fencingToken = fencingToken;
    this.#options = options;
    this.#offLease = onAbort(lease.lost, () => {
      this.#abort(lease.lost.reason);
    });
  }

  get session(): string {
    return this.#lease.id;
  }

  get signal(): AbortSignal {
    return this.ended.signal;
  }

  /** The same signal for the library's own use. */
  get ended(): Cancellation {
    // Code that has blocked the event loop is ahead of the timer.
    this.#lease.checkLost();
    return this.#ended;
  }

  get held(): boolean {
    return !this.ended.aborted;
  }

  async release(): Promise<void> {
    const caller = new Caller(this.#options.prefix);
    this.#released ??= this.#options.release();
    try {
      await this.#released;
    } catch (error) {
      throw caller.report(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  toJSON(): object {
    return { ...this.#shown(), fencingToken: this.fencingToken.toString() };
  }

  [inspect.custom](_depth: number, options: InspectOptions): string {
    return `SemaphoreSlot ${inspect(this.#shown(), options)}`;
  }

  /** How the slot was lost, if it was. */
  loss(): SemaphoreLostError | undefined {
    const { reason } = this.ended;
    return reason instanceof SemaphoreLostError ? reason : undefined;
  }

  /** Aborts the signal, unless it has already. The first reason stays. */
  end(reason: SemaphoreError): void {
    this.#offLease();
    this.#abort(reason);
  }

  #shown() {
    const { prefix, limit } = this.#options;
    const { session, fencingToken, held } = this;
    return { prefix, limit, session, fencingToken, held };
  }

  #abort(reason: unknown): void {
    if (this.#ended.aborted) return;
    const { prefix } = this.#options;
    // What has ended the session knows no prefix.
    const isBare = reason instanceof SemaphoreError && reason.prefix === undefined;
    const own: unknown = isBare ? withPrefix(reason, prefix) : reason;
    this.#ended.abort(own);
    this.#options.ended(own);
  }
}
