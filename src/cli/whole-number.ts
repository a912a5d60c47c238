import { UsageError } from "./exit-error.js";

/** What a text of the command line says; whether the number makes sense is for others to tell. */
export function wholeNumber(name: string, text: string): number {
  if (/^-?\d+$/.test(text)) return Number(text);
  throw new UsageError(`invalid ${name} ${JSON.stringify(text)}: expected a whole number`);
}
