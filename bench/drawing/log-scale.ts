/** Maps values to places so that each factor of ten takes the same space. */
export class LogScale {
  readonly #low: number;
  readonly #high: number;

  constructor(
    readonly least: number,
    readonly most: number,
    readonly from: number,
    readonly to: number,
  ) {
    this.#low = Math.log10(least);
    this.#high = Math.log10(most);
  }

  /** One that has room for all values, and ends at 1, 2 or 5 times a power of ten. */
  static around(values: readonly number[], from: number, to: number): LogScale {
    const usable = values.filter((value) => value > 0);
    const least = round(Math.min(...usable), "down");
    const most = round(Math.max(...usable), "up");
    return new LogScale(least, most > least ? most : least * 10, from, to);
  }

  place(value: number): number {
    const share = (Math.log10(value) - this.#low) / (this.#high - this.#low);
    return this.from + share * (this.to - this.from);
  }

  /** The powers of ten in its range; where there are few of them, 2 and 5 times those as well. */
  get ticks(): number[] {
    const decades = this.#within([1]);
    return decades.length > 2 ? decades : this.#within([1, 2, 5]);
  }

  #within(factors: readonly number[]): number[] {
    const first = Math.floor(this.#low);
    const count = Math.ceil(this.#high) - first + 1;
    return Array.from({ length: count }, (_, index) => first + index)
      .flatMap((power) => factors.map((factor) => fromPower(factor, power)))
      .filter((tick) => tick >= this.least * 0.999 && tick <= this.most * 1.001);
  }
}

function round(value: number, direction: "up" | "down"): number {
  // Below the true one, as a logarithm is not exact.
  const power = Math.floor(Math.log10(value) - 1e-9);
  const candidates = [1, 2, 5, 10, 20].map((factor) => fromPower(factor, power));
  const found =
    direction === "up"
      ? candidates.find((candidate) => candidate >= value)
      : candidates.findLast((candidate) => candidate <= value);
  return found ?? value;
}

function fromPower(factor: number, power: number): number {
  // From its text, as 10 ** -1 * 5 is not quite 0.5.
  return Number(`${factor}e${power}`);
}
