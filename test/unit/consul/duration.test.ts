import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { formatDuration, goDuration, parseDuration } from "../../../src/consul/duration.js";

/** A duration and its nanoseconds, as Go 1.19's `time.ParseDuration` reads it. */
const READ_BY_GO: readonly (readonly [string, bigint])[] = [
  ["0", 0n],
  ["-0", 0n],
  ["+0", 0n],
  ["0s", 0n],
  ["-0s", 0n],
  ["5s", 5_000_000_000n],
  ["30s", 30_000_000_000n],
  ["1478s", 1_478_000_000_000n],
  ["-5s", -5_000_000_000n],
  ["+5s", 5_000_000_000n],
  ["01s", 1_000_000_000n],
  ["5.0s", 5_000_000_000n],
  ["5.6s", 5_600_000_000n],
  ["5.s", 5_000_000_000n],
  [".5s", 500_000_000n],
  ["-.5s", -500_000_000n],
  ["1.0s", 1_000_000_000n],
  ["1.00s", 1_000_000_000n],
  ["1.004s", 1_004_000_000n],
  ["1.0040s", 1_004_000_000n],
  ["100.00100s", 100_001_000_000n],
  ["1ns", 1n],
  ["10ns", 10n],
  ["11us", 11_000n],
  ["12\u00b5s", 12_000n],
  ["12\u03bcs", 12_000n],
  ["13ms", 13_000_000n],
  ["14s", 14_000_000_000n],
  ["15m", 900_000_000_000n],
  ["16h", 57_600_000_000_000n],
  ["1.5m", 90_000_000_000n],
  ["0.25h", 900_000_000_000n],
  ["3h30m", 12_600_000_000_000n],
  ["1m30s", 90_000_000_000n],
  ["10.5s4m", 250_500_000_000n],
  ["1ms1ms", 2_000_000n],
  ["1h1h", 7_200_000_000_000n],
  ["-2m3.4s", -123_400_000_000n],
  ["1h2m3s4ms5us6ns", 3_723_004_005_006n],
  ["39h9m14.425s", 140_954_425_000_000n],
  ["52763797000ns", 52_763_797_000n],
  ["0.3333333333333333333h", 1_200_000_000_000n],
  ["0.100000000000000000000h", 360_000_000_000n],
  ["0.830103483285477580700h", 2_988_372_539_827n],
  ["9007199254740993ns", 9_007_199_254_740_993n],
  ["2562047h", 9_223_369_200_000_000_000n],
];

/** What Go 1.19's `time.ParseDuration` refuses. */
const REFUSED_BY_GO: readonly string[] = [
  "",
  "3",
  "-",
  "s",
  ".",
  "-.",
  ".s",
  "+.s",
  "1d",
  "1w",
  "1 s",
  " 1s",
  "1s ",
  "1s\n",
  "1S",
  "1H",
  "1e3s",
  "--1s",
  "+-1s",
  "-+5s",
  "1s-1s",
  "1,5s",
  "1.2.3s",
  "0x10s",
  "１s",
  "1m30",
  "NaN",
  "Infinity",
  "1\u00b5",
  "1_000s",
  "3000000h",
  "2562048h",
  "9223372036854775808ns",
  "-9223372036854775809ns",
  "9223372036854775807s",
];

const NANOSECOND_IN_MS = 1e-6;

/** A double holds the nanoseconds of 104 days exactly; beyond, its 53 bits set the tolerance. */
function expectSameDuration(ms: number, expected: number): void {
  const tolerance = NANOSECOND_IN_MS + Math.abs(expected) * 1e-14;
  expect(Math.abs(ms - expected)).toBeLessThanOrEqual(tolerance);
}

