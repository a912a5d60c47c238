import { cpus, totalmem } from "node:os";

/** What the figures were measured on. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly node: string;
  readonly consul: string;
  /** Why there is none, where there is none. */
  readonly go: string;
}

export function describeMachine(consul: string, go: string): Machine {
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() ?? "unknown",
    cores: all.length,
    memoryBytes: totalmem(),
    node: process.version,
    consul,
    go,
  };
}
