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
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  const quoted = text.replace(STRING_OR_NUMBER, (token) =>
    BIG_INTEGER.test(token) ? `"${token}"` : token,
  );
  return JSON.parse(quoted);
}
