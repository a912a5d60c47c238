import type { Subscription } from "./prefix-watch.js";
import type { SessionLease } from "../session/lease.js";

/** A waiter's place in the queue, as the process knows it: what others can pass a slot on to. */
export class Place {
  readonly lease: SessionLease;
  readonly limit: number;
  /** What it needs of the watch, */
  readonly subscription: Subscription;
  /** and what ends that, once it has come to waiting. */
  unsubscribe: (() => void) | undefined;
  /** When it entered the queue, on the clock of `performance.now()`. */
  readonly since = performance.now();
  #state: "waiting" | "trying" | "being handed a slot" | "holding" = "waiting";
  #joinedAt: bigint | undefined;
  #mayHold = false;
  #isUnsettled = false;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(lease: SessionLease, limit: number, subscription: Subscription) {
    this.lease = lease;
    this.limit = limit;
    this.subscription = subscription;
  }

  get session(): string {
    return this.lease.id;
  }

  /** Whether a slot can be passed on to it: it waits, and has nothing under way itself. */
  get isOpen(): boolean {
    return this.#state === "waiting" && !this.#isUnsettled && !this.lease.checkLost();
  }

  /** Whether somebody is passing a slot on to it at this moment. */
  get isBeingHanded(): boolean {
    return this.#state === "being handed a slot";
  }

  /** The index of the write that made it a holder, once somebody has. */
  get joinedAt(): bigint | undefined {
    return this.#joinedAt;
  }

  /** Whether a write that makes it a holder was sent for it, which may have gone through. */
  get mayHold(): boolean {
    return this.#mayHold;
  }

  /** Whether such a write went without an answer, and nobody has looked since. */
  get isUnsettled(): boolean {
    return this.#isUnsettled;
  }

  /** A look is about to tell. */
  settle(): void {
    this.#isUnsettled = false;
  }

  /** Tries for a slot by itself: meanwhile none is passed on to it. */
  async trying<Result>(attempt: () => Promise<Result>): Promise<Result> {
    this.#state = "trying";
    try {
      return await attempt();
    } finally {
      this.#state = "waiting";
    }
  }

  /** A write that makes it a holder is about to be sent. */
  offer(): void {
    this.#state = "being handed a slot";
    this.#mayHold = true;
  }

  /** The write has not taken place. */
  withdrawOffer(): void {
    this.#state = "waiting";
    this.wake();
  }

  /** Nobody knows what became of the write. */
  leaveUnsettled(): void {
    this.#isUnsettled = true;
    this.withdrawOffer();
  }

  hand(joinedAt: bigint): void {
    this.#state = "holding";
    this.#joinedAt = joinedAt;
    this.wake();
  }

  /** Looks cannot go on. */
  fail(error: unknown): void {
    this.#failure = { error };
    this.wake();
  }

  get hasFailure(): boolean {
    return this.#failure !== undefined;
  }

  takeFailure(): { readonly error: unknown } | undefined {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure;
  }

  wake(): void {
    if (!this.isBeingHanded) this.#wake?.();
  }

  /** Waits until `ready` says so, which is asked at each change. */
  async until(ready: () => boolean, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && (this.isBeingHanded || !ready())) {
      await new Promise<void>((resolve) => {
        const stir = (): void => {
          signal.removeEventListener("abort", stir);
          resolve();
        };
        this.#wake = stir;
        signal.addEventListener("abort", stir);
      });
    }
    this.#wake = undefined;
  }
}
