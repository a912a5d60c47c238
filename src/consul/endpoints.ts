import type { OwnRequestOptions } from "./http/request-options.js";
import type { EntryOptions } from "./kv-answers.js";
import type { KV } from "./kv.js";
import type { OwnQueryOptions } from "./query.js";
import type { Sessions, SessionSpec } from "./session.js";
import type { KVOperation } from "./transaction.js";

/**
 * The parts of Consul's API that a semaphore uses. A {@link ConsulClient} has them. Semaphores with
 * the same `kv` and the same `session` share what they read.
 *
 * @example
 * ```ts
 * const { kv, session: sessions }: ConsulEndpoints = consul;
 * ```
 */
export interface ConsulEndpoints {
  /** The key/value store. */
  readonly kv: KV;
  /** Sessions. */
  readonly session: Sessions;
}

/**
 * The requests that the library itself makes, which a signal of its own may end. The endpoints take
 * one, since all that they do with a signal is to hand it on; their types tell users of `AbortSignal` alone.
 */
export interface OwnEndpoints {
  readonly kv: OwnKV;
  readonly session: OwnSessions;
}

interface OwnKV {
  get(key: string, options?: OwnQueryOptions): ReturnType<KV["get"]>;
  list(prefix: string, options?: OwnQueryOptions & EntryOptions): ReturnType<KV["list"]>;
  txn(
    operations: readonly KVOperation[],
    options?: OwnRequestOptions & Pick<OwnQueryOptions, "consistent"> & EntryOptions,
  ): ReturnType<KV["txn"]>;
  delete(key: string, options?: OwnRequestOptions): ReturnType<KV["delete"]>;
  deleteCas(
    entry: { readonly key: string; readonly modifyIndex: bigint },
    options?: OwnRequestOptions,
  ): ReturnType<KV["deleteCas"]>;
}

interface OwnSessions {
  create(spec: SessionSpec, options?: OwnRequestOptions): ReturnType<Sessions["create"]>;
  renew(id: string, options?: OwnRequestOptions): ReturnType<Sessions["renew"]>;
  destroy(id: string, options?: OwnRequestOptions): ReturnType<Sessions["destroy"]>;
  info(id: string, options?: OwnQueryOptions): ReturnType<Sessions["info"]>;
  list(options?: OwnQueryOptions): ReturnType<Sessions["list"]>;
}
