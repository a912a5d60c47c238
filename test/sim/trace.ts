const KEPT_LINES = 400;

/** What has happened, line by line: the last of it for a report, and a hash of all of it. */
export class Trace {
  readonly #now: () => number;
  readonly #write: ((line: string) => void) | undefined;
  readonly #lines: string[] = [];
  #hash = 0x811c9dc5;

  /** `write`: told of each line at once. */
  constructor(now: () => number, write?: (line: string) => void) {
    this.#now = now;
    this.#write = write;
  }

  add(who: string, what: string): void {
    const line = `${this.#now().toFixed(3).padStart(11)} ${who.padEnd(9)} ${what}`;
    let hash = this.#hash;
    for (let at = 0; at < line.length; at += 1) {
      hash = Math.imul(hash ^ line.charCodeAt(at), 0x01000193);
    }
    this.#hash = hash;
    this.#lines.push(line);
    if (this.#lines.length > 2 * KEPT_LINES) this.#lines.splice(0, KEPT_LINES);
    this.#write?.(line);
  }

  get lines(): readonly string[] {
    return this.#lines.slice(-KEPT_LINES);
  }

  /** The same for two runs in which the same things happened at the same times. */
  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, "0");
  }
}
