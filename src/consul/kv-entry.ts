/**
 * An entry of Consul's key/value store (Go: `KVPair`).
 *
 * @example
 * ```ts
 * const { value: entry } = await consul.kv.get("config/limit");
 * if (entry?.value) console.log(Buffer.from(entry.value).toString(), entry.modifyIndex);
 * ```
 */
export interface KVEntry {
  /** The whole key (Go: `Key`). */
  readonly key: string;
  /** The stored bytes, or `null`: Consul does not tell an empty value from none (Go: `Value`). */
  readonly value: Uint8Array | null;
  /** An unsigned 64-bit number for the use of clients (Go: `Flags`). */
  readonly flags: bigint;
  /** The ID of the session that holds the entry's lock, or `null` (Go: `Session`). */
  readonly session: string | null;
  /** The index of the write that created the entry (Go: `CreateIndex`). */
  readonly createIndex: bigint;
  /** The index of the last write to it, for `cas` and `deleteCas` (Go: `ModifyIndex`). */
  readonly modifyIndex: bigint;
  /** How many times its lock has been acquired (Go: `LockIndex`). */
  readonly lockIndex: bigint;
}

/**
 * An entry to store (Go: `KVPair`).
 *
 * @example
 * ```ts
 * const write: KVWrite = { key: "config/limit", value: "3", flags: 42n };
 * ```
 */
export interface KVWrite {
  /** Must not begin with `/`, nor contain a segment that is empty, `.` or `..`. */
  readonly key: string;
  /** A string is stored as UTF-8. Default: none. */
  readonly value?: Uint8Array | string | null | undefined;
  /** An unsigned 64-bit number for the use of clients. Default: 0. */
  readonly flags?: bigint | undefined;
}
