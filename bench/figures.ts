import type { ScenarioResult, Showing } from "./results.js";
import { median } from "./statistics.js";
import type { TrialSummary } from "./trial-summary.js";

/** What the rounds of a program come to: of each figure the median. */
export type Figures = TrialSummary;

/** Nothing, if it failed in any round: then it does not work there. */
export function figuresOf({ rounds }: Showing): Figures | undefined {
  const summaries = rounds.filter((round) => round.kind === "measured");
  if (summaries.length < rounds.length || summaries.length === 0) return undefined;
  const of = (figure: (summary: TrialSummary) => number): number => median(summaries.map(figure));
  return {
    cycles: of(({ cycles }) => cycles),
    cyclesSeen: of(({ cyclesSeen }) => cyclesSeen),
    cyclesPerSecond: of(({ cyclesPerSecond }) => cyclesPerSecond),
    acquire: {
      p50: of(({ acquire }) => acquire.p50),
      p99: of(({ acquire }) => acquire.p99),
      max: of(({ acquire }) => acquire.max),
    },
    acquireCurve: (summaries[0]?.acquireCurve ?? []).map((_, index) =>
      of(({ acquireCurve }) => acquireCurve[index] ?? NaN),
    ),
    longestOverMedian: of(({ longestOverMedian }) => longestOverMedian),
    overtaken: of(({ overtaken }) => overtaken),
    clientCpuPerCycle: of(({ clientCpuPerCycle }) => clientCpuPerCycle),
    consulCpuPerCycle: summaries.some(({ consulCpuPerCycle }) => consulCpuPerCycle === null)
      ? null
      : of(({ consulCpuPerCycle }) => consulCpuPerCycle ?? NaN),
    peakRssBytes: of(({ peakRssBytes }) => peakRssBytes),
  };
}

/** The first of the reasons why it failed, if it did. */
export function failureOf({ rounds }: Showing): string | undefined {
  return rounds.find((round) => round.kind === "failed")?.reason;
}

/** How many times the original's cycles ours makes: the median of the rounds' ratios. */
export function ratioToGo({ ours, go }: ScenarioResult): number | undefined {
  const ratios = ours.rounds.flatMap((our, round) => {
    const its = go?.rounds[round];
    return our.kind === "measured" && its?.kind === "measured"
      ? [our.cyclesPerSecond / its.cyclesPerSecond]
      : [];
  });
  return ratios.length === 0 || ratios.length < ours.rounds.length ? undefined : median(ratios);
}
