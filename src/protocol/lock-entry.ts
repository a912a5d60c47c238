import { SemaphoreConflictError, SemaphoreDecodingError } from "../errors.js";

/**
 * The flags on every entry of a semaphore, by which a conflict with Consul's single lock is noticed
 * (Go: `SemaphoreFlagValue`). It does not fit in a double.
 *
 * @example
 * ```ts
 * const { value: lock } = await consul.kv.get("jobs/resize/.lock");
 * console.log(lock?.flags === SEMAPHORE_FLAG_VALUE ? "a semaphore" : "something else");
 * ```
 */
export const SEMAPHORE_FLAG_VALUE = 0xe0f69a2baa414de0n;

/** What the lock entry's value says (Go: `semaphoreLock`). */
export interface LockValue {
  readonly limit: number;
  /** The sessions of the holders. */
  readonly holders: ReadonlySet<string>;
}

/** The lock entry as it was at one moment. */
export interface LockState {
  /** `undefined` where nobody has written a lock yet. */
  readonly limit: number | undefined;
  /** The sessions that it names, dead ones included. */
  readonly holders: ReadonlySet<string>;
  /** For a check-and-set; 0 where there is no entry. */
  readonly modifyIndex: bigint;
}

/**
 * What a lock entry says.
 *
 * @throws SemaphoreConflictError for an entry that no semaphore wrote. Flags of 0 are those of Go's
 *   first release; the next swap puts that right.
 * @throws SemaphoreDecodingError
 */
export function readLockEntry(
  entry: {
    readonly flags: bigint;
    readonly value: Uint8Array | null;
    readonly modifyIndex: bigint;
  } | null,
): LockState {
  if (entry === null) return { limit: undefined, holders: new Set(), modifyIndex: 0n };
  const { flags, value, modifyIndex } = entry;
  if (flags !== SEMAPHORE_FLAG_VALUE && flags !== 0n) throw new SemaphoreConflictError();
  if (value === null) return { limit: undefined, holders: new Set(), modifyIndex };
  const lock = decodeLock(value);
  // Anybody's JSON may have flags 0. A lock without a limit is none of a semaphore's.
  if (flags === 0n && lock.limit === 0) throw new SemaphoreConflictError();
  return { limit: lock.limit, holders: lock.holders, modifyIndex };
}

function isLimit(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function isHolders(value: unknown): value is object {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((flag) => flag === null || typeof flag === "boolean")
  );
}

/**
 * Reads a lock entry's value with the tolerance of Go's JSON decoder: field names in any case,
 * unknown fields, `null` for a field or for the whole, which leaves it at its zero.
 *
 * @throws SemaphoreDecodingError where Go's decoder would fail as well; but 3.0 counts as 3 here.
 */
export function decodeLock(value: Uint8Array): LockValue {
  const text = Buffer.from(value.buffer, value.byteOffset, value.length).toString("utf8");
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new SemaphoreDecodingError(`the value ${quote(text)} is not JSON`, error);
  }
  let limit = 0;
  let holders: readonly string[] = [];
  for (const [name, field] of Object.entries(asObject(json, text))) {
    switch (name.toLowerCase()) {
      case "limit":
        if (field !== null) limit = readField(isLimit, field, name, text);
        break;
      case "holders":
        // A holder is one by being listed, whatever stands behind its name.
        holders = field === null ? [] : Object.keys(readField(isHolders, field, name, text));
        break;
    }
  }
  return { limit, holders: new Set(holders) };
}

/** A lock entry's value, to the byte as Go's JSON encoder writes it: its map keys sorted. */
export function encodeLock({ limit, holders }: LockValue): string {
  const fields = [...holders].sort().map((session) => `${JSON.stringify(session)}:true`);
  return `{"Limit":${limit},"Holders":{${fields.join(",")}}}`;
}

function asObject(json: unknown, text: string): object {
  if (json === null) return {};
  if (typeof json !== "object" || Array.isArray(json)) {
    throw new SemaphoreDecodingError(`the value ${quote(text)} is not a JSON object`);
  }
  return json;
}

function readField<Value>(
  isRight: (field: unknown) => field is Value,
  field: unknown,
  name: string,
  text: string,
): Value {
  if (isRight(field)) return field;
  throw new SemaphoreDecodingError(`the field ${quote(name)} of ${quote(text)} has the wrong type`);
}

function quote(text: string): string {
  return JSON.stringify(text.length <= 200 ? text : `${text.slice(0, 200)}…`);
}
