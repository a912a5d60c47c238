import type { HttpResponse } from "./carrier.js";
import { contactHeaders, HttpFailure, json, text } from "./answers.js";
import type { HttpCall } from "./http-call.js";
import { JsonBodyError } from "./json-body.js";
import { jsonArray, jsonString } from "./json-text.js";
import { LARGEST_VALUE, tooLarge } from "./kv-endpoint.js";
import { queryOptionsOf } from "./query-options.js";
import type { Server } from "./server.js";
import { parseTransaction } from "./transaction-request.js";
import {
  isWrite,
  refusals,
  transact,
  type KvOperation,
  type TransactionOutcome,
} from "./transaction.js";

export const TXN_PATH = "/v1/txn";

/** Go: `maxTxnOps`. */
const MAX_OPERATIONS = 64;

/** Serves a transaction: through the log if an operation writes, and otherwise as a read. */
export function txnEndpoint(call: HttpCall, server: Server): HttpResponse {
  const operations = readOperations(call.body);
  return operations.some(isWrite) ? write(operations, server) : read(call, operations, server);
}

function write(operations: readonly KvOperation[], server: Server): HttpResponse {
  server.requireLeader();
  const errors = refusals(operations, server.raft.leader, server.now);
  const outcome =
    errors.length > 0
      ? { errors }
      : server.apply((store, index) => transact(store, operations, index));
  return json(`{${outcomeMembers(outcome)}}`, { status: statusOf(outcome) });
}

function read(call: HttpCall, operations: readonly KvOperation[], server: Server): HttpResponse {
  const { consistent } = queryOptionsOf(call);
  server.requireLeader();
  const store = consistent ? server.raft.leader : server.raft.reader;
  const errors = refusals(operations, store, server.now);
  const outcome = errors.length > 0 ? { errors } : transact(store, operations, 0n);
  // A transaction cannot be a blocking query, so it has no index.
  const headers = contactHeaders(true);
  const meta = `"Index":0,"LastContact":0,"KnownLeader":true,"ConsistencyLevel":""`;
  return json(`{${outcomeMembers(outcome)},${meta}}`, { status: statusOf(outcome), headers });
}

function statusOf(outcome: TransactionOutcome): number {
  return "errors" in outcome ? 409 : 200;
}

function outcomeMembers(outcome: TransactionOutcome): string {
  if ("errors" in outcome) {
    const errors = outcome.errors.map(
      ({ operation, what }) => `{"OpIndex":${operation},"What":${jsonString(what)}}`,
    );
    return `"Results":null,"Errors":${jsonArray(errors)}`;
  }
  return `"Results":${jsonArray(outcome.results.map((kv) => `{"KV":${kv}}`))},"Errors":null`;
}

function readOperations(body: string): KvOperation[] {
  if (body.length > LARGEST_VALUE) {
    throw new HttpFailure(text(413, tooLarge(body, "txn_max_req_len")));
  }
  let operations: KvOperation[];
  try {
    operations = parseTransaction(body);
  } catch (error) {
    if (!(error instanceof JsonBodyError)) throw error;
    throw new HttpFailure(text(400, `Failed to parse body: ${error.message}`));
  }
  if (operations.length > MAX_OPERATIONS) {
    const count = `${operations.length} > ${MAX_OPERATIONS}`;
    throw new HttpFailure(text(413, `Transaction contains too many operations (${count})`));
  }
  return operations;
}