describe("parsing a duration", () => {
  test.each(READ_BY_GO)("reads %j as %s ns, as Go does", (text, nanoseconds) => {
    expectSameDuration(parseDuration(text), Number(nanoseconds) * NANOSECOND_IN_MS);
  });

  test.each(REFUSED_BY_GO)("refuses %j, as Go does, and shows it", (text) => {
    expect(() => parseDuration(text)).toThrow(RangeError);
    expect(() => parseDuration(text)).toThrow(`time: invalid duration ${JSON.stringify(text)}`);
  });

  test.each([0, 1, 1.5, -1, 15_000, 9e12])("takes the number %d as milliseconds", (ms) => {
    expect(parseDuration(ms)).toBe(ms);
  });

  test.each([NaN, Infinity, -Infinity, 2 ** 63 / 1e6, -1e300])("refuses the number %d", (ms) => {
    expect(() => parseDuration(ms)).toThrow(RangeError);
    expect(() => parseDuration(ms)).toThrow(`time: invalid duration ${ms} `);
  });

  test("says what it expects instead", () => {
    expect(() => parseDuration("soon")).toThrow('(expected a Go duration such as "15s"');
  });

  const MS_PER_UNIT = {
    ns: 1e-6,
    us: 1e-3,
    "\u00b5s": 1e-3,
    "\u03bcs": 1e-3,
    ms: 1,
    s: 1e3,
    m: 6e4,
    h: 3.6e6,
  };
  const part = fc
    .record({
      whole: fc.nat({ max: 9_999 }),
      fraction: fc.option(fc.stringMatching(/^\d{0,6}$/)),
      unit: fc.constantFrom(
        ...([
          "ns",
          "us",
          "\u00b5s",
          "\u03bcs",
          "ms",
          "s",
          "m",
          "h",
        ] satisfies (keyof typeof MS_PER_UNIT)[]),
      ),
    })
    .map(({ whole, fraction, unit }) => ({
      text: `${whole}${fraction === null ? "" : `.${fraction}`}${unit}`,
      ms: Number(`${whole}.${fraction ?? "0"}`) * MS_PER_UNIT[unit],
    }));
  const parts = fc.array(part, { minLength: 1, maxLength: 6 });

  test("adds up the parts, whatever their order", () => {
    fc.assert(
      fc.property(parts, fc.constantFrom("", "+", "-"), (sum, sign) => {
        const text = sign + sum.map((one) => one.text).join("");
        const ms = sum.reduce((total, one) => total + one.ms, 0);
        expectSameDuration(parseDuration(text), sign === "-" ? -ms : ms);
      }),
    );
  });

  test("either reads a string or refuses it with a RangeError that shows it", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.stringMatching(/^[-+]?(\d*\.?\d*(ns|us|ms|s|m|h|d| )?){1,3}$/)),
        (text) => {
          try {
            expect(Number.isFinite(parseDuration(text))).toBe(true);
          } catch (error) {
            expect(error).toBeInstanceOf(RangeError);
            expect(String(error)).toContain(JSON.stringify(text));
          }
        },
      ),
    );
  });
});

describe("formatting a duration", () => {
  test.each([
    [0, "0ms"],
    [1, "1ms"],
    [10, "10ms"],
    [15_000, "15000ms"],
    [1_000_000, "1000000ms"],
    [0.5, "0.5ms"],
    [1.25, "1.25ms"],
    [100.001, "100.001ms"],
    [0.000001, "0.000001ms"],
    [0.1 + 0.2, "0.3ms"],
    [1e-7, "0ms"],
    [1e12, "1000000000000ms"],
    [-5, "-5ms"],
  ])("writes the number %d as %j", (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  test.each(["15s", "1m30s", ".5h", "12\u00b5s", "0"])("leaves %j as it is", (text) => {
    expect(formatDuration(text)).toBe(text);
  });

  test.each(["", "15", "soon", NaN, Infinity])("refuses %j", (duration) => {
    expect(() => formatDuration(duration)).toThrow(RangeError);
  });

  test("writes every number of milliseconds so that parsing gives it back", () => {
    const milliseconds = fc.oneof(
      fc.integer(),
      fc.double({ min: -9e12, max: 9e12, noNaN: true }),
      fc.double({ min: -1, max: 1, noNaN: true }),
    );
    fc.assert(
      fc.property(milliseconds, (ms) => {
        const text = formatDuration(ms);
        expect(text).toMatch(/^-?\d+(\.\d*[1-9])?ms$/);
        expectSameDuration(parseDuration(text), ms);
      }),
    );
  });
});

describe("a number of milliseconds as Go prints it", () => {
  test.each([
    [0, "0s"],
    [0.25, "250µs"],
    [250, "250ms"],
    [999.5, "999.5ms"],
    [1_500, "1.5s"],
    [30_000, "30s"],
    [60_000, "1m0s"],
    [90_500, "1m30.5s"],
    [3_600_000, "1h0m0s"],
    [86_400_000, "24h0m0s"],
  ])("is %d as %j", (ms, text) => {
    expect(goDuration(ms)).toBe(text);
  });
});
