const ABOVE_SURROGATES = /[\ud800-\uffff]/;

/** Compares keys by their bytes, as Consul does. JavaScript's order differs from U+E000 on. */
function compareKeys(a: string, b: string): number {
  if (a === b) return 0;
  if (ABOVE_SURROGATES.test(a) && ABOVE_SURROGATES.test(b)) {
    return Buffer.compare(Buffer.from(a), Buffer.from(b));
  }
  return a < b ? -1 : 1;
}

/** A set of keys in Consul's order. */
export class SortedKeys implements Iterable<string> {
  readonly #keys: string[];

  constructor(keys: Iterable<string> = []) {
    this.#keys = [...keys].sort(compareKeys);
  }

  add(key: string): void {
    const position = this.#positionOf(key);
    if (this.#keys[position] !== key) this.#keys.splice(position, 0, key);
  }

  delete(key: string): void {
    const position = this.#positionOf(key);
    if (this.#keys[position] === key) this.#keys.splice(position, 1);
  }

  /** The keys that begin with `prefix`. */
  below(prefix: string): string[] {
    const start = this.#positionOf(prefix);
    let end = start;
    while (this.#keys[end]?.startsWith(prefix) === true) end += 1;
    return this.#keys.slice(start, end);
  }

  [Symbol.iterator](): Iterator<string> {
    return this.#keys.values();
  }

  /** The position of a key, or where it would be inserted. */
  #positionOf(key: string): number {
    let [low, high] = [0, this.#keys.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareKeys(this.#keys[middle] ?? "", key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
