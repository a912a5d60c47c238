import {
  drawChart,
  markCell,
  markOf,
  type ChartRow,
  type Share,
  type Stretch,
} from "../../../src/cli/screen/chart.js";
import { seconds } from "../../../src/cli/screen/seconds.js";
import {
  abandonedSlots,
  mostAtOnce,
  takenSlotsOf,
  type AbandonedSlot,
  type Hold,
} from "./slot-usage.js";
import {
  flow,
  styled,
  type StyledLine,
  type StyledText,
  type Tone,
} from "../../../src/cli/screen/styled-line.js";
import type { Mark, Symbols } from "../../../src/cli/screen/symbols.js";
import {
  silencesOf,
  spanAt,
  spansOf,
  turnsOf,
  type Lane,
  type Span,
  type Timeline,
} from "./timeline.js";

const LABEL_WIDTH = 6;
const STATUS_WIDTH = 18;

const TICK_MS = 5_000;

export interface ChartSize {
  readonly width: number;
  /** The time from the left edge to the right. */
  readonly spanMs: number;
}

/** A row for each worker, with time running to the right, and one for the slots. */
export function chartOf(
  timeline: Timeline,
  now: number,
  { width, spanMs }: ChartSize,
  symbols: Symbols,
): StyledLine[] {
  const abandoned = abandonedSlots(timeline);
  const taken = takenSlotsOf(timeline);
  const lanes = timeline.lanes.map((lane): ChartRow => {
    const shares = sharesOf(lane, abandoned);
    return {
      label: lane.worker,
      cell: (stretch) => markCell(markOf(shares, stretch), symbols),
      status: statusOf(lane, abandoned, now),
    };
  });
  const slots: ChartRow = {
    label: "slots",
    cell: (stretch) => slotCell(taken, timeline.limit, stretch),
    status: [styled(`${mostAtOnce(taken, now, now)} of ${timeline.limit} taken`)],
  };
  const layout = {
    ...{ width, labelWidth: LABEL_WIDTH, statusWidth: STATUS_WIDTH, now },
    span: { from: 0, to: spanMs },
    ticks: Array.from({ length: Math.ceil(spanMs / TICK_MS) }, (_, tick) => ({
      at: tick * TICK_MS,
      text: seconds(tick * TICK_MS, 0),
    })),
  };
  const head = [styled("now       turns", "faint")];
  return drawChart([...lanes, slots], layout, symbols, head);
}

/** Explains each character of the chart. */
export function legendOf(limit: number, width: number, symbols: Symbols): StyledLine[] {
  const entries: readonly [Mark, string][] = [
    ["holding", "holds"],
    ["waiting", "waits"],
    ["silent", "holds, network silent"],
    ["signalled", "told it is lost"],
    ["killed", "killed"],
    ["abandoned", "slot not yet free"],
    ["successor", "takes it"],
    ["gone", "gone"],
  ];
  const numbers = `0-${Math.min(limit, 9)}`;
  return flow(
    [
      ...entries.map(([mark, meaning]) => [markCell(mark, symbols), styled(` ${meaning}  `)]),
      [styled(numbers, "strong"), styled(" slots taken  ")],
    ],
    width,
  );
}

/** What to show of a lane when. */
function sharesOf(lane: Lane, abandoned: readonly AbandonedSlot[]): Share[] {
  const own = abandoned.filter(({ worker }) => worker === lane.worker);
  const silences = silencesOf(lane);
  return [
    ...spansOf(lane).flatMap((span) => sharesOfSpan(span, silences, own)),
    ...own.map(({ cause, at }): Share => {
      return { mark: cause === "is killed" ? "killed" : "signalled", from: at, to: at };
    }),
    ...own.map((slot): Share => ({ mark: "abandoned", from: slot.at, to: freedAt(slot) })),
    ...abandoned.flatMap(({ takenOver }): Share[] =>
      takenOver?.worker === lane.worker
        ? [{ mark: "successor", from: takenOver.at, to: takenOver.at }]
        : [],
    ),
  ];
}

function sharesOfSpan(
  { activity, from, to }: Span,
  silences: readonly Stretch[],
  abandoned: readonly AbandonedSlot[],
): Share[] {
  if (activity === "holding") {
    const silence = silences.find((stretch) => stretch.from < to && stretch.to > from);
    const silentFrom = Math.max(from, silence?.from ?? to);
    const silentTo = Math.min(to, silence?.to ?? to);
    return [
      { mark: "holding", from, to: silentFrom },
      { mark: "silent", from: silentFrom, to: silentTo },
      { mark: "holding", from: silentTo, to },
    ];
  }
  // What it does while its slot is not yet free is not shown.
  const free = Math.max(from, ...abandoned.filter(({ at }) => at <= from).map(freedAt));
  return [{ mark: activity === "dead" ? "gone" : activity, from: free, to }];
}

function freedAt({ takenOver }: AbandonedSlot): number {
  return takenOver?.at ?? Infinity;
}

function slotCell(taken: readonly Hold[], limit: number, { from, to }: Stretch): StyledText {
  if (from >= to) return styled(" ");
  const count = mostAtOnce(taken, from, to);
  const tone = count > limit ? "alarm" : count === limit ? "strong" : "faint";
  return styled(count > 9 ? "+" : String(count), tone);
}

function statusOf(lane: Lane, abandoned: readonly AbandonedSlot[], now: number): StyledLine {
  const status = (text: string, tone: Tone): StyledLine => [
    styled(text.padEnd(10), tone),
    styled(String(turnsOf(lane)).padStart(5)),
  ];
  const silence = silencesOf(lane).find(({ from, to }) => from <= now && now < to);
  if (silence !== undefined) return status(`mute ${seconds(now - silence.from)}`, "alarm");
  const { activity, from } = spanAt(lane, now);
  switch (activity) {
    case "holding":
      return status("holds", "holding");
    case "waiting":
      return status("waits", "waiting");
    case "dead": {
      const slot = abandoned.find(({ worker, at }) => worker === lane.worker && at === from);
      return slot !== undefined && now < freedAt(slot)
        ? status(`dead ${seconds(now - from)}`, "alarm")
        : status("dead", "faint");
    }
    case "resting":
      return status("rests", "faint");
    case "gone":
      return status("has left", "faint");
  }
}
