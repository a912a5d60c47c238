import type { Ending } from "./async/cancellation.js";
import { Deadline } from "./async/deadline.js";
import { SerialQueue, type Background } from "./async/serial-queue.js";
import { settleAfterAbort } from "./async/settle-after-abort.js";
import { SemaphoreHeldError, SemaphoreNotHeldError } from "./errors.js";
import type { TooLate } from "./queue/claim.js";
import { ABORT_GRACE_MS, type Wait } from "./queue/contend.js";
import type { Patience, SlotSource } from "./slot-source.js";
import type { Tenure } from "./tenure.js";

/** Which slot `acquire` has. */
type State =
  | { readonly kind: "none" }
  /** It may have been lost: then it has still to be cleaned up. */
  | { readonly kind: "held"; readonly tenure: Tenure }
  /** There is nothing to release, and `release` resolves all the same. */
  | { readonly kind: "lost" }
  | { readonly kind: "released by close" };

const NOTHING: State = { kind: "none" };
const LOST: State = { kind: "lost" };
const CLOSED: State = { kind: "released by close" };

/** The one slot that `acquire` takes and `release` releases. Its calls take turns. */
export class SingleSlot {
  readonly #source: SlotSource;
  readonly #calls = new SerialQueue();
  #state: State = NOTHING;

  constructor(source: SlotSource) {
    this.#source = source;
  }

  get isHeld(): boolean {
    return this.#state.kind === "held" && this.#state.tenure.isHeld;
  }

  /**
   * Contends once all earlier calls have ended.
   *
   * @throws SemaphoreHeldError, and as `contend`
   */
  async acquire({ until, signal }: Patience): Promise<Tenure | TooLate> {
    const untilTurn = new Deadline(until - performance.now(), signal);
    const turn = this.inTurn(async (background) => {
      untilTurn.dispose();
      return await this.#contend({ until, signal, background });
    }, untilTurn);
    try {
      return await settleAfterAbort(turn, signal, ABORT_GRACE_MS);
    } catch (error) {
      if (!untilTurn.expired) throw error;
      return { kind: "too late", standing: this.#source.queue.standingOf() };
    } finally {
      untilTurn.dispose();
    }
  }

  /** @throws SemaphoreNotHeldError, or why it was not released */
  async release(): Promise<void> {
    await this.inTurn(async (background) => {
      const state = this.#state;
      if (state.kind === "none") throw new SemaphoreNotHeldError();
      if (state.kind === "held") await this.#end(state.tenure, NOTHING, background);
    });
  }

  /** Runs a call once all earlier ones have ended, with their work in the background. */
  async inTurn<Result>(
    call: (background: Background) => Promise<Result>,
    signal?: Ending,
  ): Promise<Result> {
    const { context } = this.#source;
    const turn = this.#calls.run(call, signal);
    context.track(this.#calls.settled);
    const result = await turn;
    context.watchdogs.check();
    return result;
  }

  async #contend(wait: Wait): Promise<Tenure | TooLate> {
    if (this.isHeld) throw new SemaphoreHeldError();
    if (this.#state.kind === "held") {
      // Later calls need not wait for the cleanup of a lost slot: a session of ours is not used again, and one
      // of the user's has turns of its own.
      await this.#end(this.#state.tenure, LOST, this.#source.context.track);
    }
    const outcome = await this.#source.contend(wait);
    if (outcome.kind === "too late") return outcome;
    const tenure = this.#source.hold(outcome, {
      release: (it) => this.#endInTurn(it, NOTHING),
      close: (it) => this.#endInTurn(it, CLOSED),
    });
    this.#state = { kind: "held", tenure };
    return tenure;
  }

  /** Ends a tenure in turn, unless that has been done. */
  async #endInTurn(tenure: Tenure, then: State): Promise<void> {
    // A released tenure need not wait for an acquire that came after it.
    if (!this.#has(tenure)) return;
    await this.inTurn(async (background) => {
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
