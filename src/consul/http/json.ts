/** The one member that is big as a rule. It cannot match inside a string, where a backslash precedes a quote. */
const BIG_FLAGS = /"Flags": ?([1-9]\d{15,19})(?=[,}\s])/g;

/** Digits that may be a big integer: in front of a number stands one of these, or nothing. */
const BIG_DIGITS = /(?:^|[:,[\s])\d{16}/;

/** A JSON string or number. Strings are matched so that digits in them are skipped. */
const STRING_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g;
const BIG_INTEGER = /^[1-9]\d{15,19}$/;

/**
 * `JSON.parse` for Consul's answers. Integers of 16 to 20 digits become strings: Consul's unsigned
 * 64-bit integers (flags, indexes) do not fit in a double, and `uint64` in `answers.ts` reads them
 * exactly.
 *
 * @throws SyntaxError as `JSON.parse`
 */
export function parseJson(text: string): unknown {
  const quoted = text.replace(BIG_FLAGS, '"Flags":"$1"');
  return JSON.parse(BIG_DIGITS.test(quoted) ? quoteBigIntegers(quoted) : quoted);
}

/** Works for any JSON, but takes several times as long. */
function quoteBigIntegers(json: string): string {
  return json.replace(STRING_OR_NUMBER, (token) =>
    BIG_INTEGER.test(token) ? `"${token}"` : token,
  );
}
