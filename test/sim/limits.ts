import type { Violation } from "./violation.js";

/** The limit in Consul over time, and who has asked for which. */
export class Limits {
  /** What all semaphores are made with. */
  readonly #own: number;
  readonly #asked = new Map<string, Set<number>>();
  /** The limits of the lock, each from a time on; nothing while there is no lock. */
  readonly #spans: { readonly limit: number | undefined; readonly from: number }[] = [];

  constructor(own: number) {
    this.#own = own;
  }

  /** The limit that all go by now. */
  get current(): number {
    return this.#written ?? this.#own;
  }

  /** A process asks for a limit from now on. */
  ask(process: string, limit: number): void {
    const asked = this.#asked.get(process) ?? new Set();
    this.#asked.set(process, asked.add(limit));
  }

  /** Whether the lock has had this limit at any time since then. */
  wasSince(limit: number, from: number): boolean {
    return this.#spans.some(
      (span, index) => span.limit === limit && (this.#spans[index + 1]?.from ?? Infinity) >= from,
    );
  }

  /** Takes in the limit in the lock, and judges who has written it. */
  changed(
    limit: number | undefined,
    writer: string | undefined,
    now: number,
  ): Violation | undefined {
    const before = this.#written;
    if (limit === before) return undefined;
    this.#spans.push({ limit, from: now });
    if (limit === undefined || this.#asked.get(writer ?? "")?.has(limit) === true) return undefined;
    if (before === undefined && limit === this.#own) return undefined;
    const problem = `${writer ?? "nobody"} wrote the limit ${limit} without being asked for it`;
    return { kind: "wire", problem };
  }

  get #written(): number | undefined {
    return this.#spans.at(-1)?.limit;
  }
}
