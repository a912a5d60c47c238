import { aborted } from "node:util";

import { machineNow } from "./machine-clock.js";
import type { Act } from "./plot.js";
import { SettledEvents } from "./settled-events.js";
import type { TimelineEvent } from "./view/timeline.js";
import { Worker } from "./worker.js";

/** All worker processes, and what is heard from them. */
export class Crew {
  readonly #events = new SettledEvents();
  readonly #workers: readonly Worker[];
  #startedAt = machineNow();
  #ended = false;

  constructor(names: readonly string[]) {
    this.#workers = names.map(
      (name) =>
        new Worker(name, (event) => {
          this.#events.add({ ...event, at: event.at - this.#startedAt });
        }),
    );
    void Promise.all(this.#workers.map((worker) => worker.ended)).then(() => {
      this.#ended = true;
    });
  }

  /** Milliseconds since the start. */
  get now(): number {
    return machineNow() - this.#startedAt;
  }

  /** Whether no process is left. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Waits until all can start. Resolves to false when the signal aborts before. */
  async ready(interrupted: AbortSignal): Promise<boolean> {
    const ready = Promise.all(this.#workers.map((worker) => worker.ready));
    await Promise.race([ready, aborted(interrupted, this)]);
    return !interrupted.aborted;
  }

  async start(address: string): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.connect(address)));
    this.#startedAt = machineNow();
    for (const worker of this.#workers) worker.start();
  }

  /** What has happened until then that was not told before, in the order of time. */
  news(until?: number): TimelineEvent[] {
    return this.#events.take(until);
  }

  befall(name: string, act: Act): void {
    this.#workers.find((worker) => worker.name === name)?.befall(act);
  }

  /** Resolves when every process has ended. */
  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
  }
}
