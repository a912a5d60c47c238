// A service that resizes images, three at a time in the whole fleet. Its unit tests are beside it.
// It is given its client, so that in a test it can have one of a Consul in memory.

import type { ConsulClient } from "consul-semaphore";

/** Whatever does the work; it stops when the signal aborts. */
export type Resize = (image: string, signal: AbortSignal) => Promise<void>;

export class ResizeService {
  readonly #consul: ConsulClient;
  readonly #resize: Resize;

  constructor(consul: ConsulClient, resize: Resize) {
    this.#consul = consul;
    this.#resize = resize;
  }

  /** Resolves to the HTTP status to answer with. */
  async handle(image: string): Promise<200 | 503> {
    await using slot = await this.#consul.semaphorePrefix("jobs/resize", 3).tryAcquire();
    if (slot === null) return 503; // Nobody has made room within 15 s.
    try {
      await this.#resize(image, slot.signal);
      return 200;
    } catch (error) {
      if (!slot.signal.aborted) throw error;
      return 503; // The slot was lost, and whoever asked may ask again.
    }
  }
}
