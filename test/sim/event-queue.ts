import type { SimulatedProcess } from "./simulated-process.js";

/** Something that happens at a virtual time. */
export interface SimulatedEvent {
  readonly due: number;
  /** Events of the same time happen in the order in which they were made. */
  readonly sequence: number;
  /** Whose event loop it happens in; `undefined` is the world outside the processes. */
  readonly owner: SimulatedProcess | undefined;
  /** A real event loop has a phase for timers and another for what comes from the network. */
  readonly phase: "timer" | "answer";
  readonly call: () => void;
  cancelled: boolean;
}

/** A binary heap of events, the earliest first. */
export class EventQueue {
  readonly #heap: SimulatedEvent[] = [];

  add(event: SimulatedEvent): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || isBefore(parent, event)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = event;
  }

  /** When the next event is due that was not cancelled. */
  get nextDue(): number | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (first?.cancelled !== true) return first?.due;
      this.take();
    }
  }

  take(): SimulatedEvent | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || last === first) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      let child = heap[below];
      const right = heap[below + 1];
      if (child !== undefined && right !== undefined && isBefore(right, child)) {
        child = right;
        below += 1;
      }
      if (child === undefined || isBefore(last, child)) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = last;
    return first;
  }

  pending(): readonly SimulatedEvent[] {
    return this.#heap.filter((event) => !event.cancelled);
  }
}

function isBefore(a: SimulatedEvent, b: SimulatedEvent): boolean {
  return a.due < b.due || (a.due === b.due && a.sequence < b.sequence);
}
