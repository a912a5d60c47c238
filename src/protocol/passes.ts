import type { ContenderEntry } from "./snapshot.js";

/** How often a waiter was passed, and until when nobody waits for it. It may still take a free slot. */
export interface Pass {
  readonly times: number;
  readonly until: number;
}

/** What is known of waiters that somebody behind them has passed. */
export interface KnownPasses {
  /** By the create indexes of their entries. */
  readonly passed: ReadonlyMap<bigint, Pass>;
  /**
   * A waiter that became a holder, and when. Those ahead of it count as gone. If the next reading still
   * shows one of them, that one was passed.
   */
  readonly lastTurn: { readonly createIndex: bigint; readonly at: number } | undefined;
}

/** A slow waiter is waited for again soon; a dead one after twice as long each time. In milliseconds. */
const FIRST_PASS_MS = 5_000;
const LONGEST_PASS_MS = 60_000;

/** Whether the waiters behind this one wait for it. */
export function isWaitedFor(
  { passed }: Pick<KnownPasses, "passed">,
  { createIndex }: ContenderEntry,
  now: number,
): boolean {
  return passed.size === 0 || now >= (passed.get(createIndex)?.until ?? -Infinity);
}

/**
 * Whether it is time to read who is still ahead of the last new holder: a waiter that was only slow is
 * waited for again after the time of a pass.
 */
export function isLastTurnLongAgo(
  { lastTurn }: Pick<KnownPasses, "lastTurn">,
  now: number,
): boolean {
  return lastTurn !== undefined && now >= lastTurn.at + FIRST_PASS_MS;
}

/** The passes after these waiters were passed as well. */
export function withPasses(
  { passed }: Pick<KnownPasses, "passed">,
  waiters: readonly ContenderEntry[],
  now: number,
): ReadonlyMap<bigint, Pass> {
  const passes = new Map(passed);
  for (const { createIndex } of waiters) {
    const { times, until } = passed.get(createIndex) ?? { times: 0, until: -Infinity };
    // As long as nobody waits for it, it is not passed again.
    if (now < until) continue;
    const lasts = Math.min(FIRST_PASS_MS * 2 ** times, LONGEST_PASS_MS);
    passes.set(createIndex, { times: times + 1, until: now + lasts });
  }
  return passes;
}

/** The passes of the contenders that still wait. */
export function passesOf(
  known: KnownPasses,
  waiters: readonly ContenderEntry[],
): ReadonlyMap<bigint, Pass> {
  const { lastTurn } = known;
  const passed =
    lastTurn === undefined
      ? known.passed
      : withPasses(
          known,
          waiters.filter(({ createIndex }) => createIndex < lastTurn.createIndex),
          lastTurn.at,
        );
  if (passed.size === 0) return passed;
  const present = new Set(waiters.map(({ createIndex }) => createIndex));
  return new Map([...passed].filter(([createIndex]) => present.has(createIndex)));
}
