import { inspect } from "node:util";

/** A value as an error shows it, and its type. What an object holds may be a secret. */
export function show(value: unknown): string {
  const isPlain = Object.prototype.toString.call(value) === "[object Object]";
  const shown =
    isPlain && typeof value === "object" && value !== null
      ? `{ ${Object.keys(value).join(", ")} }`
      : inspect(value, { breakLength: Infinity, depth: -1 });
  return `${shown} (${typeof value})`;
}
