/** A write of the lock entry. */
export interface LockWrite {
  readonly at: number;
  readonly holders: ReadonlySet<string>;
}

/** What the lock entry said after each write of it, by the write's index. */
export class LockHistory {
  readonly #writes = new Map<bigint, LockWrite>();

  record(index: bigint, write: LockWrite): void {
    this.#writes.set(index, write);
  }

  /** The write with this index, or nothing where that wrote no lock. */
  at(index: bigint): LockWrite | undefined {
    return this.#writes.get(index);
  }
}
