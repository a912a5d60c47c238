import { seconds } from "../../src/cli/screen/seconds.js";
import { abandonedSlots, holdsOf, mostAtOnce, type AbandonedSlot } from "./view/slot-usage.js";
import { silencesOf, type Timeline, type TimelineEvent } from "./view/timeline.js";
import type { Headline } from "./view/view.js";

/** All there is to tell so far, in the order of time. */
export function headlinesOf(timeline: Timeline, sessionTtlMs: number): Headline[] {
  const abandoned = abandonedSlots(timeline);
  const headlines = timeline.lanes.flatMap((lane) =>
    lane.events.flatMap((event): Headline[] => {
      const slot = abandoned.find(({ worker, at }) => worker === lane.worker && at === event.at);
      const silence = silencesOf(lane).find(({ from, to }) => from < event.at && event.at <= to);
      const text = storyOf(event, slot, silence?.from, sessionTtlMs);
      return text === undefined ? [] : [{ at: event.at, text }];
    }),
  );
  return [...headlines, ...takeoversOf(abandoned), ...breachesOf(timeline)].toSorted(
    (one, other) => one.at - other.at,
  );
}

function takeoversOf(abandoned: readonly AbandonedSlot[]): Headline[] {
  return abandoned.flatMap(({ worker, cause, at, takenOver }) => {
    if (takenOver === undefined) return [];
    const after = cause === "is killed" ? "the kill" : `${worker} had stopped`;
    const later = `${seconds(takenOver.at - at)} after ${after}`;
    const text = `${takenOver.worker} took over the slot of ${worker}, ${later}.`;
    return [{ at: takenOver.at, text }];
  });
}

/** What must never happen. */
function breachesOf(timeline: Timeline): Headline[] {
  const holds = holdsOf(timeline);
  return holds.flatMap(({ worker, from }) => {
    const count = mostAtOnce(holds, from, from);
    const text = `${worker} is holder number ${count} where only ${timeline.limit} may be!`;
    return count > timeline.limit ? [{ at: from, text }] : [];
  });
}

function storyOf(
  event: TimelineEvent,
  slot: AbandonedSlot | undefined,
  silentSince: number | undefined,
  sessionTtlMs: number,
): string | undefined {
  const { worker } = event;
  const ttl = seconds(sessionTtlMs, 0);
  switch (event.type) {
    case "goes silent":
      return (
        `The network of ${worker}, which holds, went silent: packets are swallowed, and no connection ` +
        `breaks. Nobody but its own clock can tell it.`
      );
    case "is back":
      return `The network of ${worker} is back.`;
    case "loses its slot":
      if (silentSince === undefined) return `${worker} lost its slot: ${event.problem}`;
      return (
        `${worker} was told that its slot is lost, ${seconds(event.at - silentSince)} into the ` +
        `silence: its signal aborted, one TTL (${ttl}) after its last renewal. It stopped.`
      );
    case "is killed":
      return slot === undefined
        ? `${worker} was killed.`
        : `${worker} was killed while holding. Its slot stays taken until Consul ends the dead ` +
            `process's session, 1 to 2 TTLs (${sessionTtlMs / 1_000} to ` +
            `${seconds(2 * sessionTtlMs, 0)}) after its last renewal.`;
    case "fails":
      return `${worker} failed: ${event.problem}`;
    case "waits":
    case "acquires":
    case "releases":
    case "leaves":
      return undefined;
  }
}
