import type { LogScale } from "./log-scale.js";
import { element, label, lines } from "./markup.js";

export type Who = "ours" | "go";

export interface Frame {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** A tick of an axis. */
export interface Tick {
  readonly place: number;
  readonly text: string;
}

export interface Axes {
  readonly title: string;
  /** What is said about each, above the panel. */
  readonly notes: readonly { readonly who: Who; readonly text: string }[];
  readonly across: readonly Tick[];
  readonly acrossLabel: string;
  readonly up: readonly Tick[];
}

/** The panel's frame: all of it but what it shows. */
export function axes(frame: Frame, { title, notes, across, acrossLabel, up }: Axes): string[] {
  const { left, right, top, bottom } = frame;
  return [
    label(title, left, top - 62, { look: "title" }),
    ...notes.flatMap(({ who, text }, index) => {
      const y = top - 42 + 18 * index;
      return [dots([[left + 5, y - 4]], who), label(text, left + 16, y, { look: who })];
    }),
    lines(
      [
        ...up.map(({ place }) => [left, place, right, place] as const),
        ...across.map(({ place }) => [place, bottom, place, bottom + 5] as const),
      ],
      "grid",
    ),
    element(
      "g",
      { "text-anchor": "end" },
      ...up.map(({ place, text }) => label(text, left - 8, place + 4)),
    ),
    element(
      "g",
      { "text-anchor": "middle" },
      ...across.map(({ place, text }) => label(text, place, bottom + 18)),
    ),
    label(acrossLabel, right, bottom + 34, { anchor: "end" }),
  ];
}

export function ticksOf(scale: LogScale): Tick[] {
  return scale.ticks.map((tick) => ({
    place: scale.place(tick),
    text: tick.toLocaleString("en", { maximumFractionDigits: 3 }),
  }));
}

/** Lines without a length, whose round ends are what is seen of them. */
export function dots(points: readonly (readonly [number, number])[], who: Who): string {
  return lines(
    points.map(([x, y]) => [x, y, x, y]),
    `dots ${who}`,
  );
}
