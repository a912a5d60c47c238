import { LIMIT } from "../scenario.js";

/** Many clients, each with one waiter, at one semaphore. */
export interface Fleet {
  /** `CLIENTSxHOLD[xLIMIT][/PROCESSES]`: with the limit and the processes where they are not the usual. */
  readonly name: string;
  readonly clients: number;
  readonly holdMs: number;
  readonly limit: number;
  /** Into how many processes our clients are divided; Go's are in one. */
  readonly processes: number;
}

export const fleets: readonly Fleet[] = [
  ...["1x0", "8x0", "32x0", "100x0", "300x0", "1000x0"],
  ...["8x20", "32x20", "100x20", "300x20", "300x20x10"],
  ...["8x200", "100x200", "100x200x10"],
  ...["100x0/10", "50x0/50", "50x20/50"],
].map(parseFleet);

/** @throws Error for a name that is not one. */
export function parseFleet(name: string): Fleet {
  const [, clients, holdMs, limit = LIMIT, processes = 1] =
    /^([1-9]\d*)x(\d+)(?:x([1-9]\d*))?(?:\/([1-9]\d*))?$/.exec(name) ?? [];
  if (clients === undefined || holdMs === undefined) {
    throw new Error(
      `a fleet is CLIENTSxHOLD[xLIMIT][/PROCESSES], such as 32x20 or 50x0/50, not ${name}`,
    );
  }
  return {
    name,
    ...{ clients: Number(clients), holdMs: Number(holdMs) },
    ...{ limit: Number(limit), processes: Number(processes) },
  };
}

/** The cycles per second if a slot were taken in the moment in which it is released. */
export function idealCyclesPerSecond({ limit, holdMs }: Fleet): number {
  return (limit * 1_000) / holdMs;
}

/** How many clients each process has. */
export function clientsPerProcess({ clients, processes }: Fleet): number[] {
  const used = Math.min(clients, processes);
  return Array.from(
    { length: used },
    (_, index) => Math.floor(clients / used) + (index < clients % used ? 1 : 0),
  );
}
