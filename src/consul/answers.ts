import { z } from "zod";

import { parseJson, parseJsonQuickly } from "./http/json.js";
import type { KVEntry } from "./kv-entry.js";
import type { ConsulAnswer } from "./http/transport.js";

const MAX_UINT64 = String(2n ** 64n - 1n);

/** An unsigned 64-bit integer, before its conversion to `bigint`. */
type Uint64 = number | string;

const uint64 = z.custom<Uint64>(isUint64, "expected an unsigned 64-bit integer");

/** `parseJson` returns large integers as strings of digits. */
function isUint64(value: unknown): value is Uint64 {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0;
  if (typeof value !== "string" || !/^[1-9]\d{15,19}$/.test(value)) return false;
  return value.length < MAX_UINT64.length || value <= MAX_UINT64;
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

function isBase64(value: unknown): value is string {
  return typeof value === "string" && value.length % 4 === 0 && BASE64.test(value);
}

const NANOSECONDS_PER_MS = 1e6;

/** An entry as Consul writes it. */
interface WrittenEntry {
  readonly Key: string;
  readonly Value: string | null;
  readonly Flags: Uint64;
  readonly Session?: string;
  readonly CreateIndex: Uint64;
  readonly ModifyIndex: Uint64;
  readonly LockIndex: Uint64;
}

const FIELDS: Readonly<Record<keyof WrittenEntry, (value: unknown) => boolean>> = {
  Key: (value) => typeof value === "string",
  Value: (value) => value === null || isBase64(value),
  Flags: isUint64,
  Session: (value) => value === undefined || typeof value === "string",
  CreateIndex: isUint64,
  ModifyIndex: isUint64,
  LockIndex: isUint64,
};
const FIELD_CHECKS = Object.entries(FIELDS);

/** The field of an entry that is wrong, if any. */
function wrongField(value: unknown): string | undefined {
  if (!isObject(value)) return "all of it";
  return FIELD_CHECKS.find(([name, isRight]) => !isRight(value[name]))?.[0];
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

// Of a long list, zod's own schema of an object makes copies, which costs as much as to parse it.
const kvEntrySchema = z.custom<WrittenEntry>((value) => wrongField(value) === undefined, {
  error: ({ input }) => `expected a key/value entry, ${wrongField(input)} is wrong`,
});

// Consul answers 404 for no entries, never an empty list.
const kvEntriesSchema = z.array(kvEntrySchema).nonempty();

const transactionResultsSchema = z.object({
  Results: z.array(z.object({ KV: kvEntrySchema })).nullable(),
});

/** @throws ConsulError */
export function readEntries(answer: ConsulAnswer): readonly KVEntry[] {
  return toEntries(readAnswer(answer, kvEntriesSchema, "a list of key/value entries"));
}

/** @throws ConsulError */
export function readResults(answer: ConsulAnswer): readonly KVEntry[] {
  const { Results } = readAnswer(answer, transactionResultsSchema, "the results of a transaction");
  return toEntries((Results ?? []).map(({ KV }) => KV));
}

function toEntries(entries: readonly WrittenEntry[]): readonly KVEntry[] {
  // Most entries of a list have the same.
  const [first] = entries;
  const flags = BigInt(first?.Flags ?? 0);
  return entries.map((entry) =>
    toEntry(entry, entry.Flags === first?.Flags ? flags : BigInt(entry.Flags)),
  );
}

function toEntry(entry: WrittenEntry, flags: bigint): KVEntry {
  const createIndex = BigInt(entry.CreateIndex);
  return {
    key: entry.Key,
    value: entry.Value === null ? null : new Uint8Array(Buffer.from(entry.Value, "base64")),
    flags,
    session: entry.Session ?? null,
    createIndex,
    // Of a long list, most have not changed since.
    modifyIndex: entry.ModifyIndex === entry.CreateIndex ? createIndex : BigInt(entry.ModifyIndex),
    lockIndex: entry.LockIndex === 1 ? 1n : BigInt(entry.LockIndex),
  };
}

export const transactionErrorsSchema = z
  .object({ Errors: z.array(z.object({ OpIndex: z.int(), What: z.string() })).nonempty() })
  .transform(({ Errors }) =>
    Errors.map(({ OpIndex, What }) => ({ operation: OpIndex, what: What })),
  );

export const writeResultSchema = z.boolean();

export const sessionIdSchema = z.object({ ID: z.string().min(1) }).transform(({ ID }) => ID);

const checkIds = z.array(z.string()).nullable().optional();

export const sessionEntriesSchema = z.array(
  z
    .object({
      ID: z.string().min(1),
      Name: z.string(),
      Node: z.string(),
      LockDelay: z.number(),
      Behavior: z.string(),
      TTL: z.string(),
      Checks: checkIds,
      NodeChecks: checkIds,
      CreateIndex: uint64,
      ModifyIndex: uint64,
    })
    .transform((entry) => ({
      id: entry.ID,
      name: entry.Name,
      node: entry.Node,
      lockDelay: entry.LockDelay / NANOSECONDS_PER_MS,
      behavior: entry.Behavior,
      ttl: entry.TTL,
      checks: [...new Set([...(entry.NodeChecks ?? []), ...(entry.Checks ?? [])])],
      createIndex: BigInt(entry.CreateIndex),
      modifyIndex: BigInt(entry.ModifyIndex),
    })),
);

/**
 * Parses the body of an answer and checks it by the schema.
 *
 * @throws ConsulError that names what was expected and shows what was received
 */
export function readAnswer<Schema extends z.ZodType>(
  answer: ConsulAnswer,
  schema: Schema,
  expected: string,
): z.output<Schema> {
  const quick = parse(answer, schema, expected, parseJsonQuickly);
  if (quick.success) return quick.data;
  // It may be for an index beyond 2^53.
  const exact = parse(answer, schema, expected, parseJson);
  if (exact.success) return exact.data;
  throw answer.malformed(expected, { cause: exact.error });
}

function parse<Schema extends z.ZodType>(
  answer: ConsulAnswer,
  schema: Schema,
  expected: string,
  parseText: (text: string) => unknown,
): z.ZodSafeParseResult<z.output<Schema>> {
  let json: unknown;
  try {
    json = parseText(answer.body);
  } catch {
    // The parser's own error is dropped: it quotes the body, which may contain a secret.
    throw answer.malformed(`${expected} as JSON`);
  }
  return schema.safeParse(json);
}
