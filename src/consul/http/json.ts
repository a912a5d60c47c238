/**
 * A big integer as Consul writes it, in a member with a plain name. Nothing in a string looks so,
 * since a quote in there has a backslash before it.
 */
const BIG_MEMBER = /("\w+": ?)([1-9]\d{15,19})(?=[,}\s])/g;

/** A JSON string, or a JSON number: a number inside a string must not be taken for one. */
const STRING_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g;
const BIG_INTEGER = /^[1-9]\d{15,19}$/;

/**
 * `JSON.parse` for Consul's answers, whose unsigned 64-bit integers (flags, indexes) a double
 * cannot hold: integers of 16 to 20 digits come out as strings of those digits, so that `uint64`
 * in `answers.ts` can read them exactly.
 *
 * @throws SyntaxError as `JSON.parse`.
 */
export function parseJson(text: string): unknown {
  const quoted = text.replace(BIG_MEMBER, '$1"$2"');
  return JSON.parse(mayHaveBigInteger(quoted) ? quoteBigIntegers(quoted) : quoted);
}

/** Whether there are so many digits in a row that do not stand at the beginning of a string. */
function mayHaveBigInteger(json: string): boolean {
  return /(?:^|[^"\d])\d{16}/.test(json);
}

/** What always works, and takes several times as long. */
function quoteBigIntegers(json: string): string {
  return json.replace(STRING_OR_NUMBER, (token) =>
    BIG_INTEGER.test(token) ? `"${token}"` : token,
  );
}
