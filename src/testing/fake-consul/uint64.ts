import { goQuoted } from "./go-quote.js";

const MAX_UINT64 = 2n ** 64n - 1n;

/** An invalid unsigned 64-bit integer. The message is Go's. */
export class Uint64Error extends Error {
  override readonly name = "Uint64Error";
}

/**
 * Go's `strconv.ParseUint` with base 10.
 *
 * @throws Uint64Error
 */
export function parseUint64(text: string): bigint {
  const fail = (why: string): Error =>
    new Uint64Error(`strconv.ParseUint: parsing ${goQuoted(text)}: ${why}`);
  if (!/^\d+$/.test(text)) throw fail("invalid syntax");
  const value = BigInt(text);
  if (value > MAX_UINT64) throw fail("value out of range");
  return value;
}
