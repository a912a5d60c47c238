import { figuresOf } from "../figures.js";
import type { Results, ScenarioResult, Showing } from "../results.js";
import { contendersOf, LIMIT, type Bed } from "../scenario.js";
import { figure, panels } from "./figure.js";
import { LogScale } from "./log-scale.js";
import { label, path } from "./markup.js";
import { axes, dots, ticksOf, type Frame, type Who } from "./panel.js";

const titles: Record<Bed, string> = {
  dev: "A dev agent",
  cluster: "Three servers, raft on disk",
};

/** Cycles per second against the number of contenders in one process. */
export function throughputFigure(results: Results): string {
  const { machine } = results;
  return figure(
    "Acquire and release, cycles per second",
    `Limit ${LIMIT}, all contenders in one process. ` +
      `${machine.cpu}, ${machine.cores} cores; Node ${machine.node}, Consul ${machine.consul}.`,
    [...panel(results, "dev", panels[0]), ...panel(results, "cluster", panels[1])],
  );
}

function panel(results: Results, bed: Bed, frame: Frame): string[] {
  const own = results.scenarios.filter(
    ({ scenario }) => scenario.bed === bed && scenario.holdMs === 0 && scenario.processes === 1,
  );
  if (own.length === 0) return [];
  const outcome = results.twoWrites[bed];
  const floor = outcome?.kind === "measured" ? outcome.cyclesPerSecond : undefined;
  const counts = own.map(({ scenario }) => contendersOf(scenario));
  const across = new LogScale(
    Math.min(...counts),
    Math.max(...counts, 2),
    frame.left + 14,
    frame.right - 22,
  );
  const rates = own.flatMap(({ ours, go }) => [rateOf(ours), rateOf(go)]);
  const up = LogScale.around(
    // With room for the number below the lowest point.
    [
      ...[...rates, floor].flatMap((rate) => (rate === undefined ? [] : [rate, rate / 1.6])),
      // And with room for the words above the floor.
      ...(floor === undefined ? [] : [floor * 1.3]),
    ],
    frame.bottom,
    frame.top,
  );
  const line = (who: Who): string[] => {
    const points = own.flatMap((result) => {
      const rate = rateOf(result[who]);
      const x = across.place(contendersOf(result.scenario));
      return rate === undefined ? [] : [{ x, y: up.place(rate), rate }];
    });
    const floorY = floor === undefined ? -Infinity : up.place(floor);
    const isByFloor = points.some(({ y }) => y - floorY < 24);
    const places = points.map(({ x, y }): [number, number] => [x, y]);
    return [
      path(places, `line ${who}`),
      ...dots(places, who),
      ...points.map(({ x, y, rate }) =>
        // Each on its own side of the lines, which lie one above the other; but not on the floor's.
        label(rate.toFixed(rate < 10 ? 1 : 0), x, y + (who === "ours" && !isByFloor ? -9 : 18), {
          anchor: "middle",
          look: who,
        }),
      ),
    ];
  };
  return [
    ...axes(frame, {
      title: titles[bed],
      notes: [
        { who: "ours", text: `this library${failureNote(own, "ours")}` },
        ...(own.some(({ go }) => go !== undefined)
          ? [{ who: "go", text: `the Go original${failureNote(own, "go")}` } as const]
          : []),
      ],
      across: counts.map((count) => ({ place: across.place(count), text: String(count) })),
      acrossLabel: "contenders",
      up: ticksOf(up),
    }),
    ...(floor === undefined ? [] : floorLine(frame, up.place(floor))),
    ...line("go"),
    ...line("ours"),
  ];
}

function floorLine({ left, right }: Frame, y: number): string[] {
  return [
    path(
      [
        [left, y],
        [right, y],
      ],
      "floor",
    ),
    label("two KV writes, one after the other", right, y - 6, { anchor: "end" }),
  ];
}

function failureNote(own: readonly ScenarioResult[], who: Who): string {
  const counts = own
    .filter((result) => result[who] !== undefined && rateOf(result[who]) === undefined)
    .map(({ scenario }) => contendersOf(scenario));
  return counts.length === 0 ? "" : `, which fails with ${counts.join(" and ")}`;
}

function rateOf(showing: Showing | undefined): number | undefined {
  return showing === undefined ? undefined : figuresOf(showing)?.cyclesPerSecond;
}
