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
const PAUSE_PER_CONTENDER_MS = 0.4;

/**
 * A longer pause would be felt by whoever has misjudged the queue. And if all before us are dead,
 * those behind us give us up by the clock: we may hear of a free slot later than they, but not by as
 * much as they wait for us.
 */
const LONGEST_PAUSE_MS = 100;

/** From so many on that come first, that all of them are dead is no more a thing to reckon with. */
const FAR = 10;
const LONGEST_FAR_PAUSE_MS = 250;

/**
 * A free slot is given a certain time, and those who wait for it had better agree on when that
 * began: the sooner one may come to try, the sooner it has to know.
 */
const FREE_SLOT_PAUSE_MS = 20;

/** The next look comes when the queue has moved up by so much of what is still to come before us. */
const SHARE_OF_THE_WAY = 0.75;

/** One move is several changes: who is next need not look at each, nor be late for its turn. */
const SHARE_OF_A_MOVE = 0.25;
const LONGEST_GATHERING_MS = 4;

/** For holders only: a loss is to be told within a second. */
const HOLDERS_PAUSE_MS = 200;

/**
 * How long to let changes gather before the next look, in milliseconds. Where the next slot comes
 * from a release of our own, which passes it on by itself, a look only has to show who came
 * meanwhile. Else what counts is how far the first of our waiters still has to move up.
 */
export function pauseBeforeLook(outlook: QueueOutlook): number {
  const { contenders, waits, ahead, othersHold, isAnyFree, msPerMove } = outlook;
  if (!waits) return HOLDERS_PAUSE_MS;
  const bound = ahead < FAR ? LONGEST_PAUSE_MS : LONGEST_FAR_PAUSE_MS;
  const longest = isAnyFree ? Math.min(Math.max(ahead, 1) * FREE_SLOT_PAUSE_MS, bound) : bound;
  if (ahead > 1) return Math.min((ahead - 1) * msPerMove * SHARE_OF_THE_WAY, longest);
  if (othersHold) return Math.min(msPerMove * SHARE_OF_A_MOVE, LONGEST_GATHERING_MS);
  return Math.min(contenders * PAUSE_PER_CONTENDER_MS, longest);
}
