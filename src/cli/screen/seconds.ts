/** Milliseconds as people read them, such as `4.9 s`. */
export function seconds(ms: number, digits = 1): string {
  return `${(ms / 1_000).toFixed(digits)} s`;
}
