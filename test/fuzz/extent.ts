import { inject } from "vitest";

declare module "vitest" {
  export interface ProvidedContext {
    /** How many answers each test gives; a run with more gives those of a run with fewer as well. */
    fuzzAnswers: number;
  }
}

export const fuzzAnswers = inject("fuzzAnswers");

/** What is generated is the same in each run, so that a red one can be repeated; `FUZZ_SEED` is for others. */
export const fuzzSeed = Number(process.env["FUZZ_SEED"] ?? 1);
