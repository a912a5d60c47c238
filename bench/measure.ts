import type { ConsulBinary } from "../test/harness/consul-binary.js";
import type { GoOriginal } from "./go-original.js";
import type { NodePrograms } from "./node-programs.js";
import type { Options } from "./options.js";
import type { Program } from "./program.js";
import type { ScenarioResult, Showing } from "./results.js";
import { beds, contendersOf, isCrowd, type Bed, type Scenario } from "./scenario.js";
import { startTestBed, type TestBed } from "./test-bed.js";
import { runTrial, type Outcome, type TrialPlan } from "./trial.js";
import { countWire } from "./wire/count-wire.js";

export interface Equipment {
  readonly binary: ConsulBinary;
  readonly programs: NodePrograms;
  readonly original: GoOriginal;
  readonly options: Options;
  /** Told each scenario when it is done. */
  readonly tell: (result: ScenarioResult) => void;
}

export interface Measured {
  readonly scenarios: readonly ScenarioResult[];
  readonly twoWrites: Partial<Record<Bed, Outcome>>;
}

export async function measure(equipment: Equipment): Promise<Measured> {
  const results: ScenarioResult[] = [];
  const twoWrites: Partial<Record<Bed, Outcome>> = {};
  for (const name of beds) {
    const chosen = equipment.options.scenarios.filter(({ bed }) => bed === name);
    if (chosen.length === 0) continue;
    const bed = await startTestBed(name, equipment.binary);
    try {
      twoWrites[name] = await measureTwoWrites(equipment, bed, name);
      for (const scenario of chosen) {
        const result = await measureScenario(equipment, bed, scenario);
        equipment.tell(result);
        results.push(result);
      }
    } finally {
      await bed.stop();
    }
  }
  return { scenarios: results, twoWrites };
}

function measureTwoWrites(
  { programs, options }: Equipment,
  testBed: TestBed,
  bed: Bed,
): Promise<Outcome> {
  const scenario = {
    ...{ name: `${bed}:two-writes`, bed, holdMs: 0 },
    ...{ processes: 1, contendersPerProcess: 1 },
  };
  const { measureMs } = options;
  return runTrial({ scenario, program: programs.writes, bed: testBed, measureMs });
}

async function measureScenario(
  { programs, original, options }: Equipment,
  bed: TestBed,
  scenario: Scenario,
): Promise<ScenarioResult> {
  const plan = (program: Program): TrialPlan => {
    return { scenario, program, bed, measureMs: lengthOf(scenario, options) };
  };
  const ours = plan(programs.semaphore);
  const go = "program" in original ? plan(original.program) : undefined;
  const runs = isCrowd(scenario) ? plan(programs.runs) : undefined;
  const ourRounds: Outcome[] = [];
  const runRounds: Outcome[] = [];
  const goRounds: Outcome[] = [];
  // In turn, so that what slows the machine for a while slows both.
  for (let round = 0; round < roundsOf(scenario, options); round += 1) {
    if (!hasFailed(ourRounds)) ourRounds.push(await runTrial(ours));
    if (runs !== undefined && !hasFailed(runRounds)) runRounds.push(await runTrial(runs));
    if (go !== undefined && !hasFailed(goRounds)) goRounds.push(await runTrial(go));
  }
  const count = async (trial: TrialPlan, rounds: Outcome[]): Promise<Showing> => {
    // What goes over the wire differs little from one moment to the next.
    const measureMs = trial.measureMs / 2;
    return { rounds, wire: await countWire(programs.proxy, { ...trial, measureMs }) };
  };
  return {
    scenario,
    ours: await count(ours, ourRounds),
    ...(go === undefined ? {} : { go: await count(go, goRounds) }),
    ...(runs === undefined ? {} : { runs: await count(runs, runRounds) }),
    ...(isCrowd(scenario) ? { inMemory: await runTrial(plan(programs.writes)) } : {}),
  };
}

/** What has failed once is not tried again: it may take long to fail. */
function hasFailed(rounds: readonly Outcome[]): boolean {
  return rounds.some(({ kind }) => kind === "failed");
}

/**
 * With a hold, the figures are compared with what the hold allows, which takes no more rounds; and
 * what Go does in the cluster takes long.
 */
function roundsOf({ holdMs, bed }: Scenario, { rounds }: Options): number {
  if (holdMs > 0) return 1;
  return bed === "dev" ? rounds : Math.min(2, rounds);
}

/** Where many wait for each other, it takes longer to see enough turns. */
function lengthOf(scenario: Scenario, { measureMs }: Options): number {
  return contendersOf(scenario) >= 100 ? 2 * measureMs : measureMs;
}
