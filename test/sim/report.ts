import { Tally } from "./tally.js";
import type { Outcome } from "./simulation.js";

/** A seed in which a promise was broken. */
export interface Failure {
  readonly seed: number;
  readonly kind: string;
  readonly problem: string;
  readonly lines: readonly string[];
}

/** The sum of many seeds. */
export class Report {
  readonly failures: Failure[] = [];
  readonly #tally = new Tally();
  readonly #startedAt = performance.now();
  #seeds = 0;
  #events = 0;
  #hash = 0;

  get seeds(): number {
    return this.#seeds;
  }

  /** The order in which seeds are added makes no difference. */
  add({ seed, violation, tally, events, hash, lines }: Outcome): void {
    this.#seeds += 1;
    this.#events += events;
    this.#hash = (this.#hash + parseInt(hash, 16) * (2 * seed + 1)) % 2 ** 32;
    this.#tally.merge(tally);
    if (violation !== null) this.failures.push({ seed, ...violation, lines });
  }

  summary(): string {
    const seconds = (performance.now() - this.#startedAt) / 1_000;
    const counts = Object.entries(this.#tally.toJSON());
    return [
      `seeds: ${this.#seeds}`,
      `events: ${this.#events}`,
      ...counts.map(([what, count]) => `${what}: ${count}`),
      `hash: ${(this.#hash >>> 0).toString(16).padStart(8, "0")}`,
      `violations: ${this.failures.length}`,
      `duration: ${seconds.toFixed(1)} s (${((seconds * 1_000) / this.#seeds).toFixed(1)} ms a seed)`,
    ].join("\n");
  }
}
