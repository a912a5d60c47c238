import type { TimelineEvent } from "./view/timeline.js";

/**
 * How long an event is held back. Events of different processes come in in another order than that
 * in which they happened; by then, as a rule, all earlier ones are here.
 */
const SETTLE_MS = 150;

/** Puts the events of several processes into the order of time. */
export class SettledEvents {
  #events: TimelineEvent[] = [];

  add(event: TimelineEvent): void {
    this.#events.push(event);
  }

  /** Takes out what is old enough, in the order of time. */
  take(now = Infinity): TimelineEvent[] {
    const old = ({ at }: TimelineEvent): boolean => at <= now - SETTLE_MS;
    const settled = this.#events.filter(old).toSorted((one, other) => one.at - other.at);
    this.#events = this.#events.filter((event) => !old(event));
    return settled;
  }
}
