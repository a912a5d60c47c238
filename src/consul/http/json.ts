/** The one member that is big as a rule. It cannot match inside a string, where a backslash precedes a quote. */
const BIG_FLAGS = /"Flags": ?([1-9]\d{15,19})(?=[,}\s])/g;

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
  const quoted = text.replace(STRING_OR_NUMBER, (token) =>
    BIG_INTEGER.test(token) ? `"${token}"` : token,
  );
  return JSON.parse(quoted);
}

/**
 * The same for flags alone, in a fraction of the time. Any other big integer is rounded, to one that
 * is not safe.
 *
 * @throws SyntaxError as `JSON.parse`
 */
export function parseJsonQuickly(text: string): unknown {
  return JSON.parse(text.replace(BIG_FLAGS, '"Flags":"$1"'));
}
