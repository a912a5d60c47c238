import type { Timeline, TimelineEvent } from "./timeline.js";

/** Something worth telling in words. */
export interface Headline {
  readonly at: number;
  readonly text: string;
}

/** What a timeline is about. */
export interface Story {
  /** How much time fits on the screen, in milliseconds. */
  readonly spanMs: number;
  /** All there is to tell so far, in the order of time. */
  readonly headlinesOf: (timeline: Timeline) => Headline[];
}

/** How the run is shown while it goes on. */
export interface View {
  /** Told several times a second; `news` is what the timeline has got since the last time. */
  update(timeline: Timeline, news: readonly TimelineEvent[], now: number): void;
  /** Ends the show, and leaves what is worth keeping. May be called again. */
  close(): void;
}
