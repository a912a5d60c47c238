import { KV, type KVEntry, type KVWrite } from "../../src/consul/kv.js";
import type { QueryOptions, QueryResult } from "../../src/consul/query.js";
import type { RequestOptions } from "../../src/consul/http/request-options.js";
import type { KVOperation, TransactionOutcome } from "../../src/consul/transaction.js";
import { Transport } from "../../src/consul/http/transport.js";
import { silence } from "./failures.js";

export interface KVCall {
  readonly method: "get" | "list" | "acquire" | "delete" | "deleteCas" | "txn";
  readonly key?: string;
  readonly entry?: KVWrite & { readonly session: string };
  readonly modifyIndex?: bigint;
  readonly operations?: readonly KVOperation[];
  readonly options: QueryOptions;
}

/** A key/value store that answers as the test says, and remembers what was asked. */
export class FakeKV extends KV {
  readonly calls: KVCall[] = [];
  onGet: KV["get"] = silence;
  onList: KV["list"] = silence;
  onAcquire: KV["acquire"] = silence;
  onDelete: KV["delete"] = () => Promise.resolve(true);
  onDeleteCas: KV["deleteCas"] = silence;
  onTxn: KV["txn"] = silence;

  constructor() {
    super(new Transport({}));
  }

  get methods(): readonly KVCall["method"][] {
    return this.calls.map(({ method }) => method);
  }

  /** The operations of each transaction. */
  get transactions(): readonly (readonly KVOperation[])[] {
    return this.calls.flatMap(({ operations }) => (operations === undefined ? [] : [operations]));
  }

  override get(key: string, options: QueryOptions = {}): Promise<QueryResult<KVEntry | null>> {
    this.calls.push({ method: "get", key, options });
    return this.onGet(key, options);
  }

  override list(key: string, options: QueryOptions = {}): Promise<QueryResult<readonly KVEntry[]>> {
    this.calls.push({ method: "list", key, options });
    return this.onList(key, options);
  }

  override acquire(
    entry: KVWrite & { readonly session: string },
    options: RequestOptions = {},
  ): Promise<boolean> {
    this.calls.push({ method: "acquire", entry, options });
    return this.onAcquire(entry, options);
  }

  override delete(key: string, options: RequestOptions = {}): Promise<boolean> {
    this.calls.push({ method: "delete", key, options });
    return this.onDelete(key, options);
  }

  override deleteCas(
    entry: { readonly key: string; readonly modifyIndex: bigint },
    options: RequestOptions = {},
  ): Promise<boolean> {
    this.calls.push({ method: "deleteCas", ...entry, options });
    return this.onDeleteCas(entry, options);
  }

  override txn(
    operations: readonly KVOperation[],
    options: RequestOptions = {},
  ): Promise<TransactionOutcome> {
    this.calls.push({ method: "txn", operations, options });
    return this.onTxn(operations, options);
  }
}
