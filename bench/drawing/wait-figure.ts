import { figuresOf, type Figures } from "../figures.js";
import type { Results, Showing } from "../results.js";
import { LIMIT } from "../scenario.js";
import { figure, panels } from "./figure.js";
import { LogScale } from "./log-scale.js";
import { path } from "./markup.js";
import { axes, ticksOf, type Frame, type Who } from "./panel.js";

/** How long `acquire` takes: the share of the calls that are done within a time. */
export function waitFigure(results: Results): string {
  const { machine } = results;
  return figure(
    "How long acquire takes: share of the calls done within a time",
    `Limit ${LIMIT}, no hold, all contenders in one process, a dev agent. ` +
      `${machine.cpu}, ${machine.cores} cores; Node ${machine.node}, Consul ${machine.consul}.`,
    [...panel(results, 8, panels[0]), ...panel(results, 100, panels[1])],
  );
}

function panel(results: Results, contenders: number, frame: Frame): string[] {
  const found = results.scenarios.find(({ scenario }) => scenario.name === `dev:${contenders}:0`);
  if (found === undefined) return [];
  const shown = [
    ...curveOf("ours", "this library", found.ours),
    ...curveOf("go", "the Go original", found.go),
  ];
  if (shown.length === 0) return [];
  const across = LogScale.around(
    shown.flatMap(({ figures }) => figures.acquireCurve),
    frame.left,
    frame.right,
  );
  const height = (share: number): number => frame.bottom - share * (frame.bottom - frame.top);
  return [
    ...axes(frame, {
      title: `${contenders} contenders`,
      notes: shown.map(({ who, name, figures: { acquire } }) => ({
        who,
        text: `${name}: median ${inWords(acquire.p50)}, longest ${inWords(acquire.max)}`,
      })),
      across: ticksOf(across),
      acrossLabel: "ms",
      up: [0, 0.25, 0.5, 0.75, 1].map((share) => ({
        place: height(share),
        text: `${100 * share} %`,
      })),
    }),
    ...shown.toReversed().map(({ who, figures: { acquireCurve } }) => {
      const points = acquireCurve.map((ms, index): [number, number] => [
        across.place(ms),
        height(index / (acquireCurve.length - 1)),
      ]);
      return path(points, `line ${who}`);
    }),
  ];
}

interface Curve {
  readonly who: Who;
  readonly name: string;
  readonly figures: Figures;
}

function curveOf(who: Who, name: string, showing: Showing | undefined): Curve[] {
  const figures = showing === undefined ? undefined : figuresOf(showing);
  return figures === undefined ? [] : [{ who, name, figures }];
}

function inWords(ms: number): string {
  return ms < 1_000 ? `${ms.toPrecision(ms < 100 ? 2 : 3)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
