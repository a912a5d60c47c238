import type { SessionLease } from "./lease.js";

/** A session is of use to who comes soon; a service that comes back later makes a new one. */
const LONGEST_KEPT_MS = 5_000;
/** Nor is one kept that would outlive its process for longer than it was of use. */
const KEPT_TTLS = 1 / 3;

/** How long the end of a kept session may take when all are ended. */
const DESTRUCTION_TIMEOUT_MS = 1_000;

interface IdleSession {
  readonly lease: SessionLease;
  readonly timer: NodeJS.Timeout;
}

/**
 * Sessions between two uses: to create and to destroy one for each slot would be two writes more.
 * They are renewed meanwhile, and do not keep the process alive.
 */
export class IdleSessions {
  readonly #kept = new Map<string, IdleSession[]>();
  #isClosed = false;

  /** Keeps a session that hangs on nothing for the next who asks for this `use`. */
  keep(use: string, lease: SessionLease): void {
    if (this.#isClosed || lease.checkLost()) {
      void end(lease);
      return;
    }
    lease.holdsNoSlot();
    const timer = setTimeout(
      () => {
        this.#remove(use, kept);
        void end(lease);
      },
      Math.min(LONGEST_KEPT_MS, lease.ttl * KEPT_TTLS),
    );
    timer.unref();
    const kept = { lease, timer };
    this.#kept.set(use, [...(this.#kept.get(use) ?? []), kept]);
  }

  /** The session that was kept last, if it is still there: those that nobody needs grow old. */
  take(use: string): SessionLease | undefined {
    for (;;) {
      const kept = this.#kept.get(use)?.at(-1);
      if (kept === undefined) return undefined;
      this.#remove(use, kept);
      if (!kept.lease.checkLost()) return kept.lease;
    }
  }

  /** Ends all that are kept, and keeps none from now on. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const all = [...this.#kept.values()].flat();
    this.#kept.clear();
    for (const { timer } of all) clearTimeout(timer);
    await Promise.all(all.map(({ lease }) => end(lease)));
  }

  #remove(use: string, kept: IdleSession): void {
    clearTimeout(kept.timer);
    const others = (this.#kept.get(use) ?? []).filter((other) => other !== kept);
    if (others.length === 0) this.#kept.delete(use);
    else this.#kept.set(use, others);
  }
}

/** Where a session cannot be ended, its TTL does it. */
async function end(lease: SessionLease): Promise<void> {
  await lease.destroy({ timeout: DESTRUCTION_TIMEOUT_MS }).catch(() => undefined);
}
