import type { FleetResults } from "../fleet/fleet-results.js";
import { figuresOf, type FleetResult } from "../fleet/fleet-result.js";
import { LIMIT } from "../scenario.js";
import { figure, panels } from "./figure.js";
import type { Frame } from "./panel.js";
import { ratePanel } from "./rate-panel.js";

/** Cycles per second against the number of clients, without a hold and with one. */
export function fleetFigure({ machine, results }: FleetResults): string {
  return figure(
    "A fleet: acquire and release, cycles per second",
    `Limit ${LIMIT}, one waiter in each client, a dev agent. ` +
      `${machine.cpu}, ${machine.cores} cores; Node ${machine.node}, Consul ${machine.consul}.`,
    [
      ...panel(results, { title: "No hold", holdMs: 0 }, panels[0]),
      ...panel(results, { title: "Held for 20 ms", holdMs: 20 }, panels[1]),
    ],
  );
}

function panel(
  results: readonly FleetResult[],
  { title, holdMs }: { readonly title: string; readonly holdMs: number },
  frame: Frame,
): string[] {
  const own = results.filter(
    ({ fleet }) => fleet.holdMs === holdMs && fleet.limit === LIMIT && fleet.processes === 1,
  );
  const go = own.flatMap(({ fleet, go: rounds }) =>
    rounds === undefined
      ? []
      : [{ contenders: fleet.clients, rate: figuresOf(fleet, rounds)?.cyclesPerSecond }],
  );
  const floor = own.find((result) => result.floor !== undefined)?.floor;
  return ratePanel(
    {
      title,
      ours: own.map(({ fleet, ours }) => ({
        contenders: fleet.clients,
        rate: figuresOf(fleet, ours)?.cyclesPerSecond,
      })),
      go: go.length === 0 ? undefined : go,
      acrossLabel: "clients",
      floor:
        floor === undefined ? undefined : { rate: floor, text: "two KV writes, a queue in memory" },
    },
    frame,
  );
}
