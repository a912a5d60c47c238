/** Lets as many in at a time as the limit allows, in the order in which they ask. */
export class QueueInMemory {
  readonly #waiters: (() => void)[] = [];
  #free: number;

  constructor(limit: number) {
    this.#free = limit;
  }

  async enter(): Promise<void> {
    if (this.#free === 0) await new Promise<void>((resolve) => this.#waiters.push(resolve));
    else this.#free -= 1;
  }

  leave(): void {
    const next = this.#waiters.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}
