import { jsonString } from "./json-text.js";

/** The part of an entry that a write sets. The store adds the create and modify indexes. */
export interface KvWrite {
  readonly key: string;
  /** The bytes, one character each. Consul does not tell an empty value from none. */
  readonly value: string;
  readonly flags: bigint;
  /** The session that holds the lock, or an empty string, as in Go. */
  readonly session: string;
  readonly lockIndex: bigint;
}

/** An entry of the key/value store (Go: `DirEntry`). It is immutable: a write makes a new one. */
export class KvEntry implements KvWrite {
  readonly key: string;
  readonly value: string;
  readonly flags: bigint;
  readonly session: string;
  readonly lockIndex: bigint;
  readonly createIndex: bigint;
  readonly modifyIndex: bigint;
  #json: string | undefined;

  constructor(write: KvWrite, createIndex: bigint, modifyIndex: bigint) {
    this.key = write.key;
    this.value = write.value;
    this.flags = write.flags;
    this.session = write.session;
    this.lockIndex = write.lockIndex;
    this.createIndex = createIndex;
    this.modifyIndex = modifyIndex;
  }

  /** Whether a write would change nothing. Create and modify indexes do not count. */
  equals(write: KvWrite): boolean {
    return (
      this.lockIndex === write.lockIndex &&
      this.key === write.key &&
      this.flags === write.flags &&
      this.value === write.value &&
      this.session === write.session
    );
  }

  /** The entry in JSON. It is cached, since many listings contain the same entry. */
  get json(): string {
    return (this.#json ??= this.#write(this.value));
  }

  /** The entry as a transaction answers a write: without the value. */
  get jsonWithoutValue(): string {
    return this.#write("");
  }

  #write(value: string): string {
    const session = this.session === "" ? "" : `"Session":${jsonString(this.session)},`;
    return (
      `{"LockIndex":${this.lockIndex},"Key":${jsonString(this.key)},"Flags":${this.flags},` +
      `"Value":${value === "" ? "null" : `"${btoa(value)}"`},${session}` +
      `"CreateIndex":${this.createIndex},"ModifyIndex":${this.modifyIndex}}`
    );
  }
}
