// What may happen in a run of the demo.
import {
  advance,
  startTimeline,
  type Timeline,
  type TimelineEvent,
} from "../../../examples/timeline/view/timeline.js";

export type Events = [at: number, worker: string, type: TimelineEvent["type"]][];

/** The timeline of three workers and two slots. */
export function timelineOf(...events: Events): Timeline {
  return events
    .map(([at, worker, type]): TimelineEvent => ({ at, worker, type, problem: "why" }))
    .reduce(advance, startTimeline(["w1", "w2", "w3"], 2));
}

/** w1 and w2 hold, w3 waits, w1 is killed, and in time w3 has its slot. */
export const takeover = timelineOf(
  [0, "w1", "waits"],
  [0, "w2", "waits"],
  [1_000, "w1", "acquires"],
  [1_000, "w2", "acquires"],
  [2_000, "w3", "waits"],
  [5_000, "w1", "is killed"],
  [7_000, "w2", "releases"],
  [7_500, "w2", "waits"],
  [7_500, "w2", "acquires"],
  [10_000, "w3", "acquires"],
  [15_000, "w2", "releases"],
  [15_000, "w3", "releases"],
);

/** The network of w1 goes silent while it holds; w1 is told; w3 has the slot, and later w2's. */
export const mishaps = timelineOf(
  [0, "w1", "waits"],
  [0, "w2", "waits"],
  [1_000, "w1", "acquires"],
  [1_000, "w2", "acquires"],
  [2_000, "w3", "waits"],
  [2_500, "w1", "goes silent"],
  [5_000, "w1", "loses its slot"],
  [5_500, "w1", "waits"],
  [8_000, "w3", "acquires"],
  [8_500, "w1", "is back"],
  [10_000, "w2", "is killed"],
  [11_000, "w3", "releases"],
  [11_000, "w1", "acquires"],
  [11_500, "w3", "waits"],
  [15_000, "w3", "acquires"],
);
