import type { Timeline, TimelineEvent } from "./timeline.js";

/** How the run is shown while it goes on. */
export interface View {
  /** Told several times a second; `news` is what the timeline has got since the last time. */
  update(timeline: Timeline, news: readonly TimelineEvent[], now: number): void;
  /** Ends the show, and leaves what is worth keeping. May be called again. */
  close(): void;
}
