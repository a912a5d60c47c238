interface Span {
  readonly from: number;
  to: number;
}

/** When something stood in the way of a process: the times for which it has an excuse. */
export class Trouble {
  readonly #now: () => number;
  readonly #spans: Span[] = [];
  #under = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The result ends it. */
  begin(): () => void {
    if (this.#under === 0) this.#spans.push({ from: this.#now(), to: Infinity });
    this.#under += 1;
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.#under -= 1;
      const last = this.#spans.at(-1);
      if (this.#under === 0 && last !== undefined) last.to = this.#now();
    };
  }

  /** Whether there was any from then on. */
  since(from: number): boolean {
    const last = this.#spans.at(-1);
    return last !== undefined && last.to >= from;
  }

  /** The longest time without any between two times. */
  longestCalm(from: number, to: number): number {
    let longest = 0;
    let calmFrom = from;
    for (const span of this.#spansSince(from)) {
      longest = Math.max(longest, Math.min(span.from, to) - calmFrom);
      calmFrom = Math.max(calmFrom, span.to);
    }
    return Math.max(longest, to - calmFrom);
  }

  /** How much of the time between two times it was there. */
  share(from: number, to: number): number {
    let sum = 0;
    for (const span of this.#spansSince(from)) {
      sum += Math.max(0, Math.min(span.to, to) - Math.max(span.from, from));
    }
    return sum;
  }

  /** As a rule few: the questions are about what has just been. */
  #spansSince(from: number): readonly Span[] {
    const before = this.#spans.findLastIndex(({ to }) => to < from);
    return this.#spans.slice(before + 1);
  }
}
