import { goQuoted } from "./go-quote.js";
import type { KvEntry } from "./kv-entry.js";
import {
  checkIndex,
  checkSession,
  compareAndDelete,
  compareAndSet,
  lock,
  set,
  unlock,
  type KvRequest,
} from "./kv-rules.js";
import type { StateStore } from "./state-store.js";
import { StateError } from "./state-error.js";

/** One operation of a transaction on the key/value store. */
export interface KvOperation extends KvRequest {
  readonly verb: string;
}

/** Which operation failed, and why. */
export interface OperationError {
  readonly operation: number;
  readonly what: string;
}

/** The outcome of a transaction: the results of all operations in JSON, or only errors. */
export type TransactionOutcome =
  { readonly results: readonly string[] } | { readonly errors: readonly OperationError[] };

const WRITES = new Set(["set", "delete", "delete-cas", "delete-tree", "cas", "lock", "unlock"]);

/** Whether an operation may change the store. One with an unknown verb fails either way. */
export function isWrite({ verb }: KvOperation): boolean {
  return WRITES.has(verb);
}

/** The errors that the leader finds before the raft log. Its clock alone decides on lock-delay. */
export function refusals(
  operations: readonly KvOperation[],
  store: StateStore,
  now: number,
): OperationError[] {
  return operations.flatMap(({ verb, key }, operation) => {
    if (key === "" && verb !== "delete-tree") return [{ operation, what: "Must provide key" }];
    if (verb === "lock" && store.lockDelays.isUnder(key, now)) {
      return [{ operation, what: `failed to lock key ${goQuoted(key)} due to lock delay` }];
    }
    return [];
  });
}

/**
 * Applies the operations in order, each to the result of the earlier ones. After a failure the
 * others are still tried, to find all errors, and then everything is rolled back.
 */
export function transact(
  store: StateStore,
  operations: readonly KvOperation[],
  index: bigint,
): TransactionOutcome {
  const results: string[] = [];
  const errors: OperationError[] = [];
  operations.forEach((operation, position) => {
    try {
      results.push(...apply(store, operation, index));
    } catch (error) {
      if (!(error instanceof StateError)) throw error;
      errors.push({ operation: position, what: error.message });
    }
  });
  if (errors.length === 0) return { results };
  store.kv.rollBack();
  return { errors };
}

/** Applies one operation. Returns its entries in JSON. */
function apply({ kv, sessions }: StateStore, operation: KvOperation, index: bigint): string[] {
  const { verb, key } = operation;
  const quoted = goQuoted(key);
  switch (verb) {
    case "set":
      return [set(kv, operation, index).jsonWithoutValue];
    case "cas": {
      const problem = `failed to set key ${quoted}, index is stale`;
      return [written(compareAndSet(kv, operation, index), problem)];
    }
    case "lock": {
      const problem = `failed to lock key ${quoted}, lock is already held`;
      return [written(lock(kv, sessions, operation, index), problem)];
    }
    case "unlock": {
      const problem = `failed to unlock key ${quoted}, lock isn't held, or is held by another session`;
      return [written(unlock(kv, operation, index), problem)];
    }
    case "delete":
      kv.delete(key, index);
      return [];
    case "delete-cas":
      if (compareAndDelete(kv, operation, index)) return [];
      throw new StateError(`failed to delete key ${quoted}, index is stale`);
    case "delete-tree":
      kv.deleteBelow(key, index);
      return [];
    case "get": {
      const entry = kv.get(key);
      if (entry === undefined) throw new StateError(`key ${quoted} doesn't exist`);
      return [entry.json];
    }
    case "get-tree":
      return kv.below(key).map((entry) => entry.json);
    case "check-session":
      return [checkSession(kv, operation).jsonWithoutValue];
    case "check-index":
      return [checkIndex(kv, operation).jsonWithoutValue];
    case "check-not-exists":
      if (kv.get(key) === undefined) return [];
      throw new StateError(`key ${quoted} exists`);
    default:
      throw new StateError(`unknown KV verb ${goQuoted(verb)}`);
  }
}

function written(entry: KvEntry | null, problem: string): string {
  if (entry === null) throw new StateError(problem);
  return entry.jsonWithoutValue;
}
