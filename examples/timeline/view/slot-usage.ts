import type { Stretch } from "../../../src/cli/screen/chart.js";
import { spansOf, type Timeline } from "./timeline.js";

/** A worker in possession of a slot, until it begins to release, loses the slot or is killed. */
export interface Hold extends Stretch {
  readonly worker: string;
}

/** The slot of a worker that holds it no longer without having released it. */
export interface AbandonedSlot {
  readonly worker: string;
  readonly cause: "is killed" | "loses its slot";
  readonly at: number;
  readonly takenOver: { readonly worker: string; readonly at: number } | undefined;
}

/** All holds, in the order in which they began. A dead worker holds nothing. */
export function holdsOf({ lanes }: Timeline): Hold[] {
  return lanes
    .flatMap((lane) =>
      spansOf(lane)
        .filter(({ activity }) => activity === "holding")
        .map(({ from, to }) => ({ worker: lane.worker, from, to })),
    )
    .toSorted((one, other) => one.from - other.from);
}

/** The holds as Consul sees them: an abandoned one lasts until somebody took its slot over. */
export function takenSlotsOf(timeline: Timeline): Hold[] {
  const abandoned = abandonedSlots(timeline);
  return holdsOf(timeline).map((hold) => {
    const slot = abandoned.find(({ worker, at }) => worker === hold.worker && at === hold.to);
    return slot === undefined ? hold : { ...hold, to: slot.takenOver?.at ?? Infinity };
  });
}

/** In the order in which they were abandoned. */
export function abandonedSlots(timeline: Timeline): AbandonedSlot[] {
  const holds = holdsOf(timeline);
  const abandoned = timeline.lanes
    .flatMap(({ events }) => events)
    .flatMap(({ worker, type, at }): AbandonedSlot[] => {
      const held = holds.some((hold) => hold.worker === worker && hold.to === at);
      return held && (type === "is killed" || type === "loses its slot")
        ? [{ worker, cause: type, at, takenOver: undefined }]
        : [];
    })
    .toSorted((one, other) => one.at - other.at);
  // Until Consul has freed an abandoned slot, there is one less for the living. So who comes in
  // where there is none left for them has it.
  for (const { worker, from } of holds) {
    const open = (slot: AbandonedSlot): boolean => slot.takenOver === undefined && slot.at < from;
    const first = abandoned.findIndex(open);
    const slot = abandoned[first];
    const left = timeline.limit - abandoned.filter(open).length;
    if (slot !== undefined && countAt(holds, from) > left) {
      abandoned[first] = { ...slot, takenOver: { worker, at: from } };
    }
  }
  return abandoned;
}

/** The most holds at one instant of a stretch of time. */
export function mostAtOnce(holds: readonly Hold[], from = -Infinity, to = Infinity): number {
  // The number only ever rises when a hold begins.
  const rises = holds.map((hold) => hold.from).filter((at) => at >= from && at < to);
  return Math.max(...[from, ...rises].map((at) => countAt(holds, at)));
}

function countAt(holds: readonly Hold[], at: number): number {
  return holds.filter(({ from, to }) => from <= at && at < to).length;
}
