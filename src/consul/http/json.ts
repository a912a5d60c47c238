/** A JSON string or number. Strings are matched so that digits in them are skipped. */
const STRING_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g;
const BIG_INTEGER = /^[1-9]\d{15,19}$/;

/**
 * `JSON.parse` for Consul's answers. Integers of 16 to 20 digits become strings: Consul's unsigned
 * 64-bit integers (flags, indexes) do not fit in a double, which `JSON.parse` makes of them.
 *
 * @throws SyntaxError as `JSON.parse`
 */
export function parseJson(text: string): unknown {
  const quoted = text.replace(STRING_OR_NUMBER, (token) =>
    BIG_INTEGER.test(token) ? `"${token}"` : token,
  );
  return JSON.parse(quoted);
}

/** A member that is big as a rule. It cannot match inside a string, where a backslash precedes a quote. */
const BIG_FLAGS = /"Flags"\s*:\s*([1-9]\d{15,19})(?=[,}\s])/;

/**
 * The digits of the flags in a JSON text that are big; nothing where they differ, or where there are
 * none. All that belongs to a semaphore has the same.
 */
export function bigFlagsIn(text: string): string | undefined {
  const digits = BIG_FLAGS.exec(text)?.[1];
  if (digits === undefined) return undefined;
  const others = new RegExp(`"Flags"\\s*:(?!\\s*(?:${digits}|\\d{1,15})[,}\\s])`);
  return others.test(text) ? undefined : digits;
}
