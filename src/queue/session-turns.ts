import type { Ending } from "../async/cancellation.js";
import { Deadline } from "../async/deadline.js";
import { SerialQueue } from "../async/serial-queue.js";

/**
 * The turns of calls that share a session of the user's on one prefix, whichever semaphores they are made
 * on: one session is one slot.
 */
export class SessionTurns {
  readonly #turns = new SerialQueue();
  #end = (): void => undefined;
  #waiting = 0;
  /** Cleans up a slot that was lost while nobody waited for its session. */
  #makeWay: (() => void) | undefined;

  /** Resolves to what ends the turn, or to nothing if it did not come in time. */
  async take(until: number, signal: Ending): Promise<(() => void) | undefined> {
    this.#waiting += 1;
    this.#makeWay?.();
    this.#makeWay = undefined;
    const deadline = new Deadline(until - performance.now(), signal);
    try {
      await new Promise<void>((resolve, reject) => {
        const turn = (): Promise<void> =>
          new Promise((end) => {
            this.#end = end;
            resolve();
          });
        this.#turns.run(turn, deadline).catch(reject);
      });
      return this.#end;
    } catch (error) {
      if (deadline.expired) return undefined;
      throw error;
    } finally {
      deadline.dispose();
      this.#waiting -= 1;
    }
  }

  /** The slot of this turn was lost: its session has to be clean for the next one. */
  lost(makeWay: () => void): void {
    if (this.#waiting > 0) makeWay();
    else this.#makeWay = makeWay;
  }
}
