import { setTimeout as pause } from "node:timers/promises";

import { Crew } from "./crew.js";
import { Plot } from "./plot.js";
import { LIMIT, RUN_MS, WORKERS } from "./scenario.js";
import { advance, startTimeline, type Timeline } from "./view/timeline.js";
import type { View } from "./view/view.js";

const FRAME_MS = 100;

/**
 * Lets the workers contend, does to them what the plot has, and shows it all. Resolves to what happened, once every
 * worker process has ended; `interrupted` makes that earlier.
 */
export async function play(
  address: string,
  openView: () => View,
  interrupted: AbortSignal,
): Promise<Timeline> {
  const crew = new Crew(WORKERS);
  let timeline = startTimeline(WORKERS, LIMIT);
  let view: View | undefined;
  const show = (until?: number): void => {
    const news = crew.news(until);
    timeline = news.reduce(advance, timeline);
    view?.update(timeline, news, crew.now);
  };
  try {
    if (!(await crew.ready(interrupted))) return timeline;
    view = openView();
    await crew.start(address);
    const plot = new Plot();
    while (crew.now < RUN_MS && !crew.ended && !interrupted.aborted) {
      show(crew.now);
      const next = plot.next(timeline, crew.now);
      if (next !== undefined) crew.befall(next.worker, next.act);
      await pause(FRAME_MS, undefined, { signal: interrupted }).catch(() => undefined);
    }
    await crew.stop();
    // What an interruption has cut off in the middle is no part of the story.
    if (!interrupted.aborted) show();
    return timeline;
  } finally {
    await crew.stop();
    view?.close();
  }
}
