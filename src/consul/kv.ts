import { readAnswer, writeResultSchema } from "./answers.js";
import { readEntries, type EntryOptions } from "./kv-answers.js";
import type { KVEntry, KVWrite } from "./kv-entry.js";
import { checkedSession, checkedUint64, checkedValue, keyPath } from "./kv-input.js";
import { readMeta, readRequest, type QueryOptions, type QueryResult } from "./query.js";
import type { RequestOptions } from "./http/request-options.js";
import { transact, type KVOperation, type TransactionOutcome } from "./transaction.js";
import type { ConsulRequest, Transport } from "./http/transport.js";

export type { KVEntry, KVWrite } from "./kv-entry.js";

/**
 * Consul's key/value store (Go: `KV`), available as `consul.kv` of a {@link ConsulClient}. Every
 * method rejects with a {@link ConsulError}, or with the reason of its signal. Arguments are
 * checked before anything is sent (`CONSUL_BAD_REQUEST`).
 *
 * @example
 * ```ts
 * await consul.kv.put({ key: "config/limit", value: "3" });
 * ```
 * @hideconstructor
 */
export class KV {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * The entry at a key, or `null` (Go: `Get`).
   *
   * @throws {@link ConsulError}
   * @example
   * ```ts
   * const { value: entry } = await consul.kv.get("config/limit");
   * const text = new TextDecoder().decode(entry?.value ?? undefined);
   * ```
   */
  async get(key: string, options: QueryOptions = {}): Promise<QueryResult<KVEntry | null>> {
    const { value, meta } = await this.#read(keyPath("GET", key), options);
    return { value: value[0] ?? null, meta };
  }

  /**
   * All entries whose key begins with `prefix`, in the order of their keys (Go: `List`). The prefix
   * is plain text: `"jobs"` matches `jobs2` as well, `"jobs/"` does not, and `""` matches all keys.
   *
   * @throws {@link ConsulError}
   * @example
   * ```ts
   * const { value: entries } = await consul.kv.list("jobs/");
   * ```
   */
  async list(prefix: string, options: QueryOptions = {}): Promise<QueryResult<readonly KVEntry[]>> {
    const path = keyPath("GET", prefix, { mayBeEmpty: true });
    return await this.#read(path, options, { recurse: true });
  }

  /**
   * Stores an entry unconditionally (Go: `Put`). Resolves to Consul's answer, which is `true`.
   *
   * @throws {@link ConsulError}
   * @example
   * ```ts
   * await consul.kv.put({ key: "config/limit", value: "3" });
   * ```
   */
  async put(entry: KVWrite, options: RequestOptions = {}): Promise<boolean> {
    return await this.#write(entry, {}, options);
  }

  /**
   * Stores an entry if the existing one still has this modify index (Go: `CAS`). 0 requires that
   * there is none. Resolves to whether it was stored.
   *
   * @throws {@link ConsulError}
   * @example
   * ```ts
   * const { value: entry } = await consul.kv.get("config/limit");
   * const modifyIndex = entry?.modifyIndex ?? 0n;
   * const stored = await consul.kv.cas({ key: "config/limit", value: "4", modifyIndex });
   * ```
   */
  async cas(
    entry: KVWrite & { readonly modifyIndex: bigint },
    options: RequestOptions = {},
  ): Promise<boolean> {
    return await this.#write(entry, { cas: indexOf("PUT", entry) }, options);
  }

  /**
   * Stores an entry and acquires its lock for a session (Go: `Acquire`). Resolves to `false` if
   * another session holds the lock, or if the key is under lock-delay.
   *
   * @throws {@link ConsulError}
   * @example
   * ```ts
   * const locked = await consul.kv.acquire({ key: "leader", value: "me", session });
   * ```
   */
  async acquire(
    entry: KVWrite & { readonly session: string },
    options: RequestOptions = {},
  ): Promise<boolean> {
    return await this.#write(entry, { acquire: sessionOf(entry) }, options);
  }

