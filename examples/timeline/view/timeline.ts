import type { Stretch } from "../../../src/cli/screen/chart.js";

/** What a worker does, or what becomes of it. */
const ACTIVITY_AFTER = {
  waits: "waiting",
  acquires: "holding",
  releases: "resting",
  "loses its slot": "resting",
  "is killed": "dead",
  leaves: "gone",
  fails: "gone",
} as const;

/** What happens to a worker; `at` is in milliseconds since the start of the run. */
export type TimelineEvent = {
  readonly worker: string;
  readonly at: number;
} & (
  | { readonly type: "waits" | "acquires" | "releases" | "is killed" | "leaves" }
  | { readonly type: "loses its slot" | "fails"; readonly problem: string }
  /** Of its network. What the worker does goes on. */
  | { readonly type: "goes silent" | "is back" }
);

export type Activity = (typeof ACTIVITY_AFTER)[keyof typeof ACTIVITY_AFTER];

/** What one worker did, in the order of time. */
export interface Lane {
  readonly worker: string;
  readonly events: readonly TimelineEvent[];
}

/** All that is known of the run. Whatever else is shown follows from it. */
export interface Timeline {
  readonly limit: number;
  readonly lanes: readonly Lane[];
}

/** A worker doing one thing. */
export interface Span extends Stretch {
  readonly activity: Activity;
}

export function startTimeline(workers: readonly string[], limit: number): Timeline {
  return { limit, lanes: workers.map((worker) => ({ worker, events: [] })) };
}

/** The timeline with one event more, wherever in time that belongs. */
export function advance(timeline: Timeline, event: TimelineEvent): Timeline {
  return {
    ...timeline,
    lanes: timeline.lanes.map((lane) =>
      lane.worker === event.worker ? { ...lane, events: insert(lane.events, event) } : lane,
    ),
  };
}

function insert(events: readonly TimelineEvent[], event: TimelineEvent): readonly TimelineEvent[] {
  // A worker's word from before its kill may come in after the kill; nothing comes after that.
  const sorted = [...events, event].toSorted((one, other) => one.at - other.at);
  const killed = sorted.findIndex(({ type }) => type === "is killed");
  return killed === -1 ? sorted : sorted.slice(0, killed + 1);
}

export function spansOf({ events }: Lane): Span[] {
  const starts = events.flatMap(({ type, at }) =>
    type === "goes silent" || type === "is back"
      ? []
      : [{ activity: ACTIVITY_AFTER[type], from: at }],
  );
  return starts.map((start, index) => ({ ...start, to: starts[index + 1]?.from ?? Infinity }));
}

/** What it does at that time, and since when. */
export function spanAt(lane: Lane, at: number): Span {
  const span = spansOf(lane).findLast(({ from }) => from <= at);
  return span ?? { activity: "resting", from: -Infinity, to: Infinity };
}

/** When its network was silent. */
export function silencesOf({ events }: Lane): Stretch[] {
  return events.flatMap(({ type, at: from }) => {
    if (type !== "goes silent") return [];
    const back = events.find((event) => event.type === "is back" && event.at >= from);
    return [{ from, to: back?.at ?? Infinity }];
  });
}

export function turnsOf({ events }: Lane): number {
  return events.filter(({ type }) => type === "acquires").length;
}
