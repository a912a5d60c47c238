import { setTimeout as pause } from "node:timers/promises";

import type { ConsulClient } from "consul-semaphore";

import type { Task } from "./arguments.js";
import { EXIT_UNREACHABLE, exitCodeOf } from "./exit-codes.js";
import { ExitError } from "./exit-error.js";
import { failureOf } from "./failure.js";
import { readPrefix, readSessions, type PrefixView } from "./prefix-view.js";
import { isDrawable } from "./screen/screen.js";
import { interruption, Signals } from "./signals.js";
import type { Sessions } from "./table.js";
import { WatchLines } from "./watch-lines.js";
import { WatchScreen } from "./watch-screen.js";
import type { WatchView } from "./watch-view.js";

/** So that a busy prefix, which is listed as a whole, is no load. */
const BETWEEN_READINGS_MS = 100;
const BETWEEN_TRIES_MS = 1_000;

/** Shows the holders and the waiters, and what they do, until a signal ends it. */
export async function watch(consul: ConsulClient, { prefix }: Task): Promise<number> {
  const ending = new AbortController();
  let exitCode = 0;
  const signals = new Signals((name) => {
    exitCode = exitCodeOf(name);
    signals.finish();
    ending.abort(interruption(name));
  });
  // A prefix that cannot be watched does not clear the screen.
  const first = await readPrefix(consul, prefix, { signal: ending.signal });
  const show = isDrawable(process.stdout) ? new WatchScreen(prefix) : new WatchLines(prefix);
  try {
    await follow(consul, prefix, first, show, ending.signal);
  } finally {
    show.close();
  }
  return exitCode;
}

async function follow(
  consul: ConsulClient,
  prefix: string,
  first: PrefixView,
  show: WatchView,
  signal: AbortSignal,
): Promise<void> {
  let sessions: Sessions = new Map();
  let view: PrefixView | undefined = first;
  let index = 0n;
  while (!signal.aborted) {
    let pauseMs = BETWEEN_READINGS_MS;
    try {
      view ??= await readPrefix(consul, prefix, { index, signal });
      sessions = await sessionsOf(view, sessions, consul, signal);
      show.update(view, sessions);
      // Consul's rule: where the index goes back, begin anew.
      index = view.index < index ? 0n : view.index;
    } catch (error) {
      if (error instanceof ExitError) return;
      const failure = failureOf(error);
      if (failure.exitCode !== EXIT_UNREACHABLE) throw error;
      show.outage(failure.line);
      index = 0n;
      pauseMs = BETWEEN_TRIES_MS;
    }
    view = undefined;
    await pause(pauseMs, undefined, { signal }).catch(() => undefined);
  }
}

/** Those of a view. Consul is asked where one is new. */
async function sessionsOf(
  { holders, waiters }: PrefixView,
  known: Sessions,
  consul: ConsulClient,
  signal: AbortSignal,
): Promise<Sessions> {
  const all = [...holders, ...waiters].map(({ session }) => session);
  const areKnown = all.every((session) => known.has(session));
  const found = areKnown ? known : await readSessions(consul, signal);
  return new Map(all.map((session) => [session, found.get(session)]));
}
