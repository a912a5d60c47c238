import { HttpFailure, text } from "./answers.js";
import { GoDurationError, MINUTE, parseGoDuration, toMilliseconds } from "./go-duration.js";
import type { HttpCall } from "./http-call.js";
import { parseUint64, Uint64Error } from "./uint64.js";

/** The options of a read. */
export interface QueryOptions {
  /** The index after which to answer; 0 to answer at once. */
  readonly minIndex: bigint;
  /** The longest wait for it, in milliseconds. */
  readonly wait: number;
  readonly consistent: boolean;
}

/** Go: `DefaultQueryTime`. */
const DEFAULT_WAIT = 5n * MINUTE;
/** Go: `MaxQueryTime`. */
const LONGEST_WAIT = 10n * MINUTE;

/** @throws HttpFailure */
export function queryOptionsOf(call: HttpCall): QueryOptions {
  const consistent = call.query.has("consistent");
  if (consistent && call.query.has("stale")) {
    throw badRequest("Cannot specify ?stale with ?consistent, conflicting semantics.");
  }
  if (consistent && call.query.has("cached")) {
    throw badRequest("Cannot specify ?cached with ?consistent, conflicting semantics.");
  }
  const wait = waitOf(call.parameter("wait"));
  return { minIndex: indexOf(call.parameter("index")), wait, consistent };
}

function waitOf(written: string): number {
  if (written === "") return toMilliseconds(DEFAULT_WAIT);
  try {
    const wait = parseGoDuration(written);
    if (wait > LONGEST_WAIT) return toMilliseconds(LONGEST_WAIT);
    return toMilliseconds(wait <= 0n ? DEFAULT_WAIT : wait);
  } catch (error) {
    throw error instanceof GoDurationError ? badRequest("Invalid wait time") : error;
  }
}

function indexOf(written: string): bigint {
  if (written === "") return 0n;
  try {
    return parseUint64(written);
  } catch (error) {
    throw error instanceof Uint64Error ? badRequest("Invalid index") : error;
  }
}

function badRequest(problem: string): HttpFailure {
  return new HttpFailure(text(400, problem));
}
