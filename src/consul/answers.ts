import { z } from "zod";

import { parseJson } from "./http/json.js";
import type { KVEntry } from "./kv-entry.js";
import type { ConsulAnswer } from "./http/transport.js";

const MAX_UINT64 = String(2n ** 64n - 1n);

/** An unsigned 64-bit integer that is no `bigint` yet. */
const uint64 = z.custom<number | string>(isUint64, "expected an unsigned 64-bit integer");

/** `parseJson` leaves the large ones as strings of digits. */
function isUint64(value: unknown): boolean {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0;
  if (typeof value !== "string" || !/^[1-9]\d{15,19}$/.test(value)) return false;
  return value.length < MAX_UINT64.length || value <= MAX_UINT64;
}

const NANOSECONDS_PER_MS = 1e6;

// Without a transform of its own: zod checks a long list several times faster so, and what a
// waiter reads at each change is one.
const kvEntrySchema = z.object({
  Key: z.string(),
  Value: z.base64().nullable(),
  Flags: uint64,
  Session: z.string().optional(),
  CreateIndex: uint64,
  ModifyIndex: uint64,
  LockIndex: uint64,
});

function toEntry(entry: z.output<typeof kvEntrySchema>): KVEntry {
  return {
    key: entry.Key,
    value: entry.Value === null ? null : new Uint8Array(Buffer.from(entry.Value, "base64")),
    flags: BigInt(entry.Flags),
    session: entry.Session ?? null,
    createIndex: BigInt(entry.CreateIndex),
    modifyIndex: BigInt(entry.ModifyIndex),
    lockIndex: BigInt(entry.LockIndex),
  };
}

// Consul answers 404 where there is nothing, and never an empty list.
export const kvEntriesSchema = z
  .array(kvEntrySchema)
  .nonempty()
  .transform((entries) => entries.map(toEntry));

export const transactionResultsSchema = z
  .object({ Results: z.array(z.object({ KV: kvEntrySchema })).nullable() })
  .transform(({ Results }) => (Results ?? []).map(({ KV }) => toEntry(KV)));

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
 * An answer's body as the type that the schema describes.
 *
 * @throws ConsulError that says what was expected and what came.
 */
export function readAnswer<Schema extends z.ZodType>(
  answer: ConsulAnswer,
  schema: Schema,
  expected: string,
): z.output<Schema> {
  let json: unknown;
  try {
    json = parseJson(answer.body);
  } catch {
    // The parser's own error quotes the body, which the error made here shows with more care.
    throw answer.malformed(`${expected} as JSON`);
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw answer.malformed(expected, { cause: parsed.error });
  return parsed.data;
}
