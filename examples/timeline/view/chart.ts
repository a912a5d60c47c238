import { seconds } from "../../../src/cli/screen/seconds.js";
import {
  abandonedSlots,
  mostAtOnce,
  takenSlotsOf,
  type AbandonedSlot,
  type Hold,
} from "./slot-usage.js";
import { flow, styled, type StyledLine, type StyledText, type Tone } from "../../../src/cli/screen/styled-line.js";
import type { Mark, Symbols } from "../../../src/cli/screen/symbols.js";
import {
  silencesOf,
  spanAt,
  spansOf,
  turnsOf,
  type Lane,
  type Span,
  type Stretch,
  type Timeline,
} from "./timeline.js";

const TONES: Readonly<Record<Mark, Tone>> = {
  resting: "plain",
  waiting: "waiting",
  holding: "holding",
  silent: "alarm",
  signalled: "strong",
  killed: "alarm",
  abandoned: "alarm",
  heir: "strong",
  gone: "faint",
};

/** What is shown however short it is. */
const MOMENTS: readonly Mark[] = ["killed", "signalled", "heir"];

const LABEL_WIDTH = 6;
const STATUS_WIDTH = 18;

/** Below this, what room there is goes to the chart. */
const STATUS_FROM_WIDTH = 60;

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
  const withStatus = width >= STATUS_FROM_WIDTH;
  const columns = Math.max(1, width - LABEL_WIDTH - (withStatus ? STATUS_WIDTH : 0));
  const stretches = Array.from({ length: columns }, (_, column) => ({
    from: (column * spanMs) / columns,
    to: Math.min(((column + 1) * spanMs) / columns, now),
  }));
  const row = (label: string, chart: StyledLine, status: StyledLine): StyledLine => [
    styled(label.padEnd(LABEL_WIDTH), "strong"),
    ...chart,
    ...(withStatus ? [styled("  "), ...status] : []),
  ];
  const abandoned = abandonedSlots(timeline);
  const taken = takenSlotsOf(timeline);
  const ticks = styled(axis(columns, spanMs, symbols.tick), "faint");
  return [
    row("", [ticks], [styled("now       turns", "faint")]),
    ...timeline.lanes.map((lane) => {
      const shares = sharesOf(lane, abandoned);
      const cells = stretches.map((stretch) => cell(markOf(shares, stretch), symbols));
      return row(lane.worker, cells, statusOf(lane, abandoned, now));
    }),
    row(
      "slots",
      stretches.map((stretch) => slotCell(taken, timeline.limit, stretch)),
      [styled(`${mostAtOnce(taken, now, now)} of ${timeline.limit} taken`)],
    ),
  ];
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
    ["heir", "takes it"],
    ["gone", "gone"],
  ];
  const numbers = `0-${Math.min(limit, 9)}`;
  return flow(
    [
      ...entries.map(([mark, meaning]) => [cell(mark, symbols), styled(` ${meaning}  `)]),
      [styled(numbers, "strong"), styled(" slots taken  ")],
    ],
    width,
  );
}

function cell(mark: Mark, { cells }: Symbols): StyledText {
  return styled(cells[mark], TONES[mark]);
}

function axis(columns: number, spanMs: number, tick: string): string {
  let line = "";
  for (let at = 0; at < spanMs; at += TICK_MS) {
    const column = Math.round((at / spanMs) * columns);
    const label = tick + seconds(at, 0);
    // A label that would run into the one before, or out of the chart, is left out.
    if (column >= line.length && column + label.length <= columns) {
      line = line.padEnd(column) + label;
    }
  }
  return line.padEnd(columns);
}

interface Share extends Stretch {
  readonly mark: Mark;
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
        ? [{ mark: "heir", from: takenOver.at, to: takenOver.at }]
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

/** A moment of note within the stretch of time, or else what goes on for most of it. */
function markOf(shares: readonly Share[], { from, to }: Stretch): Mark {
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
