import { figuresOf, failureOf, ratioToGo } from "./figures.js";
import type { Results, ScenarioResult, Showing } from "./results.js";
import { beds, contendersOf, isCrowd, LIMIT, type Bed } from "./scenario.js";
import { percent } from "./text-row.js";
import type { Verdict } from "./verdict.js";

const ratioGoals = [
  { crew: "1", atLeast: 2.5 },
  { crew: "8", atLeast: 3 },
  { crew: "32", atLeast: 10 },
  { crew: "100", atLeast: 40 },
  { crew: "10x10", atLeast: 20 },
];

/** Counts differ a little from one second to the next, whatever they count. */
const tolerance = 1.1;

/** The goals about which the results say something. */
export function judge(results: Results): Verdict[] {
  return beds.flatMap((bed) => {
    const own = results.scenarios.filter(({ scenario }) => scenario.bed === bed);
    return [
      ...ratios(bed, own),
      ...many(bed, own),
      ...runs(bed, own),
      ...steadiness(bed, own),
      ...heldShare(bed, own),
      ...longestWait(bed, own),
      ...wire(bed, own),
    ];
  });
}

function ratios(bed: Bed, own: readonly ScenarioResult[]): Verdict[] {
  return ratioGoals.flatMap(({ crew, atLeast }) => {
    const result = find(own, `${bed}:${crew}:0`);
    if (result?.go === undefined) return [];
    const ratio = ratioToGo(result);
    return {
      goal: `${result.scenario.name}: at least ${atLeast} times as many cycles as Go`,
      found: ratio === undefined ? failedIn(result) : `${ratio.toFixed(1)} times`,
      met: ratio !== undefined && ratio >= atLeast,
    };
  });
}

function many(bed: Bed, own: readonly ScenarioResult[]): Verdict[] {
  const result = find(own, `${bed}:300:0`);
  if (result === undefined) return [];
  const { connections } = result.ours.wire;
  const failure = failureOf(result.ours);
  return [
    {
      goal: `${result.scenario.name}: works, with at most 10 connections`,
      found: `${connections} connections${failure === undefined ? "" : `, and fails: ${failure}`}`,
      met: failure === undefined && result.ours.wire.kind === "counted" && connections <= 10,
    },
  ];
}

function runs(bed: Bed, own: readonly ScenarioResult[]): Verdict[] {
  const result = find(own, `${bed}:100:0`);
  if (result?.runs === undefined) return [];
  const perSecond = (showing: Showing): number => figuresOf(showing)?.cyclesPerSecond ?? NaN;
  const share = perSecond(result.runs) / perSecond(result.ours);
  const { wire } = result.runs;
  const { writes, requests } = wire.kind === "counted" ? wire : { writes: NaN, requests: NaN };
  return [
    {
      goal: `${bed}: 100 runs of one semaphore make as many cycles as 100 semaphores`,
      found: percent(share),
      met: share >= 1,
    },
    {
      goal: `${bed}: 100 runs of one semaphore cost at most 1.5 writes and 3 requests a cycle`,
      found: `${writes.toFixed(2)} writes, ${requests.toFixed(2)} requests`,
      met: writes <= 1.5 && requests <= 3,
    },
  ];
}

function steadiness(bed: Bed, own: readonly ScenarioResult[]): Verdict[] {
  const [few, lots] = [find(own, `${bed}:8:0`), find(own, `${bed}:100:0`)];
  if (few === undefined || lots === undefined) return [];
  const ofFew = figuresOf(few.ours)?.cyclesPerSecond ?? NaN;
  const ofLots = figuresOf(lots.ours)?.cyclesPerSecond ?? NaN;
  return [
    {
      goal: `${bed}: with 100 contenders at least half the cycles of 8`,
      found: percent(ofLots / ofFew),
      met: ofLots >= ofFew / 2,
    },
  ];
}

