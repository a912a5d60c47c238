import { readAnswer } from "./answers.js";
import { bigFlagsIn } from "./http/json.js";
import type { ConsulAnswer } from "./http/transport.js";
import type { KVEntry } from "./kv-entry.js";
import { isUint64 } from "./uint64.js";

// Entries are checked by hand. A waiter reads hundreds of them at a time, and zod's schema of an
// object makes copies, which costs as much as to parse them.

/** What is read of the entries of an answer. */
export interface EntryOptions {
  /** The only key whose value is wanted: of a long list, to decode the others takes its time. */
  readonly valueAt?: string | undefined;
}

/** @throws ConsulError */
export function readEntries(answer: ConsulAnswer, options: EntryOptions): readonly KVEntry[] {
  const reader = new EntryReader(answer, options);
  const parse = (json: unknown): readonly KVEntry[] => {
    // Consul answers 404 for no entries, never an empty list.
    if (Array.isArray(json) && json.length > 0) return json.map((entry) => reader.read(entry));
    throw new TypeError("there are no entries");
  };
  return readAnswer(answer, { parse }, "a list of key/value entries");
}

/** @throws ConsulError */
export function readResults(answer: ConsulAnswer, options: EntryOptions): readonly KVEntry[] {
  const reader = new EntryReader(answer, options);
  const parse = (json: unknown): readonly KVEntry[] => {
    const { Results } = fieldsOf(json);
    if (Results === null) return [];
    if (!Array.isArray(Results)) throw new TypeError("there are no Results");
    return Results.map((result) => reader.read(fieldsOf(result)["KV"]));
  };
  return readAnswer(answer, { parse }, "the results of a transaction");
}

/** Reads the entries of one answer. */
class EntryReader {
  readonly #body: string;
  readonly #valueAt: string | undefined;
  #bigFlags: bigint | undefined;

  constructor({ body }: ConsulAnswer, { valueAt }: EntryOptions) {
    this.#body = body;
    this.#valueAt = valueAt;
  }

  /** @throws TypeError that names the field that is wrong */
  read(entry: unknown): KVEntry {
    const { Key, Value, Flags, Session, CreateIndex, ModifyIndex, LockIndex } = fieldsOf(entry);
    if (typeof Key !== "string") throw wrong("Key");
    if (Value !== null && typeof Value !== "string") throw wrong("Value");
    if (Session !== undefined && typeof Session !== "string") throw wrong("Session");
    const isWanted = this.#valueAt === undefined || this.#valueAt === Key;
    const createIndex = uint64("CreateIndex", CreateIndex);
    return {
      key: Key,
      value: isWanted && Value !== null ? valueBytes(Value) : null,
      flags: this.#flags(Flags),
      session: Session ?? null,
      createIndex,
      // Most entries of a long list have not changed since: these need no bigint of their own.
      modifyIndex: ModifyIndex === CreateIndex ? createIndex : uint64("ModifyIndex", ModifyIndex),
      lockIndex: LockIndex === 1 ? 1n : uint64("LockIndex", LockIndex),
    };
  }

  /**
   * `JSON.parse` rounds the flags of a semaphore. But they are the same in all of its entries, so that
   * one search of the text finds them.
   */
  #flags(written: unknown): bigint {
    if (isUint64(written)) return BigInt(written);
    this.#bigFlags ??= uint64("Flags", bigFlagsIn(this.#body));
    if (Number(this.#bigFlags) === written) return this.#bigFlags;
    throw wrong("Flags");
  }
}

function uint64(field: string, value: unknown): bigint {
  if (isUint64(value)) return BigInt(value);
  throw wrong(field);
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

function valueBytes(value: string): Uint8Array {
  if (value.length % 4 !== 0 || !BASE64.test(value)) throw wrong("Value");
  return new Uint8Array(Buffer.from(value, "base64"));
}

function wrong(field: string): TypeError {
  return new TypeError(`the field ${field} of an entry is wrong`);
}

/** The fields of an object; none of anything else. */
function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return isObject(value) ? value : {};
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
