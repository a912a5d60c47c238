import type { Ending } from "../async/cancellation.js";
import { Backoff } from "../async/backoff.js";
import type { Background } from "../async/serial-queue.js";
import { sleep } from "../async/sleep.js";
import { traced, waitChannel } from "../diagnostics.js";
import type { SessionLease } from "../session/lease.js";
import {
  Claim,
  SHORTEST_TRY_MS,
  type ClaimOptions,
  type TooLate,
  type WaitOutcome,
} from "./claim.js";
import { CLEAN_UP_GRACE_MS } from "./clean-up.js";
import type { Queue } from "./queue.js";

/** How long somebody waits for a slot. */
export interface Wait {
  /** On the clock of `performance.now()`. It tries at least once. */
  readonly until: number;
  readonly signal: Ending;
  /** Receives work that goes on after the call, and that the next call waits for. */
  readonly background: Background;
}

export interface ContendOptions extends ClaimOptions {
  readonly prefix: string;
  /** Creates a session, or takes an idle one, within that time. */
  readonly openSession: (until: number) => Promise<SessionLease>;
}

/** A slot that was acquired. */
export interface Holding {
  readonly kind: "held";
  readonly claim: Claim;
  /** The index of the write that made its session a holder. */
  readonly index: bigint;
}

/**
 * How long an aborted wait may clean up before it rejects: usually a few milliseconds are enough, and a
 * process that exits right after leaves nothing behind.
 */
export const ABORT_GRACE_MS = 100;

/**
 * How long each step on the way into the queue is retried. In the queue, a waiter survives an outage of any
 * length; but if nothing has ever worked, the caller wants to know why.
 */
export const STEP_PATIENCE_MS = 15_000;

/** A waiter that loses its entry repeatedly enters again after growing pauses. */
const REENTRY_PAUSES = { first: 50, longest: 5_000 };

/**
 * Acquires a slot (Go: `Acquire`). Resolves to the standing of the waiter if the time is over before. It
 * cleans up before it throws.
 *
 * @throws the signal's reason, or why it cannot have a slot
 */
export async function contend(
  queue: Queue,
  options: ContendOptions,
  wait: Wait,
): Promise<Holding | TooLate> {
  const { signal, background } = wait;
  const pauses = new Backoff(REENTRY_PAUSES);
  const tryUntil = Math.max(wait.until, performance.now() + SHORTEST_TRY_MS);
  let hasEntered = false;
  let enterUntil: number | undefined;
  const stepUntil = (): number =>
    hasEntered ? tryUntil : Math.min(tryUntil, enterUntil ?? performance.now() + STEP_PATIENCE_MS);
  for (;;) {
    signal.throwIfAborted();
    const claim = new Claim(queue, await options.openSession(stepUntil()), options);
    let outcome: WaitOutcome = "gone";
    try {
      // The signal does not cut writes off: an unknown outcome takes more cleaning up than a known one.
      signal.throwIfAborted();
      // Another session, if this one ends on the way, has what is left of that time.
      enterUntil ??= stepUntil();
      const index = await claim.joinAtOnce(stepUntil(), signal);
      signal.throwIfAborted();
      if (index !== undefined) {
        outcome = claim.lease.checkLost() ? "gone" : index;
      } else if (await claim.enter(stepUntil(), signal)) {
        hasEntered = true;
        const {
          prefix,
          limits: { limit },
        } = options;
        const { session } = claim;
        outcome = await traced(waitChannel, { prefix, limit, where: "consul", session }, () =>
          claim.wait(wait.until, signal),
        );
        signal.throwIfAborted();
      }
      if (typeof outcome === "bigint") return { kind: "held", claim, index: outcome };
    } catch (error) {
      const cleanUp = claim.cleanUp();
      background(cleanUp.finished);
      await cleanUp.within(signal.aborted ? ABORT_GRACE_MS : CLEAN_UP_GRACE_MS).catch(ignore);
      throw signal.aborted ? signal.reason : error;
    }
    const cleanUp = claim.cleanUp();
    background(cleanUp.finished);
    if (outcome !== "gone") {
      await cleanUp.within(ABORT_GRACE_MS).catch(ignore);
      return outcome;
    }
    const left = wait.until - performance.now();
    const { own } = claim.lease;
    const patience =
      left <= 0 ? ABORT_GRACE_MS : Math.min(left, own ? CLEAN_UP_GRACE_MS : Infinity);
    await cleanUp.within(patience).catch(ignore);
    // A timer may come a moment early. With the same session, the next claim must not meet a cleanup that
    // still goes on.
    const isInTime = (own || cleanUp.isOver) && performance.now() < wait.until;
    if (!isInTime) return { kind: "too late", standing: undefined };
    await sleep(Math.min(pauses.next(), wait.until - performance.now()), signal);
  }
}

function ignore(): void {
  // It has its own outcome to report.
}
