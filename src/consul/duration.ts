/**
 * A length of time (Go: `time.Duration`): a Go duration string (`"15s"`, `"1m30s"`, `"250ms"`), or
 * a number of milliseconds. The units are `h`, `m`, `s`, `ms`, `us`, `µs` and `ns`. A string
 * without a unit is invalid, except `"0"`.
 *
 * @example
 * ```ts
 * const sameTwice: readonly Duration[] = ["1m30s", 90_000];
 * ```
 */
export type Duration = string | number;

const GO_DURATION = /^([-+]?)((?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/;
const GO_DURATION_PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g;

const MS_PER_UNIT: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3, // U+00B5, the micro sign
  μs: 1e-3, // U+03BC, the Greek letter mu
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

export const NANOSECONDS_PER_MS = 1e6;
/** A Go duration has 63 bits of nanoseconds: about 292 years. */
const LONGEST_MS = 2 ** 63 / NANOSECONDS_PER_MS;

/**
 * Parses a duration as Go's `time.ParseDuration` does. Returns milliseconds.
 *
 * @throws RangeError with Go's message and the value
 */
export function parseDuration(duration: Duration): number {
  const ms = typeof duration === "number" ? duration : parseGoDuration(duration);
  if (!Number.isFinite(ms) || Math.abs(ms) >= LONGEST_MS) {
    throw new RangeError(
      `time: invalid duration ${typeof duration === "string" ? JSON.stringify(duration) : String(duration)} ` +
        `(expected a Go duration such as "15s" or "1m30s", or a number of milliseconds)`,
    );
  }
  return ms;
}

function parseGoDuration(text: string): number {
  if (/^[-+]?0$/.test(text)) return 0;
  const [, sign, parts] = GO_DURATION.exec(text) ?? [];
  if (parts === undefined) return NaN;
  let ms = 0;
  for (const [, amount, unit] of parts.matchAll(GO_DURATION_PART)) {
    ms += Number(amount) * (MS_PER_UNIT[unit ?? ""] ?? NaN);
  }
  return sign === "-" ? -ms : ms;
}

/**
 * Formats a duration as Go can parse it. A string stays as it is, a number becomes milliseconds.
 */
export function formatDuration(duration: Duration): string {
  parseDuration(duration);
  if (typeof duration === "string") return duration;
  // Go accepts no exponents, and its resolution is a nanosecond.
  return `${duration.toFixed(6).replace(/\.?0+$/, "")}ms`;
}

/** A time in milliseconds, of 0 or more, as Go prints it: `1.5s`, `1m30s`, `250ms`. */
export function goDuration(ms: number): string {
  const decimal = (amount: number): string => String(Number(amount.toFixed(6)));
  if (ms > 0 && ms < 1) return `${decimal(ms * 1_000)}µs`;
  if (ms > 0 && ms < 1_000) return `${decimal(ms)}ms`;
  const minutes = Math.floor(ms / 60_000);
  const seconds = `${decimal((ms % 60_000) / 1_000)}s`;
  if (minutes === 0) return seconds;
  const hours = Math.floor(minutes / 60);
  return hours === 0 ? `${minutes}m${seconds}` : `${hours}h${minutes % 60}m${seconds}`;
}
