import { readAnswer, transactionErrorsSchema } from "./answers.js";
import { readResults, type EntryOptions } from "./kv-answers.js";
import { checkedKey, checkedSession, checkedUint64, checkedValue } from "./kv-input.js";
import type { KVEntry, KVWrite } from "./kv-entry.js";
import { requireLeader, type QueryOptions } from "./query.js";
import { keyPermission } from "./http/permission.js";
import type { RequestOptions } from "./http/request-options.js";
import type { RequestScope, Transport } from "./http/transport.js";

/**
 * One operation of a transaction (Go: `KVTxnOp`). If one fails, none is applied.
 *
 * @example
 * ```ts
 * const step: KVOperation = { verb: "check-session", key: "leader", session };
 * ```
 */
export type KVOperation =
  | (KVWrite & {
      /** Stores an entry. */
      readonly verb: "set";
    })
  | (KVWrite & {
      /** Stores an entry if the existing one has this modify index. */
      readonly verb: "cas";
      /** 0 requires that there is no entry. */
      readonly modifyIndex: bigint;
    })
  | (KVWrite & {
      /** Stores an entry, and acquires or releases its lock. */
      readonly verb: "lock" | "unlock";
      /** The ID of the session. */
      readonly session: string;
    })
  | (Pick<KVWrite, "key"> & {
      /** Deletes an entry, if there is one. */
      readonly verb: "delete";
    })
  | (Pick<KVWrite, "key"> & {
      /** Deletes all entries whose key begins with `key`. */
      readonly verb: "delete-tree";
    })
  | (Pick<KVWrite, "key"> & {
      /** Reads an entry as the earlier operations leave it. Fails if there is none. */
      readonly verb: "get";
    })
  | (Pick<KVWrite, "key"> & {
      /** Reads all entries whose key begins with `key`, as the earlier operations leave them. */
      readonly verb: "get-tree";
    })
  | (Pick<KVWrite, "key"> & {
      /** Fails if there is an entry. */
      readonly verb: "check-not-exists";
    })
  | (Pick<KVWrite, "key"> & {
      /** Fails unless the entry has this modify index. */
      readonly verb: "check-index";
      /** The modify index. */
      readonly modifyIndex: bigint;
    })
  | (Pick<KVWrite, "key"> & {
      /** Fails unless the session holds the entry's lock. */
      readonly verb: "check-session";
      /** The ID of the session. */
      readonly session: string;
    });

/**
 * The outcome of a transaction: all operations were applied, or none.
 *
 * @example
 * ```ts
 * const outcome: TransactionOutcome = await consul.kv.txn([{ verb: "delete", key: "jobs/done" }]);
 * if (!outcome.applied) console.error(outcome.errors);
 * ```
 */
export type TransactionOutcome =
  | {
      /** All operations were applied. */
      readonly applied: true;
      /**
       * The entries that the operations read, wrote or checked, in order; a deletion has none. Only
       * `get` and `get-tree` return values.
       */
      readonly entries: readonly KVEntry[];
    }
  | {
      /** No operation was applied. */
      readonly applied: false;
      /** One error for each operation that failed. */
      readonly errors: readonly TransactionError[];
    };

/**
 * Why an operation failed (Go: `TxnError`).
 *
 * @example
 * ```ts
 * const textOf = ({ operation, what }: TransactionError) => `step ${operation}: ${what}`;
 * ```
 */
export interface TransactionError {
  /** The position of the operation in the list, from 0 (Go: `OpIndex`). */
  readonly operation: number;
  /** Consul's message (Go: `What`). */
  readonly what: string;
}

const REQUEST = { method: "PUT", path: "/v1/txn" } as const;

/** The start of Consul's message. Further on, the message may contain a key with these words. */
const DENIED = /^(?:rpc error[^:]*: )*permission denied/i;
/** The same in the body of an answer. */
const DENIED_IN_ANSWER = /"What":\s*"(?:rpc error[^:"]*: )*permission denied/i;

/** Whether an operation only reads. Of these, Consul asks the right to write for `check-not-exists`. */
const READS: ReadonlySet<KVOperation["verb"]> = new Set<KVOperation["verb"]>([
  "get",
  "get-tree",
  "check-not-exists",
  "check-index",
  "check-session",
]);

/** Sends the operations as one (Go: `KV.Txn`). */
export async function transact(
  transport: Transport,
  operations: readonly KVOperation[],
  options: RequestOptions & Pick<QueryOptions, "consistent"> & EntryOptions,
): Promise<TransactionOutcome> {
  const scope = transport.scope(options);
  // The leader applies every write anyway.
  const consistent = options.consistent === true && operations.every(({ verb }) => READS.has(verb));
  const answer = await transport.send({
    method: REQUEST.method,
    path: REQUEST.path,
    query: { consistent: consistent ? true : undefined },
    body: `[${operations.map((operation) => encode(operation, scope)).join(",")}]`,
    options,
    alsoAccept: [409],
    isDenied: ({ status, body }) => status === 409 && DENIED_IN_ANSWER.test(body),
  });
  if (consistent) requireLeader(answer);
  if (answer.status === 200) return { applied: true, entries: readResults(answer, options) };
  const errors = readAnswer(answer, transactionErrorsSchema, "the errors of a transaction");
  const denied = errors.find(({ what }) => DENIED.test(what));
  if (denied === undefined) {
    const concealed = errors.map(({ operation, what }) => ({
      operation,
      what: answer.concealed(what),
    }));
    return { applied: false, errors: concealed };
  }
  // Consul answers 409 as for a failed check, but a retry cannot succeed.
  const { verb, key } = operations[denied.operation] ?? { verb: "set", key: "" };
  throw answer.denied(
    keyPermission(READS.has(verb) && verb !== "check-not-exists" ? "read" : "write", key),
    denied.what,
  );
}

/** Written by hand, since `JSON.stringify` cannot write flags beyond 2^53. */
function encode(operation: KVOperation, { namespace, partition }: RequestScope): string {
  const { verb, key } = operation;
  checkedKey(REQUEST.method, key);
  const fields = [`"Verb":${JSON.stringify(verb)}`, `"Key":${JSON.stringify(key)}`];
  if ("value" in operation) {
    const value = Buffer.from(checkedValue(REQUEST, operation.value)).toString("base64");
    fields.push(`"Value":${JSON.stringify(value)}`);
  }
  if ("flags" in operation && operation.flags !== undefined) {
    fields.push(`"Flags":${checkedUint64(REQUEST, "flags", operation.flags)}`);
  }
  if (verb === "cas" || verb === "check-index") {
    fields.push(`"Index":${checkedUint64(REQUEST, "modifyIndex", operation.modifyIndex)}`);
  }
  if (verb === "lock" || verb === "unlock" || verb === "check-session") {
    fields.push(`"Session":${JSON.stringify(checkedSession(REQUEST, operation.session))}`);
  }
  if (namespace !== undefined) fields.push(`"Namespace":${JSON.stringify(namespace)}`);
  if (partition !== undefined) fields.push(`"Partition":${JSON.stringify(partition)}`);
  return `{"KV":{${fields.join(",")}}}`;
}
