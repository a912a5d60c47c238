const MAX_UINT64 = String(2n ** 64n - 1n);

/** An unsigned 64-bit integer, before its conversion to `bigint`: `parseJson` makes strings of large ones. */
export type Uint64 = number | string;

export function isUint64(value: unknown): value is Uint64 {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0;
  if (typeof value !== "string" || !/^[1-9]\d{15,19}$/.test(value)) return false;
  return value.length < MAX_UINT64.length || value <= MAX_UINT64;
}
