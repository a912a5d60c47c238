import { figuresOf } from "../figures.js";
import type { Results } from "../results.js";
import { contendersOf, LIMIT, type Bed } from "../scenario.js";
import { figure, panels } from "./figure.js";
import type { Frame, Who } from "./panel.js";
import { ratePanel, type RatePoint } from "./rate-panel.js";

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
  const outcome = results.twoWrites[bed];
  const pointsOf = (who: Who): readonly RatePoint[] =>
    own.flatMap((result) => {
      const showing = result[who];
      return showing === undefined
        ? []
        : [
            {
              contenders: contendersOf(result.scenario),
              rate: figuresOf(showing)?.cyclesPerSecond,
            },
          ];
    });
  const go = pointsOf("go");
  return ratePanel(
    {
      title: titles[bed],
      ours: pointsOf("ours"),
      go: go.length === 0 ? undefined : go,
      acrossLabel: "contenders",
      floor:
        outcome?.kind === "measured"
          ? { rate: outcome.cyclesPerSecond, text: "two KV writes, one after the other" }
          : undefined,
    },
    frame,
  );
}
