import { goQuoted } from "./go-quote.js";

/** A Go duration: whole nanoseconds in 64 bits. */
export type Nanoseconds = bigint;

export const NANOSECOND: Nanoseconds = 1n;
export const MICROSECOND: Nanoseconds = 1_000n;
export const MILLISECOND: Nanoseconds = 1_000_000n;
export const SECOND: Nanoseconds = 1_000_000_000n;
export const MINUTE: Nanoseconds = 60n * SECOND;
export const HOUR: Nanoseconds = 60n * MINUTE;

const LONGEST: Nanoseconds = 2n ** 63n - 1n;

const UNITS = new Map([
  ["ns", NANOSECOND],
  ["us", MICROSECOND],
  ["µs", MICROSECOND], // U+00B5, the micro sign
  ["μs", MICROSECOND], // U+03BC, the Greek letter mu
  ["ms", MILLISECOND],
  ["s", SECOND],
  ["m", MINUTE],
  ["h", HOUR],
]);

/** An amount, and the text up to the next amount. */
const PART = /^(\d*)(?:\.(\d*))?([^.\d]*)/;

/** An invalid duration. The message is Go's. */
export class GoDurationError extends Error {
  override readonly name = "GoDurationError";
}

/**
 * Go's `time.ParseDuration`.
 *
 * @throws GoDurationError
 */
export function parseGoDuration(text: string): Nanoseconds {
  const invalid = (): Error => new GoDurationError(`time: invalid duration ${goQuoted(text)}`);
  const negative = text.startsWith("-");
  let rest = negative || text.startsWith("+") ? text.slice(1) : text;
  if (rest === "0") return 0n;
  if (rest === "") throw invalid();
  let sum = 0n;
  while (rest !== "") {
    const [part = "", whole = "", fraction = "", unitName = ""] = PART.exec(rest) ?? [];
    if (whole === "" && fraction === "") throw invalid();
    if (unitName === "") {
      throw new GoDurationError(`time: missing unit in duration ${goQuoted(text)}`);
    }
    const unit = UNITS.get(unitName);
    if (unit === undefined) {
      throw new GoDurationError(
        `time: unknown unit ${goQuoted(unitName)} in duration ${goQuoted(text)}`,
      );
    }
    sum += BigInt(whole === "" ? "0" : whole) * unit;
    if (fraction !== "") sum += (BigInt(fraction) * unit) / 10n ** BigInt(fraction.length);
    if (sum > LONGEST) throw invalid();
    rest = rest.slice(part.length);
  }
  return negative ? -sum : sum;
}

/** A duration of 0 or more as Go prints it: `1.5s`, `24h0m0s`, `10ms`. */
export function formatGoDuration(duration: Nanoseconds): string {
  if (duration === 0n) return "0s";
  if (duration < MICROSECOND) return `${duration}ns`;
  if (duration < MILLISECOND) return `${decimal(duration, MICROSECOND)}µs`;
  if (duration < SECOND) return `${decimal(duration, MILLISECOND)}ms`;
  const hours = duration / HOUR;
  const minutes = (duration % HOUR) / MINUTE;
  const seconds = decimal(duration % MINUTE, SECOND);
  if (hours > 0n) return `${hours}h${minutes}m${seconds}s`;
  return minutes > 0n ? `${minutes}m${seconds}s` : `${seconds}s`;
}

function decimal(duration: Nanoseconds, unit: Nanoseconds): string {
  const digits = unit.toString().length - 1;
  const fraction = (duration % unit).toString().padStart(digits, "0").replace(/0+$/, "");
  return `${duration / unit}${fraction === "" ? "" : `.${fraction}`}`;
}

export function toMilliseconds(duration: Nanoseconds): number {
  return Number(duration) / Number(MILLISECOND);
}
