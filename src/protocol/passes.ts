import type { ContenderEntry } from "./snapshot.js";

/** How often a waiter was passed, and until when nobody waits for it. It may take a slot all the time. */
export interface Pass {
  readonly times: number;
  readonly until: number;
}

/** What is known of waiters that have let somebody behind them go first. */
export interface KnownPasses {
  /** By the create indexes of their entries. */
  readonly passed: ReadonlyMap<bigint, Pass>;
  /**
   * A waiter that became a holder, and when. Those ahead of it are taken for gone: should the next
   * reading still show one, it has let that waiter go first.
   */
  readonly lastTurn: { readonly createIndex: bigint; readonly at: number } | undefined;
}

/** One that was only slow is waited for again soon; one that is dead, after twice as long each time. */
const FIRST_PASS_MS = 5_000;
const LONGEST_PASS_MS = 60_000;

/** Whether others wait for a waiter that is ahead of them. */
export function isWaitedFor(
  { passed }: Pick<KnownPasses, "passed">,
  { createIndex }: ContenderEntry,
  now: number,
): boolean {
  return passed.size === 0 || now >= (passed.get(createIndex)?.until ?? -Infinity);
}

/**
 * Whether it is time to see who is still ahead of the last that became a holder: one that was only slow
 * is waited for again after the time of a pass.
 */
export function isLastTurnLongAgo(
  { lastTurn }: Pick<KnownPasses, "lastTurn">,
  now: number,
): boolean {
  return lastTurn !== undefined && now >= lastTurn.at + FIRST_PASS_MS;
}

/** The passes, once these waiters have let somebody go first as well. */
export function withPasses(
  { passed }: Pick<KnownPasses, "passed">,
  waiters: readonly ContenderEntry[],
  now: number,
): ReadonlyMap<bigint, Pass> {
  const passes = new Map(passed);
  for (const { createIndex } of waiters) {
    const { times, until } = passed.get(createIndex) ?? { times: 0, until: -Infinity };
    // While nobody waits for it, it is not passed a second time.
    if (now < until) continue;
    const lasts = Math.min(FIRST_PASS_MS * 2 ** times, LONGEST_PASS_MS);
    passes.set(createIndex, { times: times + 1, until: now + lasts });
  }
  return passes;
}

/** The passes of those that still wait: one that holds has let nobody go first. */
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
