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
  /** The bytes stored; `null` where there are none: Consul knows no empty value (Go: `Value`). */
  readonly value: Uint8Array | null;
  /** An unsigned 64-bit number that Consul keeps for its clients (Go: `Flags`). */
  readonly flags: bigint;
  /** The ID of the session that has the entry's lock; `null` for none (Go: `Session`). */
  readonly session: string | null;
  /** The index of the write that made the entry (Go: `CreateIndex`). */
  readonly createIndex: bigint;
  /** The index of the last write to it, for `cas` and `deleteCas` (Go: `ModifyIndex`). */
  readonly modifyIndex: bigint;
  /** How often its lock has been taken (Go: `LockIndex`). */
  readonly lockIndex: bigint;
}

/**
 * What to store (Go: `KVPair`).
 *
 * @example
 * ```ts
 * const write: KVWrite = { key: "config/limit", value: "3", flags: 42n };
 * ```
 */
export interface KVWrite {
  /** Must not begin with `/`, nor have a segment that is empty, `.` or `..`. */
  readonly key: string;
  /** A string is stored as UTF-8. Default: none. */
  readonly value?: Uint8Array | string | null | undefined;
  /** An unsigned 64-bit number for the use of clients. Default: 0. */
  readonly flags?: bigint | undefined;
}
