import type { Background } from "./async/serial-queue.js";
import type { ClientContext, Releasable } from "./client-context.js";
import {
  heldChannel,
  releaseChannel,
  traced,
  tracedTime,
  traceLoss,
  type HeldEvent,
  type SlotEvent,
} from "./diagnostics.js";
import { SemaphoreLostError, SemaphoreReleasedError } from "./errors.js";
import type { Claim } from "./queue/claim.js";
import { CLEAN_UP_GRACE_MS, type CleanUp, type CleanUpOptions } from "./queue/clean-up.js";
import { STEP_PATIENCE_MS, type Holding } from "./queue/contend.js";
import type { Queue } from "./queue/queue.js";
import type { SessionLease } from "./session/lease.js";
import { HeldSlot } from "./slot.js";

export interface TenureOptions {
  readonly context: ClientContext;
  readonly queue: Queue;
  readonly prefix: string;
  readonly limit: number;
  readonly monitorRetries: number;
  readonly monitorRetryTime: number;
  readonly ends: TenureEnds;
  /** Keeps a session that has left nothing behind for its next use. */
  readonly keepSession: (lease: SessionLease) => void;
  /** Called when a slot of the user's session is lost, with the cleanup that frees the session. */
  readonly lost: (makeWay: () => void) => void;
  /** Called when its session is free for another claim. */
  readonly finished: () => void;
}

/** What ends a tenure. */
export interface TenureEnds {
  /** What the slot's own `release` does. */
  readonly release: (tenure: Tenure) => Promise<void>;
  /** What the end of the client does with it. */
  readonly close: (tenure: Tenure) => Promise<void>;
}

/**
 * How long a caller waits at most for a release that does not get through. Usually it waits for a TTL, after
 * which the release has no purpose.
 */
const LONGEST_RELEASE_MS = 60_000;

/** A slot from the moment it is held until nothing of it is left in Consul. */
export class Tenure {
  readonly kind = "held";
  readonly slot: HeldSlot;
  readonly #claim: Claim;
  readonly #context: ClientContext;
  readonly #keepSession: TenureOptions["keepSession"];
  readonly #finished: () => void;
  readonly #event: SlotEvent;
  readonly #onClose: Releasable;
  #isClosed = false;
  #cleaning: CleanUp | undefined;

  constructor({ claim, index }: Holding, options: TenureOptions) {
    const { context, queue, prefix, limit, ends, keepSession, finished, lost } = options;
    const { lease, session } = claim;
    this.#claim = claim;
    this.#context = context;
    this.#keepSession = keepSession;
    this.#finished = finished;
    this.#event = { prefix, limit, session, fencingToken: index };
    const traceEnd = tracedTime<HeldEvent>(heldChannel, { ...this.#event });
    this.slot = new HeldSlot(lease, index, {
      prefix,
      limit,
      release: () => ends.release(this),
      ended: (reason) => {
        const error = reason instanceof SemaphoreLostError ? reason : undefined;
        if (error !== undefined) traceLoss({ ...this.#event, error });
        traceEnd(error);
        if (error === undefined) return;
        lease.stop();
        context.slotEnded();
        // The end of its session removes a lost slot that nobody releases. A session of the user's lives on,
        // and must be clean for the next claim.
        if (!lease.own) {
          lost(() => {
            context.track(this.#cleanUp().within(CLEAN_UP_GRACE_MS));
          });
        }
      },
    });
    lease.holdsSlot();
    const { slot } = this;
    this.#onClose = {
      get isHeld() {
        return slot.held;
      },
      release: () => {
        this.#isClosed = slot.held;
        return ends.close(this);
      },
    };
    context.hold(this.#onClose);
    queue.monitor.add({
      session,
      index,
      retries: options.monitorRetries,
      retryTime: options.monitorRetryTime,
      signal: slot.ended,
      isHeld: () => slot.held,
      ttl: lease.ttl,
      lost: (loss) => {
        slot.end(loss);
      },
    });
  }

  /** Whether the slot is held, by the clock at the moment of the call. */
  get isHeld(): boolean {
    return this.slot.held;
  }

  /** Whether closing the client has released it. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Releases the slot, or cleans up a lost one. With `passesOn` the session takes another slot at once, if
   * nobody else waits.
   *
   * @throws why it was not released, or not yet: the release is retried in the background
   */
  async end(
    background: Background,
    { passesOn = false }: { readonly passesOn?: boolean } = {},
  ): Promise<Holding | undefined> {
    const claim = this.#claim;
    const isLost = this.#letGo();
    return await traced(releaseChannel, { ...this.#event }, async () => {
      const index = passesOn && !isLost ? await claim.passOn() : undefined;
      if (index !== undefined && !claim.lease.checkLost()) return { kind: "held", claim, index };
      await this.#giveBack(isLost, background);
      return undefined;
    });
  }

  async #giveBack(isLost: boolean, background: Background): Promise<void> {
    const { ttl } = this.#claim.lease;
    const patience = ttl === Infinity ? STEP_PATIENCE_MS : Math.min(ttl, LONGEST_RELEASE_MS);
    const cleanUp = this.#cleanUp({ keep: isLost ? undefined : this.#keepSession });
    background(cleanUp.finished);
    // A lost slot cannot be released any more, and cleaning it up may take long.
    if (isLost) await cleanUp.within(CLEAN_UP_GRACE_MS).catch(() => undefined);
    else await cleanUp.within(patience);
  }

  /** Cleans it up, once, and then frees its session for another claim. */
  #cleanUp(options: CleanUpOptions = {}): CleanUp {
    if (this.#cleaning === undefined) {
      this.#cleaning = this.#claim.cleanUp(options);
      this.#cleaning.finished.then(this.#finished, this.#finished);
    }
    return this.#cleaning;
  }

  /**
   * The signal aborts first: the work in the slot must know before the next holder may start.
   * Returns whether it was lost.
   */
  #letGo(): boolean {
    const isLost = this.slot.loss() !== undefined;
    this.#context.letGo(this.#onClose);
    this.slot.end(new SemaphoreReleasedError(this.#event.prefix));
    return isLost;
  }
}
