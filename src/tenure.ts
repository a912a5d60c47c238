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
  /** Has a session that has left nothing behind wait for its next use. */
  readonly keepSession: (lease: SessionLease) => void;
  /** Called when a slot of the user's session is lost, with what makes that free for another claim. */
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
 * How long a caller waits at most for a release that does not get through: as a rule for a TTL, when it
 * is of no use any more.
 */
const LONGEST_RELEASE_MS = 60_000;

/** A slot from the moment when it is held until nothing of it is left in Consul. */
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
        // A lost slot that nobody releases goes with its session. One of the user's lives on, and the
        // next claim has to find it free of what is left.
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

  /** Whether the end of the client took the slot from under its holder. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Gives the slot back; of one that was lost, clears away what is left. With `passesOn` the session
   * has another slot at once, if nobody else waits for it.
   *
   * @throws why it could not be given back, or not yet: it goes on being tried behind the caller
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
    // A lost slot is no longer there to be released. What is left of it may be long in going.
    if (isLost) await cleanUp.within(CLEAN_UP_GRACE_MS).catch(() => undefined);
    else await cleanUp.within(patience);
  }

  /** Takes away what there is of it, once, and then has its session be free for another claim. */
  #cleanUp(options: CleanUpOptions = {}): CleanUp {
    if (this.#cleaning === undefined) {
      this.#cleaning = this.#claim.cleanUp(options);
      this.#cleaning.finished.then(this.#finished, this.#finished);
    }
    return this.#cleaning;
  }

  /**
   * First of all it is no longer held: whatever works in it must hear before the next one may.
   * Returns whether it was lost.
   */
  #letGo(): boolean {
    const isLost = this.slot.loss() !== undefined;
    this.#context.letGo(this.#onClose);
    this.slot.end(new SemaphoreReleasedError(this.#event.prefix));
    return isLost;
  }
}
