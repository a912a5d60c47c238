import { seconds } from "../../src/cli/screen/seconds.js";
import { abandonedSlots, holdsOf, mostAtOnce } from "./view/slot-usage.js";
import { silencesOf, turnsOf, type Timeline } from "./view/timeline.js";

/** A mishap of a worker that held, and how it came out. */
interface Mishap {
  readonly worker: string;
  /** When the process was killed, or its network went silent. */
  readonly at: number;
  /** When the worker held no longer, by its own account. */
  readonly stopped: number | undefined;
  readonly successor: { readonly worker: string; readonly at: number } | undefined;
}

/** What the run came to, in a few lines. */
export function summaryOf(timeline: Timeline): string[] {
  const turns = timeline.lanes.map((lane) => {
    const killed = lane.events.some(({ type }) => type === "is killed");
    return `${lane.worker} ${turnsOf(lane)}${killed ? " (killed)" : ""}`;
  });
  return [
    `Turns: ${turns.join(", ")}.`,
    `Most slots in use at once: ${mostAtOnce(holdsOf(timeline))} of ${timeline.limit}.`,
    ...silencesIn(timeline).flatMap(({ worker, at, stopped, successor }) =>
      stopped === undefined || successor === undefined
        ? []
        : [
            `In a silent network, ${worker} was told after ${seconds(stopped - at)} that its slot ` +
              `was lost, ${seconds(successor.at - stopped)} before ${successor.worker} took it over.`,
          ],
    ),
    ...killsIn(timeline).flatMap(({ worker, at, successor }) =>
      successor === undefined
        ? []
        : [
            `The slot of ${worker} stayed taken for ${seconds(successor.at - at)} after its kill, ` +
              `then ${successor.worker} took it over.`,
          ],
    ),
  ];
}

/** Why the run is no proof of a working semaphore; nothing if it is one. */
export function shortcomingsOf(timeline: Timeline): string[] {
  const most = mostAtOnce(holdsOf(timeline));
  const silences = silencesIn(timeline);
  const kills = killsIn(timeline);
  const failures = timeline.lanes.flatMap(({ events }) =>
    events.flatMap((event) =>
      event.type === "fails" ? [`${event.worker} failed: ${event.problem}`] : [],
    ),
  );
  return [
    ...(most > timeline.limit
      ? [`${most} workers held a slot at once, and there are only ${timeline.limit} slots.`]
      : []),
    ...(silences.length === 0 ? ["No worker's network went silent while it held a slot."] : []),
    ...(kills.length === 0 ? ["No worker was killed while it held a slot."] : []),
    ...[...silences, ...kills].flatMap(({ worker, stopped, successor }) => {
      if (stopped === undefined) return [`${worker} was not told that its slot was lost.`];
      return successor === undefined ? [`Nobody took over the slot of ${worker}.`] : [];
    }),
    ...failures,
  ];
}

function silencesIn(timeline: Timeline): Mishap[] {
  const holds = holdsOf(timeline);
  const abandoned = abandonedSlots(timeline);
  return timeline.lanes.flatMap((lane) =>
    silencesOf(lane).flatMap((silence): Mishap[] => {
      const isIn = ({ worker }: { worker: string }): boolean => worker === lane.worker;
      const hold = holds
        .filter(isIn)
        .find(({ from, to }) => from <= silence.from && silence.from < to);
      if (hold === undefined) return [];
      const slot = abandoned.filter(isIn).find(({ at }) => at === hold.to && at <= silence.to);
      return [
        { worker: lane.worker, at: silence.from, stopped: slot?.at, successor: slot?.takenOver },
      ];
    }),
  );
}

function killsIn(timeline: Timeline): Mishap[] {
  return abandonedSlots(timeline).flatMap(({ worker, cause, at, takenOver }) =>
    cause === "is killed" ? [{ worker, at, stopped: at, successor: takenOver }] : [],
  );
}
