import { ascending, quantile } from "../statistics.js";

/** When `performance.now()` was 0, by an edge of the system's clock. */
function originByAnEdge(): number {
  const before = Date.now();
  let edge = before;
  while (edge === before) edge = Date.now();
  return edge - performance.now();
}

const origin = quantile(ascending(Array.from({ length: 9 }, originByAnEdge)), 0.5);

/**
 * Milliseconds since 1970, for a comparison between processes. `performance.timeOrigin` does not do: on
 * a busy machine a process may be interrupted while it is taken.
 */
export function wallClock(): number {
  return origin + performance.now();
}
