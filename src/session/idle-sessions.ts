import { Cancellation } from "../async/cancellation.js";
import { inSharedContext } from "../async/shared-context.js";
import type { SessionLease } from "./lease.js";

/** An idle session is for the next acquire; a service that comes back later makes a new one. */
const LONGEST_KEPT_MS = 5_000;
/** And it is not kept for long beside the time for which it would outlive its process. */
const KEPT_TTLS = 1 / 3;

/** How long an attempt to destroy an idle session may take. */
const DESTRUCTION_TIMEOUT_MS = 1_000;

interface IdleSession {
  readonly lease: SessionLease;
  readonly timer: NodeJS.Timeout;
}

/**
 * Sessions between two slots: to create and destroy one for each would be two writes more. They are
 * renewed meanwhile, and do not keep the process alive.
 */
export class IdleSessions {
  readonly #kept = new Map<string, IdleSession[]>();
  /** Destructions under way. */
  readonly #ending = new Set<Promise<void>>();
  /** Aborts with the end of the client, which waits for one attempt more. */
  readonly #closing = new Cancellation();

  /** Keeps a session for the next acquire with the same `use`. */
  keep(use: string, lease: SessionLease): void {
    if (this.#closing.aborted || lease.checkLost()) {
      this.#end(lease);
      return;
    }
    lease.holdsNoSlot();
    const timer = inSharedContext(() =>
      setTimeout(
        () => {
          this.#remove(use, kept);
          this.#end(lease);
        },
        Math.min(LONGEST_KEPT_MS, lease.ttl * KEPT_TTLS),
      ),
    );
    timer.unref();
    const kept = { lease, timer };
    this.#kept.set(use, [...(this.#kept.get(use) ?? []), kept]);
  }

  /** The session that was kept last, if it still lives: the others grow old. */
  take(use: string): SessionLease | undefined {
    for (;;) {
      const kept = this.#kept.get(use)?.at(-1);
      if (kept === undefined) return undefined;
      this.#remove(use, kept);
      if (!kept.lease.checkLost()) return kept.lease;
    }
  }

  /**
   * Ends all that are kept, and keeps none from now on. It waits for destructions under way as well, which
   * the end of the client would cut off.
   */
  async close(): Promise<void> {
    this.#closing.abort("closed");
    const all = [...this.#kept.values()].flat();
    this.#kept.clear();
    for (const { timer } of all) clearTimeout(timer);
    for (const { lease } of all) this.#end(lease);
    await Promise.all(this.#ending);
  }

  #end(lease: SessionLease): void {
    const ended = lease
      .destroyInTime(
        { timeout: DESTRUCTION_TIMEOUT_MS },
        { signal: this.#closing, keepAlive: () => false },
      )
      .then(() => {
        this.#ending.delete(ended);
      });
    this.#ending.add(ended);
  }

  #remove(use: string, kept: IdleSession): void {
    clearTimeout(kept.timer);
    const others = (this.#kept.get(use) ?? []).filter((other) => other !== kept);
    if (others.length === 0) this.#kept.delete(use);
    else this.#kept.set(use, others);
  }
}
