/** What is generated is the same in each run, so that a red one can be repeated; `FUZZ_SEED` is for others. */
export const fuzzSeed = Number(process.env["FUZZ_SEED"] ?? 1);
