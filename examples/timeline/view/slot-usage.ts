import { spansOf, type Timeline } from "./timeline.js";

/** A worker in possession of a slot. */
export interface Hold {
  readonly worker: string;
  readonly from: number;
  /** When it began to release, lost the slot or was killed; `Infinity` while it holds. */
  readonly to: number;
}

/** What became of the slot of the worker that was killed while it held one. */
export interface OrphanedSlot {
  readonly worker: string;
  readonly killedAt: number;
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

/** The holds as Consul sees them: the dead worker's lasts until somebody took its slot over. */
export function takenSlotsOf(timeline: Timeline): Hold[] {
  const orphan = orphanedSlot(timeline);
  return holdsOf(timeline).map((hold) =>
    hold.worker === orphan?.worker && hold.to === orphan.killedAt
      ? { ...hold, to: orphan.takenOver?.at ?? Infinity }
      : hold,
  );
}

export function orphanedSlot(timeline: Timeline): OrphanedSlot | undefined {
  const killed = timeline.lanes
    .flatMap(({ events }) => events)
    .find(({ type }) => type === "is killed");
  if (killed === undefined) return undefined;
  const { worker, at: killedAt } = killed;
  const holds = holdsOf(timeline);
  if (!holds.some((hold) => hold.worker === worker && hold.to === killedAt)) return undefined;
  // Until Consul has freed the dead worker's slot there is one less for the living. So the first
  // of them to fill the limit again is the one who has it.
  const heir = holds.find(({ from }) => from > killedAt && countAt(holds, from) >= timeline.limit);
  const takenOver = heir && { worker: heir.worker, at: heir.from };
  return { worker, killedAt, takenOver };
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
