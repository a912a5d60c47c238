import type { HttpRequest } from "../../src/testing/fake-consul/carrier.js";
import { contendersIn, makesContender } from "./request-text.js";

/** What has happened to sessions that their owners did not mean to happen. */
export class Interference {
  readonly #forced = new Map<string, number>();
  /** Sessions whose contender entry a request was about that its sender had given up. */
  readonly #lateWrites = new Set<string>();
  /** Those among them which make a mere contender: the one thing that may be left behind. */
  readonly #lateEntries = new Set<string>();

  /** Somebody outside has put an end to what belongs to the session. */
  force(session: string, now: number): void {
    this.#forced.set(session, now);
  }

  /** When that was the last time. */
  forcedAt(session: string): number | undefined {
    return this.#forced.get(session);
  }

  /** A request takes place that its sender has given up. */
  late(request: HttpRequest): void {
    for (const session of contendersIn(request)) {
      this.#lateWrites.add(session);
      if (makesContender(request)) this.#lateEntries.add(session);
    }
  }

  hadLateWrite(session: string): boolean {
    return this.#lateWrites.has(session);
  }

  hadLateEntry(session: string): boolean {
    return this.#lateEntries.has(session);
  }

  /** Whether somebody has interfered with what belongs to the session. */
  isTampered(session: string): boolean {
    return this.#forced.has(session) || this.hadLateWrite(session);
  }
}
