import { AsyncResource } from "node:async_hooks";

import { callAfter } from "./async/call-after.js";
import { onAbort } from "./async/on-abort.js";
import { settleAfterAbort } from "./async/settle-after-abort.js";
import { traced, waitChannel } from "./diagnostics.js";
import type { TooLate } from "./queue/claim.js";
import { ABORT_GRACE_MS, type Holding } from "./queue/contend.js";
import type { Patience, SlotSource } from "./slot-source.js";
import type { Tenure } from "./tenure.js";

/** What a run that waits in memory receives: a slot, or the permission to contend for one. */
type Turn = Tenure | "contend";

/** A run that waits in memory. */
interface WaitingRun {
  /** The async context of its call, in which its slot is made. */
  readonly context: AsyncResource;
  readonly begin: (turn: Turn) => void;
}

/**
 * The slots of `run`. At most `limit` of one semaphore's runs contend in Consul; the others wait in memory,
 * in the order of their calls. A run that ends passes its session on to the next, and its slot if nobody
 * else waits for one.
 */
export class Runs {
  readonly #source: SlotSource;
  readonly #waiting = new Set<WaitingRun>();
  readonly #held = new Set<Tenure>();
  /** Those whose slot was lost: the work in it may go on for long. */
  readonly #lost = new WeakSet<Tenure>();
  /** How many contend in Consul, hold a slot, or release it. */
  #active = 0;
  #offNews: (() => void) | undefined;

  constructor(source: SlotSource) {
    this.#source = source;
  }

  /** How many contend in Consul or have a slot. */
  get active(): number {
    return this.#active;
  }

  /** How many wait in memory. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Waits for the slot of one run. */
  async take(patience: Patience): Promise<Tenure | TooLate> {
    const turn = await this.#turn(patience);
    if (turn !== "contend") return turn;
    const { context } = this.#source;
    const contending = this.#contend(patience);
    context.track(contending);
    const outcome = await settleAfterAbort(contending, patience.signal, ABORT_GRACE_MS);
    context.watchdogs.check();
    return outcome;
  }

  async #contend({ until, signal }: Patience): Promise<Tenure | TooLate> {
    let isHeld = false;
    try {
      const { track: background } = this.#source.context;
      const outcome = await this.#source.contend({ until, signal, background });
      if (outcome.kind === "too late") return outcome;
      isHeld = true;
      return this.#hold(outcome);
    } finally {
      if (!isHeld) this.#ended();
    }
  }

  #hold(holding: Holding): Tenure {
    const giveBack = (tenure: Tenure): Promise<void> => {
      const done = this.#giveBack(tenure);
      this.#source.context.track(done);
      return done;
    };
    const tenure = this.#source.hold(holding, { release: giveBack, close: giveBack });
    this.#held.add(tenure);
    onAbort(tenure.slot.ended, () => {
      if (tenure.slot.loss() === undefined) return;
      this.#lost.add(tenure);
      this.#ended();
    });
    return tenure;
  }

  /** Releases a slot, or passes it on to the next run. */
  async #giveBack(tenure: Tenure): Promise<void> {
    if (!this.#held.delete(tenure)) return;
    let isPassedOn = false;
    try {
      const { track: background } = this.#source.context;
      const passesOn = this.#waiting.size > 0;
      const holding = await tenure.end(background, { passesOn });
      if (holding === undefined) return;
      isPassedOn = true;
      const [next] = this.#waiting;
      if (next === undefined) await this.#giveBack(this.#hold(holding));
      else next.begin(next.context.runInAsyncScope(() => this.#hold(holding)));
    } finally {
      if (!isPassedOn && !this.#lost.has(tenure)) this.#ended();
    }
  }

  /** Waits in memory for a slot, or for the permission to contend, which may be given at once. */
  async #turn(patience: Patience): Promise<Turn | TooLate> {
    patience.signal.throwIfAborted();
    if (this.#waiting.size === 0 && this.#mayContend) {
      this.#active += 1;
      return "contend";
    }
    const { prefix } = this.#source.options;
    const { limit } = this.#source;
    return await traced(waitChannel, { prefix, limit, where: "memory" }, () =>
      this.#waitInMemory(patience),
    );
  }

  async #waitInMemory({ until, signal }: Patience): Promise<Turn | TooLate> {
    // A subscriber of the channel may have aborted it.
    signal.throwIfAborted();
    return await new Promise((resolve, reject) => {
      const leave = (): void => {
        off();
        cancel();
        this.#waiting.delete(run);
        if (this.#waiting.size > 0) return;
        this.#offNews?.();
        this.#offNews = undefined;
      };
      const run: WaitingRun = {
        context: new AsyncResource("consul-semaphore.run"),
        begin: (turn) => {
          leave();
          resolve(turn);
        },
      };
      const cancel = callAfter(until - performance.now(), () => {
        const standing = this.#standingOf(run);
        leave();
        resolve({ kind: "too late", standing });
      });
      const off = onAbort(signal, () => {
        leave();
        reject(signal.reason);
      });
      this.#waiting.add(run);
      // The limit may be raised meanwhile.
      this.#offNews ??= this.#source.queue.onNews(() => {
        this.callUp();
      });
    });
  }

  /** The standing of a run in memory: the runs before it, and those that contend, are ahead as well. */
  #standingOf(run: WaitingRun): TooLate["standing"] {
    const standing = this.#source.queue.standingOf();
    const before = [...this.#waiting].indexOf(run);
    return standing && { ...standing, ahead: standing.ahead + before };
  }

  /** A run has neither a slot nor a contender any more. */
  #ended(): void {
    this.#active -= 1;
    this.callUp();
  }

  /** Lets runs that wait in memory contend, up to the limit. */
  callUp(): void {
    while (this.#mayContend) {
      const [first] = this.#waiting;
      if (first === undefined) return;
      this.#active += 1;
      first.begin("contend");
    }
  }

  get #mayContend(): boolean {
    // Runs with a session of the user's take turns with acquire, in the order of their calls.
    return this.#source.options.session !== undefined || this.#active < this.#source.limit;
  }
}
