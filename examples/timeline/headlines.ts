import { seconds } from "./view/seconds.js";
import { holdsOf, mostAtOnce, orphanedSlot } from "./view/slot-usage.js";
import type { Timeline, TimelineEvent } from "./view/timeline.js";
import type { Headline } from "./view/view.js";

/** All there is to tell so far, in the order of time. */
export function headlinesOf(timeline: Timeline, sessionTtlMs: number): Headline[] {
  const events = timeline.lanes.flatMap((lane) => lane.events);
  const orphan = orphanedSlot(timeline);
  const headlines = events.flatMap((event): Headline[] => {
    const text = storyOf(event, event.worker === orphan?.worker, sessionTtlMs);
    return text === undefined ? [] : [{ at: event.at, text }];
  });
  if (orphan?.takenOver !== undefined) {
    const { worker, at } = orphan.takenOver;
    const later = seconds(at - orphan.killedAt);
    const text = `${worker} took over the slot of ${orphan.worker}, ${later} after the kill.`;
    headlines.push({ at, text });
  }
  return [...headlines, ...breachesOf(timeline)].toSorted((one, other) => one.at - other.at);
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

function storyOf(event: TimelineEvent, held: boolean, sessionTtlMs: number): string | undefined {
  const { worker } = event;
  switch (event.type) {
    case "is killed": {
      const [least, most] = [sessionTtlMs / 1_000, seconds(2 * sessionTtlMs, 0)];
      return held
        ? `${worker} was killed while holding. Its slot stays taken for a while: the dead ` +
            `process's session lives until its TTL is over, and Consul ends it 1 to 2 TTLs ` +
            `(${least} to ${most}) after its last renewal.`
        : `${worker} was killed.`;
    }
    case "loses its slot":
      return `${worker} lost its slot: ${event.problem}`;
    case "fails":
      return `${worker} failed: ${event.problem}`;
    case "waits":
    case "acquires":
    case "releases":
    case "leaves":
      return undefined;
  }
}
