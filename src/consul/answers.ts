import { z } from "zod";

import { NANOSECONDS_PER_MS } from "./duration.js";
import { parseJson } from "./http/json.js";
import type { ConsulAnswer } from "./http/transport.js";
import { isUint64, type Uint64 } from "./uint64.js";

const uint64 = z.custom<Uint64>(isUint64, "expected an unsigned 64-bit integer");

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

/** Checks and converts the JSON of an answer: a schema of zod's, or the like. */
export interface AnswerReader<Result> {
  /** Throws for JSON that is not as expected. */
  parse(json: unknown): Result;
}

/**
 * Parses the body of an answer and reads it.
 *
 * @throws ConsulError that names what was expected and shows what was received
 */
export function readAnswer<Result>(
  answer: ConsulAnswer,
  reader: AnswerReader<Result>,
  expected: string,
): Result {
  const rounded = parsed(answer, expected, JSON.parse);
  try {
    return reader.parse(rounded);
  } catch {
    // It may be for an integer beyond 2^53.
  }
  const exact = parsed(answer, expected, parseJson);
  try {
    return reader.parse(exact);
  } catch (cause) {
    throw answer.malformed(expected, { cause });
  }
}

function parsed(answer: ConsulAnswer, expected: string, parse: (text: string) => unknown): unknown {
  try {
    return parse(answer.body);
  } catch {
    // The parser's own error is dropped: it quotes the body, which may contain a secret.
    throw answer.malformed(`${expected} as JSON`);
  }
}
