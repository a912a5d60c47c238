import { headlinesOf } from "./headlines.js";
import type { Story } from "./view/view.js";

/** Who contends, for what, and for how long; times in milliseconds. */
export const WORKERS: readonly string[] = ["w1", "w2", "w3", "w4", "w5"];
export const LIMIT = 2;
export const PREFIX = "demo/timeline";
export const SESSION_TTL_MS = 3_000;
export const RUN_MS = 22_000;
export const TURN_MS = { least: 1_500, most: 2_600 };
export const REST_MS = { least: 200, most: 700 };

export const STORY: Story = {
  spanMs: RUN_MS,
  headlinesOf: (timeline) => headlinesOf(timeline, SESSION_TTL_MS),
};

/** Consul asks for sessions of at least 10 s, too long to watch one end. */
export const SHORTEST_TTL_MS = 1_000;
export const AGENT_SETTINGS = `session_ttl_min = "${SHORTEST_TTL_MS}ms"`;
