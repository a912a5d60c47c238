// Where the time of a process goes, by a profile of V8's.
import type { Profiler } from "node:inspector";
import { z } from "zod";

const share = z.number();

/** The shares of what the only thread of a process does. */
export const cpuSharesSchema = z.object({
  /** It waits for Consul, which has the other core. */
  idle: share,
  /** undici, Node's sockets and the system calls. */
  network: share,
  /** JSON and its check, and what a list or a lock entry means. */
  answers: share,
  "garbage collection": share,
  /** The library but for that, and what the engine does for it. */
  semaphore: share,
});

export type CpuShares = Readonly<z.infer<typeof cpuSharesSchema>>;
type Part = keyof CpuShares;

const NETWORK = /\/undici\/|^node:(?:net|internal\/streams?\/|internal\/stream_base|http)/;
const READERS = new Set(["readAnswer", "readSnapshot", "readLockEntry", "toEntries"]);

/** Of the time between the first and the last sample. */
export function cpuSharesOf(profile: Profiler.Profile): CpuShares {
  const partOf = partsOf(profile);
  const times = new Map<Part, number>();
  const { samples = [], timeDeltas = [] } = profile;
  for (const [index, node] of samples.entries()) {
    const part = partOf.get(node) ?? "semaphore";
    times.set(part, (times.get(part) ?? 0) + (timeDeltas[index] ?? 0));
  }
  const whole = [...times.values()].reduce((sum, time) => sum + time, 0);
  const of = (part: Part): number => (times.get(part) ?? 0) / whole;
  return {
    idle: of("idle"),
    network: of("network"),
    answers: of("answers"),
    "garbage collection": of("garbage collection"),
    semaphore: of("semaphore"),
  };
}

/** What a function calls that is nobody's in particular is the function's. */
function partsOf({ nodes }: Profiler.Profile): ReadonlyMap<number, Part> {
  const partOf = new Map<number, Part>();
  // Parents come before their children.
  for (const { id, callFrame, children = [] } of nodes) {
    const part = ownPartOf(callFrame) ?? partOf.get(id) ?? "semaphore";
    partOf.set(id, part);
    for (const child of children) partOf.set(child, part);
  }
  return partOf;
}

function ownPartOf({
  functionName,
  url,
}: Profiler.Profile["nodes"][number]["callFrame"]): Part | undefined {
  if (functionName === "(idle)") return "idle";
  if (functionName === "(garbage collector)") return "garbage collection";
  if (url.includes("/zod/") || READERS.has(functionName)) return "answers";
  if (NETWORK.test(url)) return "network";
  return undefined;
}
