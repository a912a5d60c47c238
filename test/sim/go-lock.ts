import { SEMAPHORE_FLAGS, type StoredEntry } from "./lock-entry.js";

/** What Go's `semaphoreLock` holds. */
export interface GoLock {
  readonly limit: number;
  readonly holders: ReadonlySet<string>;
  /** For the swap; 0 where there is no entry. */
  readonly modifyIndex: bigint;
}

/** Go's `findLock`, `decodeLock` and `pruneDeadHolders`, by Go's rules and not by the library's. */
export function readAsGo(
  prefix: string,
  limit: number,
  entries: readonly StoredEntry[],
): GoLock | string {
  const lock = decodeAsGo(
    entries.find(({ key }) => key === `${prefix}/.lock`),
    limit,
  );
  if (typeof lock === "string") return lock;
  const alive = new Set(entries.map(({ session }) => session));
  return { ...lock, holders: new Set([...lock.holders].filter((holder) => alive.has(holder))) };
}

/** What one lock entry says, with its dead holders, or the error that Go's client ends with. */
export function decodeAsGo(entry: StoredEntry | undefined, limit: number): GoLock | string {
  if (entry === undefined) return { limit, holders: new Set(), modifyIndex: 0n };
  if (entry.flags !== SEMAPHORE_FLAGS) return "Existing key does not match semaphore use";
  const { modifyIndex, value } = entry;
  if (value === null) return { limit, holders: new Set(), modifyIndex };
  const lock = parseLock(Buffer.from(value).toString("utf8"));
  if (lock === undefined) return "lock decoding failed";
  if (lock.limit !== limit) {
    return `semaphore limit conflict (lock: ${lock.limit}, local: ${limit})`;
  }
  return { ...lock, modifyIndex };
}

/** As Go's `json.Marshal`, which sorts the keys of a map. */
export function encodeAsGo(limit: number, holders: Iterable<string>): string {
  const written = [...holders].sort().map((holder) => `"${holder}":true`);
  return `{"Limit":${limit},"Holders":{${written.join(",")}}}`;
}

function parseLock(
  text: string,
): { readonly limit: number; readonly holders: ReadonlySet<string> } | undefined {
  let lock: unknown;
  try {
    lock = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof lock !== "object" || lock === null) return undefined;
  const limit: unknown = "Limit" in lock ? lock.Limit : 0;
  const holders: unknown = "Holders" in lock ? lock.Holders : {};
  if (typeof limit !== "number" || typeof holders !== "object") return undefined;
  const flags: [string, unknown][] = Object.entries(holders ?? {});
  if (!flags.every(([, holds]) => typeof holds === "boolean")) return undefined;
  // Go asks whether the key is in the map, not what it maps to.
  return { limit, holders: new Set(flags.map(([holder]) => holder)) };
}
