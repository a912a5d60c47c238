import type { Turn } from "./load/load-report.js";

// Two calls at nearly the same time may reach Consul in either order.
const raceMs = 2;

/**
 * The share of turns that were passed: somebody who asked more than 2 ms later got in earlier. Who
 * got in earlier is told by the fencing tokens, and where not all have one by the clock, which is
 * less exact: there it takes another 2 ms.
 */
export function shareOvertaken(turns: readonly Turn[]): number {
  if (turns.length === 0) return 0;
  const haveTokens = turns.every(([, , , token]) => token !== null);
  const slack = haveTokens ? 0 : raceMs;
  const order = turns
    .map(([asked, began, , token]) => ({ asked, entered: haveTokens ? (token ?? began) : began }))
    .sort((a, b) => a.entered - b.entered);
  let passed = 0;
  let latestAsked = -Infinity;
  let next = 0;
  for (const turn of order) {
    for (; ; next += 1) {
      const earlier = order[next];
      if (earlier === undefined || earlier.entered + slack >= turn.entered) break;
      latestAsked = Math.max(latestAsked, earlier.asked);
    }
    if (latestAsked > turn.asked + raceMs) passed += 1;
  }
  return passed / turns.length;
}
