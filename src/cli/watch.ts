import { setTimeout as pause } from "node:timers/promises";

import type { ConsulClient } from "consul-semaphore";

import { EXIT, exitCodeOf } from "./exit-codes.js";
import { failureOf } from "./failure.js";
import { readPrefix } from "./prefix-view.js";
import { Signals } from "./signals.js";
import type { Task } from "./task.js";
import { WatchLines } from "./watch-lines.js";

/** So that a busy prefix, which is listed as a whole, is no load. */
const BETWEEN_READINGS_MS = 100;
const BETWEEN_TRIES_MS = 1_000;

/** Shows who holds, who waits, and what they do, until a signal ends it. */
export async function watch(consul: ConsulClient, { prefix }: Task): Promise<number> {
  const ending = new AbortController();
  let exitCode = 0;
  const signals = new Signals((name) => {
    exitCode = exitCodeOf(name);
    signals.finish();
    ending.abort();
  });
  const { signal } = ending;
  const isOver = (): boolean => signal.aborted;
  const show = new WatchLines(prefix);
  let index = 0n;
  for (let isFirst = true; !signal.aborted;) {
    let pauseMs = BETWEEN_READINGS_MS;
    try {
      const view = await readPrefix(consul, prefix, { index, signal });
      show.update(view);
      // Consul's rule: where the index goes back, begin anew.
      index = view.index < index ? 0n : view.index;
      isFirst = false;
    } catch (error) {
      if (isOver()) break;
      const failure = failureOf(error);
      if (isFirst || failure.exitCode !== EXIT.unreachable) throw error;
      show.outage(failure.line);
      index = 0n;
      pauseMs = BETWEEN_TRIES_MS;
    }
    await pause(pauseMs, undefined, { signal }).catch(() => undefined);
  }
  return exitCode;
}
