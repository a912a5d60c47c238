import {
  JsonBodyError,
  JsonNumber,
  JsonObject,
  parseJsonBody,
  stringMember,
  wrongType,
  type Json,
} from "./json-body.js";
import type { KvOperation } from "./transaction.js";
import { parseUint64, Uint64Error } from "./uint64.js";

const OPERATION_MEMBERS = ["KV"];
const KV_MEMBERS = ["Verb", "Key", "Value", "Flags", "Index", "Session", "Namespace"];
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * Parses the operations in the body of a transaction. Empty ones are left out, as in Consul.
 *
 * @throws JsonBodyError
 */
export function parseTransaction(body: string): KvOperation[] {
  const json = parseJsonBody(body);
  if (json === null) return [];
  if (!Array.isArray(json)) {
    throw new JsonBodyError("json: cannot unmarshal into Go value of type api.TxnOps");
  }
  return json.flatMap((operation: Json) => {
    if (operation === null) return [];
    if (!(operation instanceof JsonObject)) throw wrongType(operation, ".", "api.TxnOp");
    requireKnown(operation, OPERATION_MEMBERS);
    const kv = operation.get("KV") ?? null;
    return kv === null ? [] : [readKv(kv)];
  });
}

function readKv(json: Json): KvOperation {
  if (!(json instanceof JsonObject)) throw wrongType(json, "TxnOp.KV", "api.KVTxnOp");
  requireKnown(json, KV_MEMBERS);
  return {
    verb: stringMember(json, "Verb", ""),
    key: stringMember(json, "Key", ""),
    value: decodeBase64(stringMember(json, "Value", "")),
    flags: uint64Member(json, "Flags"),
    index: uint64Member(json, "Index"),
    session: stringMember(json, "Session", ""),
  };
}

/** Consul refuses unknown members here. */
function requireKnown(object: JsonObject, known: readonly string[]): void {
  const names = known.map((name) => name.toLowerCase());
  const unknown = object.members.find(([name]) => !names.includes(name.toLowerCase()));
  if (unknown !== undefined) throw new JsonBodyError(`json: unknown field "${unknown[0]}"`);
}

function decodeBase64(encoded: string): string {
  if (BASE64.test(encoded)) return atob(encoded);
  const valid = /^[A-Za-z0-9+/]*/.exec(encoded)?.[0] ?? "";
  throw new JsonBodyError(`illegal base64 data at input byte ${valid.length}`);
}

function uint64Member(object: JsonObject, name: string): bigint {
  const value = object.get(name) ?? null;
  if (value === null) return 0n;
  const refusal = wrongType(value, `KVTxnOp.KV.${name}`, "uint64");
  if (!(value instanceof JsonNumber)) throw refusal;
  try {
    return parseUint64(value.text);
  } catch (error) {
    throw error instanceof Uint64Error ? refusal : error;
  }
}
