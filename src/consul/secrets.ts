import { inspect } from "node:util";

/** What must not be shown: a server, or a proxy before it, may echo what it was sent. */
export class Secrets {
  readonly #values = new Set<string>();

  /** Also in the forms in which it goes over the wire. */
  add(secret: string): void {
    if (secret === "") return;
    this.#values.add(secret);
    this.#values.add(encodeURIComponent(secret));
    this.#values.add(Buffer.from(secret).toString("base64"));
  }

  /** The text without them. */
  hide(text: string): string {
    // One may be a part of another, which would no longer be found without it.
    const longestFirst = [...this.#values].sort((a, b) => b.length - a.length);
    return longestFirst.reduce((shown, secret) => shown.replaceAll(secret, "***"), text);
  }

  /** Whether one of them can be seen in it, at any depth. */
  areIn(value: unknown): boolean {
    if (this.#values.size === 0) return false;
    const shown = inspect(value, { depth: null });
    return [...this.#values].some((secret) => shown.includes(secret));
  }
}
