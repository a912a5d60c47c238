import { z } from "zod";

import { parseJson, parseJsonQuickly } from "./http/json.js";
import type { KVEntry } from "./kv-entry.js";
import type { ConsulAnswer } from "./http/transport.js";

const MAX_UINT64 = String(2n ** 64n - 1n);

/** An unsigned 64-bit integer, before its conversion to `bigint`. */
const uint64 = z.custom<number | string>(isUint64, "expected an unsigned 64-bit integer");

/** `parseJson` returns large integers as strings of digits. */
function isUint64(value: unknown): boolean {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0;
  if (typeof value !== "string" || !/^[1-9]\d{15,19}$/.test(value)) return false;
  return value.length < MAX_UINT64.length || value <= MAX_UINT64;
}

/** Cheaper than zod's own check, which decodes. */
const base64 = z.custom<string>(
  (value) => typeof value === "string" && value.length % 4 === 0 && BASE64.test(value),
  "expected base64",
);
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

const NANOSECONDS_PER_MS = 1e6;

const kvEntrySchema = z.object({
  Key: z.string(),
  Value: base64.nullable(),
  Flags: uint64,
  Session: z.string().optional(),
  CreateIndex: uint64,
  ModifyIndex: uint64,
  LockIndex: uint64,
});

// Consul answers 404 for no entries, never an empty list.
const kvEntriesSchema = z.array(kvEntrySchema).nonempty();

const transactionResultsSchema = z.object({
  Results: z.array(z.object({ KV: kvEntrySchema })).nullable(),
});

// The entries are converted outside of the schemas: zod checks a long list faster without transforms.

/** @throws ConsulError */
export function readEntries(answer: ConsulAnswer): readonly KVEntry[] {
  return toEntries(readAnswer(answer, kvEntriesSchema, "a list of key/value entries"));
}

/** @throws ConsulError */
export function readResults(answer: ConsulAnswer): readonly KVEntry[] {
  const { Results } = readAnswer(answer, transactionResultsSchema, "the results of a transaction");
  return toEntries((Results ?? []).map(({ KV }) => KV));
}

function toEntries(entries: readonly z.output<typeof kvEntrySchema>[]): readonly KVEntry[] {
  // Most entries of a list have the same.
  const [first] = entries;
  const flags = BigInt(first?.Flags ?? 0);
  return entries.map((entry) =>
    toEntry(entry, entry.Flags === first?.Flags ? flags : BigInt(entry.Flags)),
  );
}

function toEntry(entry: z.output<typeof kvEntrySchema>, flags: bigint): KVEntry {
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
