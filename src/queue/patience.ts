import { ConsulError } from "../consul/http/consul-error.js";
import {
  isOutcomeUnknown,
  pauseFactor,
  SemaphoreLostError,
  SemaphoreRequestError,
} from "../errors.js";

/** A slot, whose reads may fail for a while. */
export interface ReadSlot {
  /** Whether it is still held by the clock, which is checked before each answer is used. */
  readonly isHeld: () => boolean;
  /** The TTL of its session, in milliseconds; `Infinity` for none. */
  readonly ttl: number;
  /** How many failed reads in a row are retried once the patience by the TTL has run out. */
  readonly retries: number;
  /** The pause before each of them, in milliseconds. */
  readonly retryTime: number;
  /** Called when the slot was lost, and how. */
  readonly lost: (loss: SemaphoreLostError) => void;
}

/**
 * For how many TTLs reads may fail. If nothing gets through, the session expires before that; this is for
 * failures of the reads alone.
 */
const PATIENCE_TTLS = 2;

/** How long Consul may deny a permission, or a proxy answer in its place, if the session has no TTL. */
const PATIENCE_WITHOUT_TTL_MS = 30_000;

/** How long the reads for a slot may fail. */
export class Patience {
  readonly #slot: ReadSlot;
  #seenAt: number;
  #retriesLeft: number;
  #cuts = 0;

  constructor(slot: ReadSlot, now: number) {
    this.#slot = slot;
    this.#seenAt = now;
    this.#retriesLeft = slot.retries;
  }

  succeeded(): void {
    this.#cuts = 0;
    this.#seenAt = performance.now();
    this.#retriesLeft = this.#slot.retries;
  }

  /**
   * The same if a permission is denied: the token may be valid again soon, and the session is alive. Without
   * a TTL, a failure of Consul counts at once, as in Go, unless the connection was cut for the first time.
   */
  #patienceFor({ cause }: SemaphoreRequestError): number {
    const { ttl } = this.#slot;
    if (ttl !== Infinity) return PATIENCE_TTLS * ttl;
    if (!(cause instanceof ConsulError)) return 0;
    if (!cause.retryable || pauseFactor(cause) > 1) return PATIENCE_WITHOUT_TTL_MS;
    this.#cuts += cause.code === "CONSUL_UNREACHABLE" ? 1 : 0;
    return this.#cuts === 1 ? Infinity : 0;
  }

  /** The pause before the next read; or the slot is lost. */
  failed(error: unknown): number | undefined {
    const { isHeld, lost, retryTime } = this.#slot;
    if (!isHeld()) return undefined;
    // Consul did answer, but another program has overwritten the lock, and removed us.
    if (!(error instanceof SemaphoreRequestError)) {
      lost(new SemaphoreLostError("holder-removed", error));
      return undefined;
    }
    if (performance.now() < this.#seenAt + this.#patienceFor(error)) return undefined;
    if (!isOutcomeUnknown(error) || this.#retriesLeft === 0) {
      lost(new SemaphoreLostError("monitor-failed", error));
      return undefined;
    }
    this.#retriesLeft -= 1;
    return retryTime;
  }
}
