const NEEDS_NO_ESCAPE = /^[ !#-%'-;=?-[\]-~]*$/;

const ESCAPED_BY_GO: Readonly<Record<string, string>> = {
  "<": "\\u003c",
  ">": "\\u003e",
  "&": "\\u0026",
  "\u2028": "\\u2028",
  "\u2029": "\\u2029",
  "\\b": "\\u0008",
  "\\f": "\\u000c",
};

/** A string in JSON as Go writes it: fit for HTML, too. */
export function jsonString(text: string): string {
  if (NEEDS_NO_ESCAPE.test(text)) return `"${text}"`;
  // A pair of backslashes is matched so that its second one is not taken for the start of an escape.
  return JSON.stringify(text).replace(
    /\\\\|\\b|\\f|[<>&\u2028\u2029]/g,
    (found) => ESCAPED_BY_GO[found] ?? found,
  );
}

/** A list in JSON; `null` is Go's for a list that was never made. */
export function jsonArray(items: readonly string[] | null): string {
  return items === null ? "null" : `[${items.join(",")}]`;
}

/** The same JSON on many lines, as Go's `json.MarshalIndent` does it for `?pretty`. */
export function indented(json: string): string {
  let depth = 0;
  const lineBreak = (): string => `\n${"    ".repeat(depth)}`;
  return json.replace(/"(?:[^"\\]|\\.)*"|\[\]|\{\}|[[\]{},:]/g, (token) => {
    switch (token) {
      case "{":
      case "[":
        depth += 1;
        return token + lineBreak();
      case "}":
      case "]":
        depth -= 1;
        return lineBreak() + token;
      case ",":
        return token + lineBreak();
      case ":":
        return ": ";
      default:
        return token;
    }
  });
}
