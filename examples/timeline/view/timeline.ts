/** What happens to a worker; `at` is in milliseconds since the start of the run. */
export type TimelineEvent = {
  readonly worker: string;
  readonly at: number;
} & (
  | { readonly type: "waits" | "acquires" | "releases" | "is killed" | "leaves" }
  | { readonly type: "loses its slot" | "fails"; readonly problem: string }
);

export type Activity = "resting" | "waiting" | "holding" | "dead" | "gone";

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
export interface Span {
  readonly activity: Activity;
  readonly from: number;
  /** `Infinity` while it lasts. */
  readonly to: number;
}

const ACTIVITY_AFTER = {
  waits: "waiting",
  acquires: "holding",
  releases: "resting",
  "loses its slot": "resting",
  "is killed": "dead",
  leaves: "gone",
  fails: "gone",
} as const satisfies Record<TimelineEvent["type"], Activity>;

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

export function activityAt(lane: Lane, at: number): Activity {
  const last = lane.events.findLast((event) => event.at <= at);
  return last === undefined ? "resting" : ACTIVITY_AFTER[last.type];
}

export function spansOf({ events }: Lane): Span[] {
  return events.map(({ type, at }, index) => ({
    activity: ACTIVITY_AFTER[type],
    from: at,
    to: events[index + 1]?.at ?? Infinity,
  }));
}

export function turnsOf({ events }: Lane): number {
  return events.filter(({ type }) => type === "acquires").length;
}
