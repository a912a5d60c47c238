import { seconds } from "./view/seconds.js";
import { holdsOf, mostAtOnce, orphanedSlot } from "./view/slot-usage.js";
import { turnsOf, type Timeline } from "./view/timeline.js";

/** What the run came to, in a few lines. */
export function summaryOf(timeline: Timeline): string[] {
  const orphan = orphanedSlot(timeline);
  const turns = timeline.lanes.map((lane) => {
    const killed = lane.events.some(({ type }) => type === "is killed");
    return `${lane.worker} ${turnsOf(lane)}${killed ? " (killed)" : ""}`;
  });
  return [
    `Turns: ${turns.join(", ")}.`,
    `Most slots in use at once: ${mostAtOnce(holdsOf(timeline))} of ${timeline.limit}.`,
    ...(orphan?.takenOver === undefined
      ? []
      : [
          `The slot of ${orphan.worker} stayed taken for ` +
            `${seconds(orphan.takenOver.at - orphan.killedAt)} after its kill, ` +
            `then ${orphan.takenOver.worker} took it over.`,
        ]),
  ];
}

/** Why the run is no proof of a working semaphore; nothing if it is one. */
export function shortcomingsOf(timeline: Timeline): string[] {
  const most = mostAtOnce(holdsOf(timeline));
  const orphan = orphanedSlot(timeline);
  const failures = timeline.lanes.flatMap(({ events }) =>
    events.flatMap((event) =>
      event.type === "fails" ? [`${event.worker} failed: ${event.problem}`] : [],
    ),
  );
  return [
    ...(most > timeline.limit
      ? [`${most} workers held a slot at once, and there are only ${timeline.limit} slots.`]
      : []),
    ...(orphan === undefined ? ["No worker was killed while it held a slot."] : []),
    ...(orphan !== undefined && orphan.takenOver === undefined
      ? [`Nobody took over the slot of ${orphan.worker}.`]
      : []),
    ...failures,
  ];
}
