/** Lets one in at a time, in the order in which they ask. */
export class QueueInMemory {
  readonly #waiters: (() => void)[] = [];
  #isTaken = false;

  async enter(): Promise<void> {
    if (this.#isTaken) await new Promise<void>((resolve) => this.#waiters.push(resolve));
    this.#isTaken = true;
  }

  leave(): void {
    const next = this.#waiters.shift();
    if (next === undefined) this.#isTaken = false;
    else next();
  }
}
