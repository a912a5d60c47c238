/** Go: `SemaphoreFlagValue`. */
export const SEMAPHORE_FLAGS = 16210313421097356768n;

/** The parts of a Consul entry that matter here. */
export interface StoredEntry {
  readonly key: string;
  readonly value: Uint8Array | null;
  readonly flags: bigint;
  readonly session: string | null;
  readonly createIndex: bigint;
  readonly modifyIndex: bigint;
}

export interface WrittenLock {
  readonly limit: number;
  readonly holders: ReadonlySet<string>;
}

const LOCK =
  /^\{"Limit":([1-9]\d*),"Holders":\{(|"[0-9a-f-]{36}":true(?:,"[0-9a-f-]{36}":true)*)\}\}$/;

/**
 * Reads a lock as strictly as the Go original writes it, and without the library's own decoder: that
 * would be a witness in its own cause. Nothing, if it is anything else.
 */
export function readWrittenLock({ value }: StoredEntry): WrittenLock | undefined {
  const [, limit, holders] = LOCK.exec(Buffer.from(value ?? []).toString("utf8")) ?? [];
  if (limit === undefined || holders === undefined) return undefined;
  const sessions = [...holders.matchAll(/[0-9a-f-]{36}/g)].map(([session]) => session);
  const sorted = [...new Set(sessions)].sort();
  if (sorted.join() !== sessions.join()) return undefined;
  return { limit: Number(limit), holders: new Set(sessions) };
}
