import { callAfter } from "./async/call-after.js";
import { Cancellation, type Ending } from "./async/cancellation.js";
import type { Background } from "./async/serial-queue.js";
import { settledWithin } from "./async/settled-within.js";
import type { ConsulEndpoints, OwnEndpoints } from "./consul/endpoints.js";
import type { RequestOptions } from "./consul/http/request-options.js";
import { SemaphoreClosedError, SemaphoreOptionsError } from "./errors.js";
import { cleanPath } from "./protocol/keys.js";
import { Queue } from "./queue/queue.js";
import { PrefixRequests } from "./queue/requests.js";
import { WatchQuota } from "./queue/watch-quota.js";
import { shownWithType } from "./shown-value.js";
import { IdleSessions } from "./session/idle-sessions.js";
import { Watchdogs } from "./session/watchdog.js";

/** A slot that can be given back. One that was lost is still to be cleaned up. */
export interface Releasable {
  readonly isHeld: boolean;
  release(): Promise<void>;
}

/** Where a client has its context. */
export const context = Symbol("context");

/**
 * What a semaphore is made with, which a {@link ConsulClient} is.
 *
 * @example
 * ```ts
 * const client: SemaphoreClient = consul;
 * const sem = new Semaphore(client, { prefix: "jobs/resize", limit: 3 });
 * ```
 */
export interface SemaphoreClient extends ConsulEndpoints {
  /** @internal */
  readonly [context]: object;
}

/** What the semaphores of one client share, and what has to end before the client does. */
export class ClientContext {
  readonly consul: OwnEndpoints;
  readonly watches = new WatchQuota();
  readonly watchdogs = new Watchdogs();
  readonly idleSessions = new IdleSessions();
  /** By prefix. They go when the last semaphore of the prefix goes. */
  readonly #queues = new Map<string, WeakRef<Queue>>();
  readonly #forgotten = new FinalizationRegistry<string>((name) => {
    if (this.#queues.get(name)?.deref() === undefined) this.#queues.delete(name);
  });
  readonly #closing = new Cancellation();
  readonly #held = new Set<Releasable>();
  /** Called when no slot is held any more, or is to be waited for. */
  #whenDrained: (() => void) | undefined;
  readonly #calls = new Set<Promise<unknown>>();

  constructor(consul: OwnEndpoints) {
    this.consul = consul;
  }

  /** Aborts when the client is about to be closed, with a {@link SemaphoreClosedError}. */
  get closing(): Ending {
    return this.#closing;
  }

  /** The queue of a prefix. */
  queue(prefix: string, scope: Pick<RequestOptions, "namespace" | "partition">): Queue {
    const name = JSON.stringify([cleanPath(prefix), scope.namespace, scope.partition]);
    const known = this.#queues.get(name)?.deref();
    if (known !== undefined) return known;
    const queue = new Queue(new PrefixRequests(this.consul, prefix, scope, this.watches));
    this.#queues.set(name, new WeakRef(queue));
    this.#forgotten.register(queue, name);
    return queue;
  }

  /** A slot that is held from now on. */
  hold(slot: Releasable): void {
    this.#held.add(slot);
  }

  letGo(slot: Releasable): void {
    this.#held.delete(slot);
    this.slotEnded();
  }

  /** A slot is held no more: it was let go, or was lost. */
  slotEnded(): void {
    if (this.#whenDrained !== undefined && !this.#isAnyHeld) this.#whenDrained();
  }

  get #isAnyHeld(): boolean {
    return [...this.#held].some(({ isHeld }) => isHeld);
  }

  /** Work that is under way until it settles. */
  readonly track: Background = (work) => {
    this.#calls.add(work);
    const done = (): void => {
      this.#calls.delete(work);
    };
    work.then(done, done);
  };

  /**
   * Ends all waits, releases the slots that their holders have not released within `drain`, and waits for
   * both, but no longer than `patience`. Called again, it may cut the drain short.
   */
  async end(patience: number, drain = 0): Promise<void> {
    this.#closing.abort(new SemaphoreClosedError());
    if (drain > 0) await this.#drained(drain);
    for (const slot of [...this.#held]) slot.release().catch(() => undefined);
    this.#whenDrained?.();
    await settledWithin(patience, this.#settled());
    await this.idleSessions.close();
  }

  /** Resolves when nothing is under way any more: what ends may leave a cleanup behind. */
  async #settled(): Promise<void> {
    while (this.#calls.size > 0) await Promise.allSettled([...this.#calls]);
  }

  /** Resolves when nobody holds a slot any more, or when the time is over. */
  async #drained(ms: number): Promise<void> {
    if (!this.#isAnyHeld) return;
    await new Promise<void>((resolve) => {
      const cancel = callAfter(ms, resolve);
      const before = this.#whenDrained;
      this.#whenDrained = () => {
        cancel();
        before?.();
        resolve();
      };
    });
  }
}

/** @throws SemaphoreOptionsError for what is no client */
export function contextOf(client: unknown): ClientContext {
  if (typeof client === "object" && client !== null && context in client) {
    const found = client[context];
    if (found instanceof ClientContext) return found;
  }
  throw new SemaphoreOptionsError(
    `missing client: got ${shownWithType(client)}, expected a ConsulClient`,
  );
}
