/**
 * A big integer in a member, as Consul writes it. It cannot match inside a string, where a
 * backslash precedes a quote.
 */
const BIG_MEMBER = /("\w+": ?)([1-9]\d{15,19})(?=[,}\s])/g;

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
  const quoted = text.replace(BIG_MEMBER, '$1"$2"');
  return JSON.parse(mayHaveBigInteger(quoted) ? quoteBigIntegers(quoted) : quoted);
}

/** Whether there are 16 digits in a row that do not start a string. */
function mayHaveBigInteger(json: string): boolean {
  return /(?:^|[^"\d])\d{16}/.test(json);
}

/** Works for any JSON, but takes several times as long. */
function quoteBigIntegers(json: string): string {
  return json.replace(STRING_OR_NUMBER, (token) =>
    BIG_INTEGER.test(token) ? `"${token}"` : token,
  );
}
