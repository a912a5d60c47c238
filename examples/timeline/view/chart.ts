import { seconds } from "./seconds.js";
import {
  mostAtOnce,
  orphanedSlot,
  takenSlotsOf,
  type Hold,
  type OrphanedSlot,
} from "./slot-usage.js";
import { flow, styled, type StyledLine, type StyledText, type Tone } from "./styled-line.js";
import { activityAt, spansOf, turnsOf, type Lane, type Timeline } from "./timeline.js";

/** What a cell of the chart shows. */
type Mark = "resting" | "waiting" | "holding" | "killed" | "orphaned" | "heir" | "gone";

/** A stretch of time. */
interface Stretch {
  readonly from: number;
  readonly to: number;
}

const CELLS: Readonly<Record<Mark, StyledText>> = {
  resting: styled(" "),
  waiting: styled("░", "waiting"),
  // Not quite as high as the line, so that two rows don't run into one another.
  holding: styled("▇", "holding"),
  killed: styled("✗", "alarm"),
  orphaned: styled("▒", "alarm"),
  heir: styled("»", "strong"),
  gone: styled("·", "faint"),
};

/** What is shown however short it is. */
const MOMENTS: readonly Mark[] = ["killed", "heir"];

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
  const orphan = orphanedSlot(timeline);
  const taken = takenSlotsOf(timeline);
  return [
    row("", [styled(axis(columns, spanMs), "faint")], [styled("now       turns", "faint")]),
    ...timeline.lanes.map((lane) => {
      const shares = sharesOf(lane, orphan);
      const cells = stretches.map((stretch) => CELLS[markOf(shares, stretch)]);
      return row(lane.worker, cells, statusOf(lane, shares, now));
    }),
    row(
      "slots",
      stretches.map((stretch) => slotCell(taken, timeline.limit, stretch)),
      [styled(`${mostAtOnce(taken, now, now)} of ${timeline.limit} taken`)],
    ),
  ];
}

export function legendOf(width: number): StyledLine[] {
  const entries: readonly [Mark, string][] = [
    ["holding", "holds"],
    ["waiting", "waits"],
    ["killed", "killed"],
    ["orphaned", "dead, its slot still taken"],
    ["heir", "takes it over"],
  ];
  return flow(
    entries.map(([mark, meaning]) => [CELLS[mark], styled(` ${meaning}  `)]),
    width,
  );
}

function axis(columns: number, spanMs: number): string {
  let line = "";
  for (let at = 0; at < spanMs; at += TICK_MS) {
    const column = Math.round((at / spanMs) * columns);
    const label = `│${seconds(at, 0)}`;
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
function sharesOf(lane: Lane, orphan: OrphanedSlot | undefined): Share[] {
  const takenOver = orphan?.takenOver;
  const shares = spansOf(lane).flatMap(({ activity, from, to }): Share[] => {
    if (activity !== "dead") return [{ mark: activity, from, to }];
    const freed = orphan === undefined ? from : (takenOver?.at ?? Infinity);
    return [
      { mark: "killed", from, to: from },
      { mark: "orphaned", from, to: freed },
      { mark: "gone", from: freed, to },
    ];
  });
  return takenOver?.worker === lane.worker
    ? [...shares, { mark: "heir", from: takenOver.at, to: takenOver.at }]
    : shares;
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

function statusOf(lane: Lane, shares: readonly Share[], now: number): StyledLine {
  const status = (text: string, tone: Tone): StyledLine => [
    styled(text.padEnd(10), tone),
    styled(String(turnsOf(lane)).padStart(5)),
  ];
  switch (activityAt(lane, now)) {
    case "holding":
      return status("holds", "holding");
    case "waiting":
      return status("waits", "waiting");
    case "dead": {
      const orphaned = shares.find(({ mark, to }) => mark === "orphaned" && now < to);
      return orphaned === undefined
        ? status("dead", "faint")
        : status(`dead ${seconds(now - orphaned.from)}`, "alarm");
    }
    case "resting":
      return status("rests", "faint");
    case "gone":
      return status("has left", "faint");
  }
}
