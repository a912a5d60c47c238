import { styled, type StyledLine, type StyledText, type Tone } from "./styled-line.js";
import type { Mark, Symbols } from "./symbols.js";

/** A stretch of time. */
export interface Stretch {
  readonly from: number;
  /** `Infinity` while it lasts. */
  readonly to: number;
}

/** What to show of a row when. */
export interface Share extends Stretch {
  readonly mark: Mark;
}

export interface ChartRow {
  readonly label: string;
  /** What to show of a stretch of time. */
  readonly cell: (stretch: Stretch) => StyledText;
  readonly status: StyledLine;
}

export interface ChartLayout {
  readonly width: number;
  readonly labelWidth: number;
  /** For what is right of the chart; in a narrow terminal it is left out. */
  readonly statusWidth: number;
  /** The time from the left edge to the right. */
  readonly span: Stretch;
  /** What is later is not drawn. */
  readonly now: number;
  readonly ticks: readonly { readonly at: number; readonly text: string }[];
}

/** Below this, what room there is goes to the chart. */
const STATUS_FROM_WIDTH = 60;

const TONES: Readonly<Record<Mark, Tone>> = {
  resting: "plain",
  waiting: "waiting",
  holding: "holding",
  silent: "alarm",
  signalled: "strong",
  killed: "alarm",
  abandoned: "alarm",
  successor: "strong",
  gone: "faint",
};

/** What is shown however short it is. */
const MOMENTS: readonly Mark[] = ["killed", "signalled", "successor"];

/** Rows with time running to the right, below an axis. `head` is above what is right of the chart. */
export function drawChart(
  rows: readonly ChartRow[],
  { width, labelWidth, statusWidth, span, now, ticks }: ChartLayout,
  { tick }: Symbols,
  head: StyledLine,
): StyledLine[] {
  const withStatus = width >= STATUS_FROM_WIDTH;
  const columns = Math.max(1, width - labelWidth - (withStatus ? statusWidth : 0));
  const timeAt = (column: number): number => span.from + (column * (span.to - span.from)) / columns;
  const stretches = Array.from({ length: columns }, (_, column) => ({
    from: timeAt(column),
    to: Math.min(timeAt(column + 1), now),
  }));
  const row = (label: string, chart: StyledLine, status: StyledLine): StyledLine => [
    styled(label.slice(0, labelWidth - 1).padEnd(labelWidth), "strong"),
    ...chart,
    ...(withStatus ? [styled("  "), ...status] : []),
  ];
  let axis = "";
  for (const { at, text } of ticks) {
    const column = Math.round(((at - span.from) / (span.to - span.from)) * columns);
    const label = tick + text;
    // A label that would run into the one before, or out of the chart, is left out.
    if (column >= axis.length && column + label.length <= columns) {
      axis = axis.padEnd(column) + label;
    }
  }
  return [
    row("", [styled(axis.padEnd(columns), "faint")], head),
    ...rows.map(({ label, cell, status }) => row(label, stretches.map(cell), status)),
  ];
}

/** A moment of note within the stretch of time, or else what goes on for most of it. */
export function markOf(shares: readonly Share[], { from, to }: Stretch): Mark {
  const moment = shares.find(
    (share) => MOMENTS.includes(share.mark) && share.from >= from && share.from < to,
  );
  if (moment !== undefined) return moment.mark;
  const [longest] = shares
    .map((share) => ({
      mark: share.mark,
      ms: Math.min(share.to, to) - Math.max(share.from, from),
    }))
    .filter(({ ms }) => ms > 0)
    .toSorted((one, other) => other.ms - one.ms);
  return longest?.mark ?? "resting";
}

export function markCell(mark: Mark, { cells }: Symbols): StyledText {
  return styled(cells[mark], TONES[mark]);
}
