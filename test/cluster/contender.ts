import type { Interval } from "../integration/intervals.js";

/** One who takes turns in the semaphore under test for as long as it may. */
export interface Contender {
  readonly who: string;
  /** Its turns so far. */
  readonly turns: readonly Interval[];
  /** Calls that rejected and were made again, in words. */
  readonly refusals: readonly string[];
  /** Lets it end its turn and come to its own end; resolves to its exit code. */
  end(): Promise<number | null>;
  /** Ends it at once, if it is still there. */
  kill(): void;
}
