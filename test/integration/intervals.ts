import { z } from "zod";

/** From when to when somebody was inside; nanoseconds on the clock that all processes share. */
export interface Interval {
  readonly who: string;
  readonly entered: bigint;
  readonly left: bigint;
}

const recordSchema = z
  .tuple([z.string(), z.string().regex(/^\d+$/), z.string().regex(/^\d+$/)])
  .transform(([who, entered, left]): Interval => ({
    who,
    entered: BigInt(entered),
    left: BigInt(left),
  }));

/** Reads the records of many processes: a line `who entered left` for each turn. */
export function parseIntervals(text: string): Interval[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => recordSchema.parse(line.split(" ")));
}

/** How many were inside at the same instant, at most. Who leaves as another enters is out. */
export function mostAtOnce(intervals: readonly Interval[]): number {
  const events = intervals.flatMap(({ entered, left }) => [
    { at: entered, change: 1 },
    { at: left, change: -1 },
  ]);
  events.sort((a, b) => Number(a.at - b.at) || a.change - b.change);
  let inside = 0;
  let most = 0;
  for (const { change } of events) {
    inside += change;
    most = Math.max(most, inside);
  }
  return most;
}
