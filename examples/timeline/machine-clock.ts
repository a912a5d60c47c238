/**
 * Milliseconds on the monotonic clock that all processes of a machine share. `performance.now()`
 * would not do: it counts from the start of its own process.
 */
export function machineNow(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}
