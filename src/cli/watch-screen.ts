import { standingsIn, type Standing } from "./changes.js";
import type { PrefixView } from "./prefix-view.js";
import { drawChart, markCell, markOf, type ChartRow, type Share } from "./screen/chart.js";
import { Screen, type Size } from "./screen/screen.js";
import { seconds } from "./screen/seconds.js";
import { styled, type StyledLine } from "./screen/styled-line.js";
import { symbolsFor, type Mark } from "./screen/symbols.js";
import { summaryOf, tableOf, type Sessions } from "./table.js";
import type { WatchView } from "./watch-view.js";

const MARKS: Readonly<Record<Standing["state"], Mark>> = {
  holding: "holding",
  waiting: "waiting",
  dead: "abandoned",
};

const SPAN_MS = 60_000;
const TICKS_MS = [-60_000, -40_000, -20_000];
const FRAME_MS = 1_000;
const LABEL_WIDTH = 20;

/** What a session did in the time that the chart shows. */
interface Row {
  readonly label: string;
  readonly shares: readonly (Share & Pick<Standing, "index">)[];
}

/** Draws the holders and the waiters, and their last minute, again and again. */
export class WatchScreen implements WatchView {
  readonly #prefix: string;
  readonly #screen = new Screen(process.stdout);
  readonly #symbols = symbolsFor(process.env);
  readonly #startedAt = performance.now();
  readonly #timer = setInterval(() => {
    this.#draw();
  }, FRAME_MS);
  readonly #rows = new Map<string, Row>();
  #view: PrefixView | undefined;
  #sessions: Sessions = new Map();
  #problem = "";

  constructor(prefix: string) {
    this.#prefix = prefix;
    process.stdout.on("resize", () => {
      this.#draw();
    });
  }

  update(view: PrefixView, sessions: Sessions): void {
    // What is there at the beginning may have been there for long.
    const now = this.#view === undefined ? this.#startedAt : performance.now();
    this.#view = view;
    this.#sessions = sessions;
    this.#problem = "";
    const values = new Map(
      [...view.holders, ...view.waiters].map(({ session, value }) => [session, value]),
    );
    const standings = standingsIn(view);
    for (const session of new Set([...this.#rows.keys(), ...standings.keys()])) {
      const row = this.#rows.get(session);
      const label = values.get(session) ?? row?.label ?? "";
      const shares = next(row?.shares ?? [], standings.get(session), now);
      if (shares.length > 0) this.#rows.set(session, { label, shares });
      else this.#rows.delete(session);
    }
    this.#draw();
  }

  outage(problem: string): void {
    this.#problem = problem;
    this.#draw();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#screen.close((size) => this.#picture(size));
  }

  #draw(): void {
    this.#screen.draw((size) => this.#picture(size));
  }

  #picture({ width, height }: Size): StyledLine[] {
    if (this.#view === undefined) return [];
    const now = performance.now();
    const table = tableOf(this.#view, this.#sessions, [
      "SINCE",
      ({ session }) => this.#since(session, now),
    ]);
    const lines: StyledLine[] = [
      [styled(summaryOf(this.#prefix, this.#view), "strong")],
      [this.#problem === "" ? styled("Ctrl-C ends", "faint") : styled(this.#problem, "alarm")],
      ...table.map((line) => [styled(line)]),
      [],
      ...this.#chart(width, now),
    ];
    if (lines.length <= height) return lines;
    const left = lines.length - height + 1;
    return [...lines.slice(0, height - 1), [styled(`and ${left} lines more`, "faint")]];
  }

  /** How long this view has seen it so; with a sign that it was so before. */
  #since(session: string, now: number): string {
    const from = this.#rows.get(session)?.shares.at(-1)?.from ?? now;
    return `${from === this.#startedAt ? "> " : ""}${seconds(now - from, 0)}`;
  }

  #chart(width: number, now: number): StyledLine[] {
    const cellOf = (mark: Mark) => markCell(mark, this.#symbols);
    const rows = [...this.#rows].map(([session, { label, shares }]): ChartRow => {
      return {
        label: label || session,
        cell: (stretch) => cellOf(markOf(shares, stretch)),
        status: [],
      };
    });
    const layout = {
      ...{ width, labelWidth: LABEL_WIDTH, statusWidth: 5, now },
      span: { from: now - SPAN_MS, to: now },
      ticks: TICKS_MS.map((ms) => ({ at: now + ms, text: seconds(ms, 0) })),
    };
    return [
      ...drawChart(rows, layout, this.#symbols, [styled("now", "faint")]),
      [
        ...[cellOf("holding"), styled(" holds  "), cellOf("waiting"), styled(" waits  ")],
        ...[cellOf("abandoned"), styled(" dead, its slot not yet free")],
      ],
    ];
  }
}

/** The shares of a row from now on, without those that have left the chart. */
function next(shares: Row["shares"], standing: Standing | undefined, now: number): Row["shares"] {
  const last = shares.at(-1);
  const mark = standing && MARKS[standing.state];
  const goesOn = last?.to === Infinity && last.mark === mark && last.index === standing?.index;
  const ended = shares.map((share) => ({
    ...share,
    to: Math.min(share.to, goesOn ? share.to : now),
  }));
  return [
    ...ended.filter(({ to }) => to > now - SPAN_MS),
    ...(standing === undefined || mark === undefined || goesOn
      ? []
      : [{ mark, index: standing.index, from: now, to: Infinity }]),
  ];
}
