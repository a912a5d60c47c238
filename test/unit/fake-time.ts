import { onTestFinished, vi } from "vitest";

import { Backoff } from "../../src/async/backoff.js";

/** The clock and the timers of a test, which move when it says so. Pauses have their full length. */
export class FakeTime {
  readonly start: number;
  #blockedFor = 0;

  /** From now on until the end of the test. */
  constructor() {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const now = performance.now.bind(performance);
    vi.spyOn(performance, "now").mockImplementation(() => now() + this.#blockedFor);
    withFullPauses();
    this.start = performance.now();
    onTestFinished(() => {
      vi.restoreAllMocks();
      vi.useRealTimers();
    });
  }

  /** Milliseconds since the start. */
  get now(): number {
    return performance.now() - this.start;
  }

  /** Lets time pass, and promises settle in between. */
  async pass(ms: number): Promise<void> {
    await vi.advanceTimersByTimeAsync(ms);
  }

  /** Lets all settle that needs no time. */
  async settle(): Promise<void> {
    await this.pass(0);
  }

  /** Moves the clock on without any timer: the event loop was blocked for so long. */
  block(ms: number): void {
    this.#blockedFor += ms;
  }
}

/** Chance shortens no pause; what else is left to chance stays so. */
function withFullPauses(): void {
  const next: unknown = Reflect.get(Backoff.prototype, "next");
  if (typeof next !== "function") throw new Error("pauses have another name by now");
  vi.spyOn(Backoff.prototype, "next").mockImplementation(function (this: Backoff): number {
    const random = vi.spyOn(Math, "random").mockReturnValue(0);
    try {
      return Number(Reflect.apply(next, this, []));
    } finally {
      random.mockRestore();
    }
  });
}