function heldShare(bed: Bed, own: readonly ScenarioResult[]): Verdict[] {
  const ideal = (LIMIT * 1_000) / 20;
  const shares = crowd(own, 100)
    .filter(({ scenario }) => scenario.holdMs === 20)
    .map(({ scenario, ours }) => ({
      name: scenario.name,
      value: (figuresOf(ours)?.cyclesPerSecond ?? NaN) / ideal,
    }));
  const least = extreme(shares, (a, b) => a < b);
  if (least === undefined) return [];
  const inMemory = find(own, least.name)?.inMemory;
  return [
    {
      goal: `${bed}: with a hold of 20 ms at least 85 % of what that allows, 8 to 100 contenders`,
      found:
        `${percent(least.value)} (${least.name})` +
        (inMemory?.kind === "measured"
          ? `; with a queue in memory before two KV writes ${percent(inMemory.cyclesPerSecond / ideal)}`
          : ""),
      met: least.value >= 0.85,
    },
  ];
}

function longestWait(bed: Bed, own: readonly ScenarioResult[]): Verdict[] {
  const waits = crowd(own, 100).map(({ scenario, ours }) => ({
    name: scenario.name,
    value: figuresOf(ours)?.longestOverMedian ?? NaN,
  }));
  const longest = extreme(waits, (a, b) => a > b);
  if (longest === undefined) return [];
  const inMemory = find(own, longest.name)?.inMemory;
  return [
    {
      goal: `${bed}: the longest wait at most 3 times the median, 8 to 100 contenders`,
      found:
        `${longest.value.toFixed(1)} times (${longest.name})` +
        (inMemory?.kind === "measured"
          ? `; of a queue in memory before two KV writes ${inMemory.longestOverMedian.toFixed(1)} times`
          : ""),
      met: longest.value <= 3,
    },
  ];
}

function wire(bed: Bed, own: readonly ScenarioResult[]): Verdict[] {
  const counts = crowd(own, 300)
    .filter(({ scenario }) => scenario.holdMs === 0)
    .map(({ scenario, ours }) => ({
      contenders: contendersOf(scenario),
      bytes: ours.wire.kind === "counted" ? ours.wire.bytesRead : NaN,
      requests: ours.wire.kind === "counted" ? ours.wire.requests : NaN,
      renewals: ours.wire.kind === "counted" ? renewalsIn(ours.wire.requestsByKind) : NaN,
    }));
  const [first] = counts;
  if (first === undefined || counts.length < 2) return [];
  const show = (value: (count: (typeof counts)[number]) => string): string =>
    counts.map((count) => `${value(count)} at ${count.contenders}`).join(", ");
  return [
    {
      goal: `${bed}: bytes read per cycle grow no faster than the number of contenders`,
      found: show(({ bytes }) => (Number.isNaN(bytes) ? "failed" : bytes.toFixed(0))),
      met: counts.slice(1).every(({ contenders, bytes }, index) => {
        const smaller = counts[index];
        if (smaller === undefined) return false;
        return bytes / smaller.bytes <= (tolerance * contenders) / smaller.contenders;
      }),
    },
    {
      goal: `${bed}: requests per cycle don't grow with the number of contenders, from 8 on`,
      found:
        show(({ requests }) => (Number.isNaN(requests) ? "failed" : requests.toFixed(2))) +
        // Each session is renewed so often in a second, however many cycles fit into it.
        `; of these renewals ${show(({ renewals }) => renewals.toFixed(2))}`,
      met: counts.every(({ requests }) => requests <= tolerance * first.requests),
    },
  ];
}

function renewalsIn(requestsByKind: Readonly<Record<string, number>>): number {
  return requestsByKind["PUT /v1/session/renew/ID"] ?? 0;
}

function crowd(own: readonly ScenarioResult[], most: number): ScenarioResult[] {
  return own.filter(({ scenario }) => isCrowd(scenario) && contendersOf(scenario) <= most);
}

interface Named {
  readonly name: string;
  readonly value: number;
}

/** The one before all others, and what could not be measured before that. */
function extreme(
  values: readonly Named[],
  before: (a: number, b: number) => boolean,
): Named | undefined {
  return values.reduce<Named | undefined>(
    (best, next) =>
      best === undefined || Number.isNaN(next.value) || before(next.value, best.value)
        ? next
        : best,
    undefined,
  );
}

function failedIn({ ours, go }: ScenarioResult): string {
  const reason = failureOf(ours);
  if (reason !== undefined) return `fails: ${reason}`;
  return `Go fails: ${go === undefined ? "" : (failureOf(go) ?? "")}`;
}

function find(own: readonly ScenarioResult[], name: string): ScenarioResult | undefined {
  return own.find(({ scenario }) => scenario.name === name);
}
