import type { Profiler } from "node:inspector";

import { expect, test } from "vitest";

import { cpuSharesOf } from "../../../../bench/fleet/cpu-shares.js";

/** A function of a profile, how many samples were taken in it, and what it has called. */
interface Called {
  readonly name: string;
  readonly url?: string;
  readonly samples?: number;
  readonly calls?: readonly Called[];
}

/** Of functions that were called from nowhere; each sample takes a millisecond. */
function profileOf(...called: readonly Called[]): Profiler.Profile {
  const nodes: Profiler.ProfileNode[] = [];
  const samples: number[] = [];
  const add = ({ name, url = "", samples: count = 0, calls = [] }: Called): number => {
    const id = nodes.length + 1;
    const children: number[] = [];
    const frame = { scriptId: "0", url, lineNumber: 0, columnNumber: 0 };
    nodes.push({ id, callFrame: { functionName: name, ...frame }, children });
    samples.push(...Array.from({ length: count }, () => id));
    children.push(...calls.map(add));
    return id;
  };
  add({ name: "(root)", calls: called });
  return { nodes, startTime: 0, endTime: 0, samples, timeDeltas: samples.map(() => 1_000) };
}

const UNDICI = "file:///node_modules/undici/lib/dispatcher/client-h1.js";
const OURS = "file:///bench/fleet.js";

test("what a process does is told apart by who does it, and for whom", () => {
  const profile = profileOf(
    { name: "(idle)", samples: 10 },
    { name: "(garbage collector)", samples: 20 },
    {
      name: "processTicksAndRejections",
      url: "node:internal/process/task_queues",
      samples: 3,
      calls: [
        { name: "acquire", url: OURS, samples: 7 },
        {
          name: "readAnswer",
          url: OURS,
          samples: 1,
          calls: [
            { name: "parse", samples: 20 },
            { name: "run", url: "file:///node_modules/zod/v4/core/schemas.js", samples: 9 },
          ],
        },
        {
          name: "writeBuffer",
          url: UNDICI,
          samples: 1,
          calls: [
            { name: "write", url: "node:net", calls: [{ name: "writev", samples: 28 }] },
            { name: "onResponseEnd", url: OURS, samples: 1 },
          ],
        },
      ],
    },
  );
  expect(cpuSharesOf(profile)).toEqual({
    idle: 0.1,
    "garbage collection": 0.2,
    answers: 0.3,
    network: 0.3,
    semaphore: 0.1,
  });
});
