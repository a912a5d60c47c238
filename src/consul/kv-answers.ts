import { readAnswer, type AnswerReader } from "./answers.js";
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
  // Consul answers 404 for no entries, never an empty list.
  const listIn = (json: unknown) => (isList(json) && json.length > 0 ? json : undefined);
  const reader = entryReader(answer, listIn, options);
  return readAnswer(answer, reader, "a list of key/value entries");
}

/** @throws ConsulError */
export function readResults(answer: ConsulAnswer, options: EntryOptions): readonly KVEntry[] {
  const listIn = (json: unknown) => {
    const { Results } = fieldsOf(json);
    if (Results === null) return [];
    return isList(Results) ? Results.map((result) => fieldsOf(result)["KV"]) : undefined;
  };
  const reader = entryReader(answer, listIn, options);
  return readAnswer(answer, reader, "the results of a transaction");
}

function entryReader(
  { body }: ConsulAnswer,
  listIn: (json: unknown) => readonly unknown[] | undefined,
  { valueAt }: EntryOptions,
): AnswerReader<readonly KVEntry[]> {
  return {
    safeParse: (json) => {
      const list = listIn(json);
      if (list === undefined) return { success: false, error: new TypeError("there is no list") };
      const flags = new FlagsIn(body);
      const data: KVEntry[] = [];
      for (const written of list) {
        const entry = readEntry(written, flags, valueAt);
        if (typeof entry === "string") {
          return {
            success: false,
            error: new TypeError(`${entry} of entry ${data.length} is wrong`),
          };
        }
        data.push(entry);
      }
      return { success: true, data };
    },
  };
}

/** An entry as Consul writes it; or the field of it that is wrong. */
function readEntry(
  written: unknown,
  flags: FlagsIn,
  valueAt: string | undefined,
): KVEntry | string {
  const { Key, Value, Flags, Session, CreateIndex, ModifyIndex, LockIndex } = fieldsOf(written);
  if (typeof Key !== "string") return "Key";
  const isWanted = valueAt === undefined || valueAt === Key;
  const value = isWanted && Value !== null ? bytesOf(Value) : null;
  if (value === undefined) return "Value";
  const exactFlags = flags.read(Flags);
  if (exactFlags === undefined) return "Flags";
  if (Session !== undefined && typeof Session !== "string") return "Session";
  if (!isUint64(CreateIndex)) return "CreateIndex";
  if (!isUint64(ModifyIndex)) return "ModifyIndex";
  if (!isUint64(LockIndex)) return "LockIndex";
  const createIndex = BigInt(CreateIndex);
  return {
    key: Key,
    value,
    flags: exactFlags,
    session: Session ?? null,
    createIndex,
    // Of a long list, most have not changed since.
    modifyIndex: ModifyIndex === CreateIndex ? createIndex : BigInt(ModifyIndex),
    lockIndex: LockIndex === 1 ? 1n : BigInt(LockIndex),
  };
}

/**
 * The flags of the entries of one answer. `JSON.parse` rounds those of a semaphore; but they are the
 * same in all of its entries, so that one look at the text says what they are.
 */
class FlagsIn {
  readonly #body: string;
  #last: { readonly written: unknown; readonly flags: bigint | undefined } | undefined;

  constructor(body: string) {
    this.#body = body;
  }

  /** Nothing for what is no such number, or was rounded for good. */
  read(written: unknown): bigint | undefined {
    if (this.#last?.written !== written) this.#last = { written, flags: this.#exact(written) };
    return this.#last?.flags;
  }

  #exact(written: unknown): bigint | undefined {
    if (isUint64(written)) return BigInt(written);
    const digits = typeof written === "number" ? bigFlagsIn(this.#body) : undefined;
    return isUint64(digits) && Number(digits) === written ? BigInt(digits) : undefined;
  }
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

function bytesOf(value: unknown): Uint8Array | undefined {
  const isBase64 = typeof value === "string" && value.length % 4 === 0 && BASE64.test(value);
  return isBase64 ? new Uint8Array(Buffer.from(value, "base64")) : undefined;
}

/** The fields of an object; none of anything else. */
function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return isObject(value) ? value : {};
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}
