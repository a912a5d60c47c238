import { LogScale } from "./log-scale.js";
import { element, label, path } from "./markup.js";
import { axes, dots, ticksOf, type Frame, type Who } from "./panel.js";

/** A rate for a number of contenders; undefined where it failed. */
export interface RatePoint {
  readonly contenders: number;
  readonly rate: number | undefined;
}

export interface RatePanel {
  readonly title: string;
  readonly ours: readonly RatePoint[];
  /** Missing where the original was not measured. */
  readonly go: readonly RatePoint[] | undefined;
  readonly acrossLabel: string;
  /** What no semaphore can exceed, and what that is. */
  readonly floor: { readonly rate: number; readonly text: string } | undefined;
}

/** Rates against the number of contenders, both on logarithmic scales. */
export function ratePanel(panel: RatePanel, frame: Frame): string[] {
  const { title, ours, go, acrossLabel, floor } = panel;
  if (ours.length === 0) return [];
  const counts = ours.map(({ contenders }) => contenders);
  const across = new LogScale(
    Math.min(...counts),
    Math.max(...counts, 2),
    frame.left + 14,
    frame.right - 22,
  );
  const rates = [...ours, ...(go ?? []), { rate: floor?.rate }].flatMap(({ rate }) =>
    rate === undefined ? [] : [rate],
  );
  const up = LogScale.around(
    // With room for the number below the lowest point, and for the words above the floor.
    [...rates.flatMap((rate) => [rate, rate / 1.6]), ...(floor ? [floor.rate * 1.3] : [])],
    frame.bottom,
    frame.top,
  );
  const floorY = floor === undefined ? -Infinity : up.place(floor.rate);
  const pointsOf = (given: readonly RatePoint[]) =>
    given.flatMap(({ contenders, rate }) =>
      rate === undefined ? [] : [{ x: across.place(contenders), y: up.place(rate), rate }],
    );
  const ourPoints = pointsOf(ours);
  // Each number on its own side of the lines, which lie one above the other; but not on the floor's.
  const isByFloor = ourPoints.some(({ y }) => y - floorY < 24);
  const numberY = (who: Who, point: { readonly x: number; readonly y: number }): number => {
    if (who === "ours") return point.y + (isByFloor ? 18 : -9);
    // Below ours, where that has the place.
    const isTaken = ({ x, y }: typeof point) => x === point.x && Math.abs(y - point.y) < 14;
    return point.y + (isByFloor && ourPoints.some(isTaken) ? 34 : 18);
  };
  const line = (who: Who, given: readonly RatePoint[]): string[] => {
    const points = pointsOf(given);
    const places = points.map(({ x, y }): [number, number] => [x, y]);
    return [
      path(places, `line ${who}`),
      dots(places, who),
      element(
        "g",
        { "text-anchor": "middle" },
        ...points.map(({ x, y, rate }) =>
          label(rate.toFixed(rate < 10 ? 1 : 0), x, numberY(who, { x, y }), { look: who }),
        ),
      ),
    ];
  };
  return [
    ...axes(frame, {
      title,
      notes: [
        { who: "ours", text: `this library${failureNote(ours)}` },
        ...(go === undefined
          ? []
          : [{ who: "go", text: `the Go original${failureNote(go)}` } as const]),
      ],
      across: counts.map((count) => ({ place: across.place(count), text: String(count) })),
      acrossLabel,
      up: ticksOf(up),
    }),
    ...(floor === undefined ? [] : floorLine(frame, floorY, floor.text)),
    ...line("go", go ?? []),
    ...line("ours", ours),
  ];
}

function floorLine({ left, right }: Frame, y: number, text: string): string[] {
  return [
    path(
      [
        [left, y],
        [right, y],
      ],
      "floor",
    ),
    label(text, right, y - 6, { anchor: "end" }),
  ];
}

function failureNote(points: readonly RatePoint[]): string {
  const counts = points
    .filter(({ rate }) => rate === undefined)
    .map(({ contenders }) => contenders);
  return counts.length === 0 ? "" : `, which fails with ${counts.join(" and ")}`;
}
