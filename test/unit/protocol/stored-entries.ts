import type { KVEntry } from "../../../src/consul/kv.js";
import { prefixKeys } from "../../../src/protocol/keys.js";
import { encodeLock, SEMAPHORE_FLAG_VALUE } from "../../../src/protocol/lock-entry.js";

export const keys = prefixKeys("jobs");

export function entry(key: string, given: Partial<KVEntry> = {}): KVEntry {
  return {
    key,
    value: null,
    flags: SEMAPHORE_FLAG_VALUE,
    session: null,
    createIndex: 1n,
    modifyIndex: 1n,
    lockIndex: 0n,
    ...given,
  };
}

/** One that contends. */
export const contender = (session: string, given: Partial<KVEntry> = {}): KVEntry =>
  entry(keys.contender(session), { session, lockIndex: 1n, ...given });

export const lock = (
  limit: number,
  holders: readonly string[],
  given: Partial<KVEntry> = {},
): KVEntry =>
  entry(keys.lock, {
    value: Buffer.from(encodeLock({ limit, holders: new Set(holders) })),
    modifyIndex: 7n,
    ...given,
  });
