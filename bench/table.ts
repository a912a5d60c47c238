import { failureOf, figuresOf, ratioToGo, type Figures } from "./figures.js";
import type { ScenarioResult, Showing } from "./results.js";
import { brief, textRow, type Column } from "./text-row.js";
import type { Outcome } from "./trial.js";

const columns: readonly Column[] = [
  { title: "scenario", width: 16 },
  { title: "", width: 6 },
  { title: "cycles/s", width: 9 },
  { title: "x Go", width: 6 },
  { title: "p50 ms", width: 8 },
  { title: "p99 ms", width: 8 },
  { title: "max ms", width: 8 },
  { title: "max/p50", width: 8 },
  { title: "passed", width: 7 },
  { title: "requests", width: 9 },
  { title: "writes", width: 7 },
  { title: "read B", width: 9 },
  { title: "sent B", width: 8 },
  { title: "conns", width: 6 },
  { title: "CPU ms", width: 7 },
  { title: "Consul", width: 7 },
  { title: "MB", width: 5 },
];

export const legend = [
  "passed: the share of waits during which somebody who came more than 2 ms later got in earlier.",
  "requests, writes, bytes and both CPU times (its own, and Consul's) are for one cycle.",
  "ours: a semaphore for each contender. runs: as many runs at once of one semaphore.",
  "writes: two KV writes a turn, around a queue in memory, which is all that a turn could need.",
  "conns: the most connections at a time. MB: the peak of its memory, all its processes together.",
];

export function header(): string {
  return row(columns.map(({ title }) => title));
}

/** A line for each program. */
export function linesOf(result: ScenarioResult): string[] {
  const { scenario, ours, runs, go, inMemory } = result;
  return [
    line(scenario.name, "ours", ours, ratioToGo(result)),
    ...(runs === undefined ? [] : [line("", "runs", runs, undefined)]),
    ...(go === undefined ? [] : [line("", "Go", go, undefined)]),
    ...(inMemory?.kind === "measured"
      ? [row(["", "writes", ...timeCells(inMemory, undefined)])]
      : []),
  ];
}

/** A line for what two writes cost. */
export function lineOfTwoWrites(bed: string, outcome: Outcome): string {
  if (outcome.kind === "failed") return `${bed}: two KV writes fail: ${outcome.reason}`;
  return (
    `${bed}: two KV writes by one client, one after the other: ` +
    `${outcome.cyclesPerSecond.toFixed(0)} times a second`
  );
}

function line(name: string, who: string, showing: Showing, ratio: number | undefined): string {
  const figures = figuresOf(showing);
  if (figures === undefined) {
    const { connections } = showing.wire;
    return `${row([name, who])} fails, with ${connections} connections: ${failureOf(showing) ?? ""}`;
  }
  const { overtaken, clientCpuPerCycle, consulCpuPerCycle } = figures;
  return row([
    ...[name, who, ...timeCells(figures, ratio)],
    `${(100 * overtaken).toFixed(0)} %`,
    ...wireCells(showing),
    brief(clientCpuPerCycle),
    consulCpuPerCycle === null ? "?" : brief(consulCpuPerCycle),
    (figures.peakRssBytes / 2 ** 20).toFixed(0),
  ]);
}

function timeCells(
  { cyclesPerSecond, acquire, longestOverMedian }: Figures,
  ratio: number | undefined,
): string[] {
  return [
    brief(cyclesPerSecond),
    ratio === undefined ? "" : ratio.toFixed(1),
    ...[brief(acquire.p50), brief(acquire.p99), brief(acquire.max)],
    longestOverMedian.toFixed(1),
  ];
}

function wireCells({ wire }: Showing): string[] {
  if (wire.kind === "failed") return ["failed", "", "", "", String(wire.connections)];
  const { requests, writes, bytesRead, bytesWritten, connections } = wire;
  return [
    ...[requests.toFixed(1), writes.toFixed(1)],
    ...[bytesRead.toFixed(0), bytesWritten.toFixed(0), String(connections)],
  ];
}

function row(cells: readonly string[]): string {
  return textRow(columns, cells);
}
