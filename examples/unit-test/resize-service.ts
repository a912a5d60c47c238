// A service that resizes images, three at a time in the whole fleet. Its unit tests are beside it.
// It is given its client, so that in a test it can have one of a Consul in memory.

import { SemaphoreError, type ConsulClient, type Semaphore } from "consul-semaphore";

/** Does the work. When the signal aborts, it stops and rejects with the signal's reason. */
export type Resize = (image: string, signal: AbortSignal) => Promise<void>;

export class ResizeService {
  readonly #slots: Semaphore;
  readonly #resize: Resize;

  constructor(consul: ConsulClient, resize: Resize) {
    this.#slots = consul.semaphorePrefix("jobs/resize", 3);
    this.#resize = resize;
  }

  /** Resolves to the HTTP status to answer with. */
  async handle(image: string): Promise<200 | 503> {
    try {
      await this.#slots.run((slot) => this.#resize(image, slot.signal), { timeout: "15s" });
      return 200;
    } catch (error) {
      if (!(error instanceof SemaphoreError)) throw error;
      // No slot within 15 s, it was lost, or Consul cannot be used: the client may try again.
      console.error(error);
      return 503;
    }
  }
}
