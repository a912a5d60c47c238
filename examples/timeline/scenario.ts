import { headlinesOf } from "./headlines.js";
import { activityAt, type Timeline } from "./view/timeline.js";
import type { Story } from "./view/view.js";

/** Who contends, for what, and for how long; times in milliseconds. */
export const WORKERS: readonly string[] = ["w1", "w2", "w3", "w4", "w5"];
export const LIMIT = 2;
export const PREFIX = "demo/timeline";
export const SESSION_TTL_MS = 3_000;
export const RUN_MS = 20_000;
export const TURN_MS = { least: 1_500, most: 2_600 };
export const REST_MS = { least: 200, most: 700 };

export const STORY: Story = {
  spanMs: RUN_MS,
  headlinesOf: (timeline) => headlinesOf(timeline, SESSION_TTL_MS),
};

/** Consul asks for sessions of at least 10 s, too long to watch one end. */
export const AGENT_SETTINGS = 'session_ttl_min = "1s"';

/** By then everybody has had a turn or is in line, and a session still ends well within the run. */
const KILL_FROM_MS = 5_000;

/** Far enough in to be seen holding, and far enough from the end of the shortest turn. */
const KILL_WHEN_HELD_MS = { least: 400, most: 900 };

/** Whom to kill now, if it is time: a holder that has only begun, while others wait. */
export function chooseVictim(timeline: Timeline, now: number): string | undefined {
  if (now < KILL_FROM_MS) return undefined;
  const current = timeline.lanes.map((lane) => ({
    worker: lane.worker,
    activity: activityAt(lane, now),
    heldFor: now - (lane.events.at(-1)?.at ?? now),
  }));
  if (!current.some(({ activity }) => activity === "waiting")) return undefined;
  return current.find(
    ({ activity, heldFor }) =>
      activity === "holding" &&
      heldFor >= KILL_WHEN_HELD_MS.least &&
      heldFor <= KILL_WHEN_HELD_MS.most,
  )?.worker;
}
