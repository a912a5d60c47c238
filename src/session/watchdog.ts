import { timerMs } from "../async/timer-limit.js";

/** Node's timers count whole milliseconds, and may come almost two of them too soon. */
const TIMER_EARLINESS_MS = 2;

/** The watchdogs of one client. */
export class Watchdogs {
  readonly #watching = new Set<Watchdog>();

  add(watchdog: Watchdog): void {
    this.#watching.add(watchdog);
  }

  delete(watchdog: Watchdog): void {
    this.#watching.delete(watchdog);
  }

  /**
   * Compares all of them with the clock. After the event loop was blocked, answers may be read before
   * any timer has run: nothing else is to be reported before what has expired meanwhile.
   */
  check(): void {
    for (const watchdog of [...this.#watching]) watchdog.check();
  }
}

/**
 * Calls `expire` when its time has come, whether or not any socket has reported anything. It does
 * so once and for good: a time that has come cannot be put off any more.
 */
export class Watchdog {
  readonly #group: Watchdogs;
  readonly #expire: () => void;
  #expiresAt: number;
  #timer: NodeJS.Timeout | undefined;
  #state: "watching" | "expired" | "stopped" = "watching";

  /**
   * @param group the watchdogs that compare themselves with the clock together
   * @param expiresAt on the clock of `performance.now()`; `Infinity` for never
   */
  constructor(group: Watchdogs, expiresAt: number, expire: () => void) {
    this.#group = group;
    this.#expiresAt = expiresAt;
    this.#expire = expire;
    group.add(this);
    this.#arm();
  }

  /**
   * Looks at the clock: where the event loop was blocked, that is ahead of the timer. Returns
   * whether the time has come.
   */
  check(): boolean {
    if (this.#state === "watching" && performance.now() >= this.#expiresAt) this.#end();
    return this.#state === "expired";
  }

  /** Puts the time off, unless it has come. */
  extend(expiresAt: number): void {
    if (this.check() || this.#state === "stopped") return;
    this.#expiresAt = expiresAt;
    this.#arm();
  }

  /** Ends the watch. */
  stop(): void {
    if (this.#state === "watching") this.#state = "stopped";
    this.#leave();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (this.#expiresAt === Infinity) return;
    const left = Math.max(0, this.#expiresAt - performance.now());
    this.#timer = setTimeout(() => {
      if (this.#expiresAt - performance.now() < TIMER_EARLINESS_MS) this.#end();
      else this.#arm();
    }, timerMs(left));
    // What keeps a holder's process alive is its monitor.
    this.#timer.unref();
  }

  #end(): void {
    this.#state = "expired";
    this.#leave();
    this.#expire();
  }

  #leave(): void {
    clearTimeout(this.#timer);
    this.#group.delete(this);
  }
}
