import { transactionErrorsSchema, transactionResultsSchema, readAnswer } from "./answers.js";
import { checkedSession, checkedUint64, checkedValue, keyPath } from "./kv-input.js";
import type { KVEntry, KVWrite } from "./kv-entry.js";
import { requireLeader, type QueryOptions } from "./query.js";
import { keyPermission } from "./http/permission.js";
import type { RequestOptions } from "./http/request-options.js";
import type { RequestScope, Transport } from "./http/transport.js";

/**
 * One step of a transaction (Go: `KVTxnOp`). One that cannot take place undoes all the others.
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
      /** Stores an entry if the one there has this modify index. */
      readonly verb: "cas";
      /** 0: if there is none. */
      readonly modifyIndex: bigint;
    })
  | (KVWrite & {
      /** Stores an entry and takes its lock, or gives it back. */
      readonly verb: "lock" | "unlock";
      /** The ID of the session that takes it, or has it. */
      readonly session: string;
    })
  | (Pick<KVWrite, "key"> & {
      /** Deletes an entry, if there is one. */
      readonly verb: "delete";
    })
  | (Pick<KVWrite, "key"> & {
      /** Reads an entry as the operations before it leave it, and demands that there is one. */
      readonly verb: "get";
    })
  | (Pick<KVWrite, "key"> & {
      /** Reads all entries whose key begins with `key`, as the operations before it leave them. */
      readonly verb: "get-tree";
    })
  | (Pick<KVWrite, "key"> & {
      /** Demands that there is no entry. */
      readonly verb: "check-not-exists";
    })
  | (Pick<KVWrite, "key"> & {
      /** Demands that the entry has this modify index. */
      readonly verb: "check-index";
      /** The index. */
      readonly modifyIndex: bigint;
    })
  | (Pick<KVWrite, "key"> & {
      /** Demands that the session has the entry's lock. */
      readonly verb: "check-session";
      /** Its ID. */
      readonly session: string;
    });

/**
 * What became of a transaction: all of it took place, or nothing.
 *
 * @example
 * ```ts
 * const outcome: TransactionOutcome = await consul.kv.txn([{ verb: "delete", key: "jobs/done" }]);
 * if (!outcome.applied) console.error(outcome.errors);
 * ```
 */
export type TransactionOutcome =
  | {
      /** It took place. */
      readonly applied: true;
      /**
       * What the operations read, wrote or checked, in their order; a deletion has none. Only those
       * that were read come with their values.
       */
      readonly entries: readonly KVEntry[];
    }
  | {
      /** Nothing took place. */
      readonly applied: false;
      /** Why not: one for each operation that could not. */
      readonly errors: readonly TransactionError[];
    };

/**
 * Why an operation could not take place (Go: `TxnError`).
 *
 * @example
 * ```ts
 * const textOf = ({ operation, what }: TransactionError) => `step ${operation}: ${what}`;
 * ```
 */
export interface TransactionError {
  /** The operation's place in the list, from 0 (Go: `OpIndex`). */
  readonly operation: number;
  /** In Consul's words (Go: `What`). */
  readonly what: string;
}

const REQUEST = { method: "PUT", path: "/v1/txn" } as const;

/** How Consul begins to say it. Further on in its words there may be a key of any name. */
const DENIED = /^(?:rpc error[^:]*: )*permission denied/i;
/** The same in an answer that is not read yet. */
const DENIED_IN_ANSWER = /"What":\s*"(?:rpc error[^:"]*: )*permission denied/i;

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
  options: RequestOptions & Pick<QueryOptions, "consistent">,
): Promise<TransactionOutcome> {
  const scope = transport.scope(options);
  // One that writes goes through the leader's log anyway.
  const consistent = options.consistent === true && operations.every(({ verb }) => READS.has(verb));
  const answer = await transport.send({
    ...REQUEST,
    query: { consistent: consistent ? true : undefined },
    body: `[${operations.map((operation) => encode(operation, scope)).join(",")}]`,
    options,
    alsoAccept: [409],
    isDenied: ({ status, body }) => status === 409 && DENIED_IN_ANSWER.test(body),
  });
  if (consistent) requireLeader(answer);
  if (answer.status === 200) {
    const entries = readAnswer(answer, transactionResultsSchema, "the results of a transaction");
    return { applied: true, entries };
  }
  const errors = readAnswer(answer, transactionErrorsSchema, "the errors of a transaction");
  const denied = errors.find(({ what }) => DENIED.test(what));
  if (denied === undefined) {
    const concealed = errors.map(({ operation, what }) => ({
      operation,
      what: answer.concealed(what),
    }));
    return { applied: false, errors: concealed };
  }
  // Consul says it with the 409 of a lost race, but no later try will go better.
  const { verb, key } = operations[denied.operation] ?? { verb: "set", key: "" };
  throw answer.denied(keyPermission(READS.has(verb) ? "read" : "write", key), denied.what);
}

/** By hand: JSON of JavaScript's has no integers beyond 2^53, and Consul's flags are such. */
function encode(operation: KVOperation, { namespace, partition }: RequestScope): string {
  const { verb, key } = operation;
  keyPath(REQUEST.method, key);
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
