import { mostAtOnce, takenSlotsOf } from "./slot-usage.js";
import type { Timeline, TimelineEvent } from "./timeline.js";
import type { Story, View } from "./view.js";

/** Tells the run line by line, for a file or a pipe. */
export class LineView implements View {
  readonly #story: Story;
  readonly #write: (line: string) => void;
  readonly #told = new Set<string>();

  constructor(story: Story, write: (line: string) => void) {
    this.#story = story;
    this.#write = write;
  }

  update(timeline: Timeline, news: readonly TimelineEvent[]): void {
    const headlines = this.#story.headlinesOf(timeline).filter(({ text }) => !this.#told.has(text));
    for (const { text } of headlines) this.#told.add(text);
    const routine = news.flatMap((event) => {
      const text = routineOf(event, timeline);
      return text === undefined ? [] : [{ at: event.at, text }];
    });
    for (const { at, text } of [...routine, ...headlines].toSorted(
      (one, other) => one.at - other.at,
    )) {
      this.#write(`${(at / 1_000).toFixed(3).padStart(7)} s  ${text}`);
    }
  }

  close(): void {
    // Nothing to put back.
  }
}

function routineOf({ type, worker, at }: TimelineEvent, timeline: Timeline): string | undefined {
  switch (type) {
    case "waits":
      return `${worker} waits for a slot`;
    case "acquires": {
      const taken = mostAtOnce(takenSlotsOf(timeline), at, at);
      return `${worker} holds a slot (${taken} of ${timeline.limit} taken)`;
    }
    case "releases":
      return `${worker} gives its slot back`;
    case "leaves":
      return `${worker} leaves`;
    case "goes silent":
    case "is back":
    case "is killed":
    case "loses its slot":
    case "fails":
      // A headline tells.
      return undefined;
  }
}