  /**
   * Stores an entry and releases its lock (Go: `Release`). Resolves to `false` if the session does
   * not hold it.
   *
   * @throws {@link ConsulError}
   * @example
   * ```ts
   * await consul.kv.release({ key: "leader", session });
   * ```
   */
  async release(
    entry: KVWrite & { readonly session: string },
    options: RequestOptions = {},
  ): Promise<boolean> {
    return await this.#write(entry, { release: sessionOf(entry) }, options);
  }

  /**
   * Deletes the entry at a key, if there is one (Go: `Delete`). Resolves to Consul's answer, which
   * is `true` even if there was none.
   *
   * @throws {@link ConsulError}
   * @example
   * ```ts
   * await consul.kv.delete("config/limit");
   * ```
   */
  async delete(key: string, options: RequestOptions = {}): Promise<boolean> {
    return await this.#send({ method: "DELETE", path: keyPath("DELETE", key), options });
  }

  /**
   * Deletes an entry if it still has this modify index (Go: `DeleteCAS`). Resolves to whether it
   * did.
   *
   * @throws {@link ConsulError}
   * @example
   * ```ts
   * const { value: entry } = await consul.kv.get("config/limit");
   * if (entry !== null) await consul.kv.deleteCas(entry);
   * ```
   */
  async deleteCas(
    entry: { readonly key: string; readonly modifyIndex: bigint },
    options: RequestOptions = {},
  ): Promise<boolean> {
    return await this.#send({
      method: "DELETE",
      path: keyPath("DELETE", entry.key),
      query: { cas: indexOf("DELETE", entry) },
      options,
    });
  }

  /**
   * Applies all of the operations, or none of them if one fails (Go: `Txn`). The entries in the
   * outcome have the index of the write.
   *
   * If all operations only read or check, `consistent` works as for any other read: see
   * {@link QueryOptions.consistent}. If one writes, the option has no effect and is not sent, since
   * the leader applies every write.
   *
   * @throws {@link ConsulError}
   * @example
   * ```ts
   * const outcome = await consul.kv.txn([
   *   { verb: "check-not-exists", key: "jobs/42/done" },
   *   { verb: "set", key: "jobs/42/state", value: "running" },
   * ]);
   * if (!outcome.applied) console.log(outcome.errors.map(({ what }) => what));
   * ```
   */
  async txn(
    operations: readonly KVOperation[],
    options: RequestOptions & Pick<QueryOptions, "consistent"> = {},
  ): Promise<TransactionOutcome> {
    return await transact(this.#transport, operations, options);
  }

  async #read(
    path: string,
    options: QueryOptions & EntryOptions,
    query?: ConsulRequest["query"],
  ): Promise<QueryResult<readonly KVEntry[]>> {
    const answer = await this.#transport.send(readRequest(path, options, query, [404]));
    const meta = readMeta(answer, options);
    if (answer.status === 404) return { value: [], meta };
    return { value: readEntries(answer, options), meta };
  }

  async #write(
    { key, value, flags = 0n }: KVWrite,
    query: ConsulRequest["query"],
    options: RequestOptions,
  ): Promise<boolean> {
    const path = keyPath("PUT", key);
    const request = { method: "PUT", path } as const;
    const writtenFlags = checkedUint64(request, "flags", flags);
    return await this.#send({
      ...request,
      query: { ...query, flags: flags === 0n ? undefined : writtenFlags },
      body: checkedValue(request, value),
      options,
    });
  }

  async #send(request: ConsulRequest): Promise<boolean> {
    const answer = await this.#transport.send(request);
    return readAnswer(answer, writeResultSchema, "true or false");
  }
}

function indexOf(
  method: string,
  { key, modifyIndex }: { readonly key: string; readonly modifyIndex: bigint },
): string {
  return checkedUint64({ method, path: keyPath(method, key) }, "modifyIndex", modifyIndex);
}

function sessionOf({ key, session }: { readonly key: string; readonly session: string }): string {
  return checkedSession({ method: "PUT", path: keyPath("PUT", key) }, session);
}
