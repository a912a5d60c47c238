export type Bed = "dev" | "cluster";

/** The limit of the semaphore in all scenarios. */
export const LIMIT = 2;

export interface Scenario {
  /** `BED:CONTENDERS:HOLD`, where CONTENDERS is a number or PROCESSESxNUMBER. */
  readonly name: string;
  readonly bed: Bed;
  readonly processes: number;
  readonly contendersPerProcess: number;
  readonly holdMs: number;
}

const crews = [
  { processes: 1, contendersPerProcess: 1 },
  { processes: 1, contendersPerProcess: 8 },
  { processes: 1, contendersPerProcess: 32 },
  { processes: 1, contendersPerProcess: 100 },
  { processes: 1, contendersPerProcess: 300 },
  { processes: 10, contendersPerProcess: 10 },
];

export const beds: readonly Bed[] = ["dev", "cluster"];

export const scenarios: readonly Scenario[] = beds.flatMap((bed) =>
  [0, 20].flatMap((holdMs) =>
    crews.map(({ processes, contendersPerProcess }) => ({
      name: `${bed}:${crewName(processes, contendersPerProcess)}:${holdMs}`,
      bed,
      processes,
      contendersPerProcess,
      holdMs,
    })),
  ),
);

export function contendersOf({ processes, contendersPerProcess }: Scenario): number {
  return processes * contendersPerProcess;
}

/** Whether many wait in one process, where not everybody has a slot at once. */
export function isCrowd({ processes, contendersPerProcess }: Scenario): boolean {
  return processes === 1 && contendersPerProcess >= 8;
}

function crewName(processes: number, contenders: number): string {
  return processes === 1 ? String(contenders) : `${processes}x${contenders}`;
}
