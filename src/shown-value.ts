import { inspect } from "node:util";

/** A value as an error shows it. What an object holds may be a secret. */
export function shown(value: unknown): string {
  const isPlain =
    typeof value === "object" &&
    value !== null &&
    Object.getPrototypeOf(value) === Object.prototype;
  return isPlain
    ? `{ ${Object.keys(value).join(", ")} }`
    : inspect(value, { breakLength: Infinity, depth: -1 });
}

/** The same with its type. */
export function shownWithType(value: unknown): string {
  return `${shown(value)} (${typeof value})`;
}
