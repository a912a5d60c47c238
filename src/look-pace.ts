/** What decides how soon the next look at a prefix is worth its cost. */
export interface QueueOutlook {
  /** How many contenders a look lists. */
  readonly contenders: number;
  /** Whether anybody here waits. */
  readonly waits: boolean;
  /** How many of others' waiters come before the first of ours. */
  readonly ahead: number;
  /** Whether others have slots, whose end only a look can tell. */
  readonly othersHold: boolean;
  /** Whether a slot is free that nobody has taken yet. */
  readonly isAnyFree: boolean;
  /** How long the queue takes to move up by one, in milliseconds, as far as that is known. */
  readonly msPerMove: number;
}

/** A look of a long list costs both sides about this much, in milliseconds for each contender. */
const PAUSE_PER_CONTENDER_MS = 0.25;

/** A longer pause would be felt by whoever has misjudged the queue. */
const LONGEST_PAUSE_MS = 100;

/** A free slot is given a certain time; all had better agree on when that began. */
const FREE_SLOT_PAUSE_MS = 20;

/** For holders only: a loss is to be told within a second. */
const HOLDERS_PAUSE_MS = 200;

/**
 * How long to let changes gather before the next look, in milliseconds. Where the next slot comes
 * from a release of our own, which passes it on by itself, a look only has to show who came
 * meanwhile. Else what counts is how far the first of our waiters still has to move up: each look
 * comes at about half of the time that this should take.
 */
export function pauseBeforeLook(outlook: QueueOutlook): number {
  const { contenders, waits, ahead, othersHold, isAnyFree, msPerMove } = outlook;
  const longest = isAnyFree ? FREE_SLOT_PAUSE_MS : LONGEST_PAUSE_MS;
  const gathering = Math.min(contenders * PAUSE_PER_CONTENDER_MS, longest);
  if (!waits) return HOLDERS_PAUSE_MS;
  if (ahead > 0) return Math.min((ahead * msPerMove) / 2, longest);
  return othersHold ? 0 : gathering;
}
