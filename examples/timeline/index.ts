// Five processes contend for two slots of one semaphore. While they hold, the network of one goes
// silent, and another is killed.
import { aborted } from "node:util";

import { messageOf } from "../../test/harness/error-message.js";
import type { RunningConsul } from "../../test/harness/start-consul.js";
import { findConsul } from "./find-consul.js";
import { Interruption } from "./interruption.js";
import { LineView } from "./view/line-view.js";
import { play } from "./play.js";
import { LIMIT, RUN_MS, STORY, WORKERS } from "./scenario.js";
import { ScreenView } from "./view/screen-view.js";
import { shortcomingsOf, summaryOf } from "./summary.js";
import { isDrawable } from "../../src/cli/screen/screen.js";
import { wrap } from "../../src/cli/screen/styled-line.js";
import type { View } from "./view/view.js";

const PLOT =
  `${WORKERS.length} processes contend for the ${LIMIT} slots of a semaphore, ` +
  `for ${RUN_MS / 1_000} s. While they hold, the network of one goes silent, and one is killed.`;

const LOOKING = "Looking for a Consul...";

const interruption = new Interruption();

try {
  process.exitCode = await demonstrate();
} catch (error) {
  console.error(messageOf(error));
  process.exitCode = 1;
}

/** Resolves to what the process is to end with. */
async function demonstrate(): Promise<number> {
  const reasons: string[] = [];
  const consul = await found((reason) => reasons.push(reason));
  try {
    const heading = [`Playing against ${consul.source}`, PLOT];
    const width = process.stdout.isTTY ? process.stdout.columns : Infinity;
    const introduction = [...reasons, ...heading].flatMap((text) => wrap(text, width));
    for (const line of introduction) console.log(line);
    const timeline = await play(consul.address, () => openView(heading), interruption.signal);
    if (interruption.signal.aborted) {
      console.log("Interrupted. All workers have ended.");
      return interruption.exitCode;
    }
    for (const line of ["", ...summaryOf(timeline)]) console.log(line);
    const shortcomings = shortcomingsOf(timeline);
    for (const line of shortcomings) console.error(line);
    return shortcomings.length === 0 ? 0 : 1;
  } finally {
    await consul.stop();
  }
}

async function found(explain: (reason: string) => void): Promise<RunningConsul> {
  // It may take a download; but where each line stays, the first is to tell what was found.
  if (process.stdout.isTTY) process.stdout.write(LOOKING);
  try {
    const interrupted = aborted(interruption.signal, interruption);
    const consul = await Promise.race([findConsul(explain), interrupted]);
    // What is half started can't be stopped in order. It is ended with this process.
    return consul ?? process.exit(interruption.exitCode);
  } finally {
    if (process.stdout.isTTY) process.stdout.write("\r\u001b[K");
  }
}

function openView(heading: readonly string[]): View {
  const redraws = isDrawable(process.stdout);
  return redraws
    ? new ScreenView(process.stdout, STORY, heading)
    : new LineView(STORY, (line) => {
        console.log(line);
      });
}
