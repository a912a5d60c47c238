import { sleep } from "./async/sleep.js";
import type { ConsulEndpoints } from "./consul/endpoints.js";
import { SemaphoreClosedError } from "./errors.js";

/** Something that can be given back. */
export interface Releasable {
  release(): Promise<void>;
}

const useOf = new WeakMap<object, ClientUse>();

/** Finds that of a client; all semaphores of it have the same. */
export function clientUse({ session }: Pick<ConsulEndpoints, "session">): ClientUse {
  const known = useOf.get(session);
  if (known !== undefined) return known;
  const use = new ClientUse();
  useOf.set(session, use);
  return use;
}

/** What a client's semaphores hold, and what they are at: it has to end before the client does. */
export class ClientUse {
  readonly #closing = new AbortController();
  readonly #held = new Set<Releasable>();
  readonly #calls = new Set<Promise<unknown>>();

  /** Aborts when the client is about to be closed, with a {@link SemaphoreClosedError}. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** A slot that is held from now on. */
  hold(slot: Releasable): void {
    this.#held.add(slot);
  }

  letGo(slot: Releasable): void {
    this.#held.delete(slot);
  }

  /** A call that is under way until it settles, and may have to clear away behind itself. */
  track(call: Promise<unknown>): void {
    this.#calls.add(call);
    const done = (): void => {
      this.#calls.delete(call);
    };
    call.then(done, done);
  }

  /** Ends what waits, gives back what is held, and waits for both, but no longer than `patience`. */
  async end(patience: number): Promise<void> {
    this.#closing.abort(new SemaphoreClosedError());
    for (const slot of [...this.#held]) slot.release().catch(() => undefined);
    const over = new AbortController();
    const settled = Promise.allSettled([...this.#calls]).then(() => {
      over.abort();
    });
    await Promise.race([settled, sleep(patience, over.signal)]);
  }
}
