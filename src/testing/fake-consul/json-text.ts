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

/** Writes a string in JSON as Go does, which also escapes it for HTML. */
export function jsonString(text: string): string {
  if (NEEDS_NO_ESCAPE.test(text)) return `"${text}"`;
  // A pair of backslashes is matched as one, so that its second does not start an escape.
  return JSON.stringify(text).replace(
    /\\\\|\\b|\\f|[<>&\u2028\u2029]/g,
    (found) => ESCAPED_BY_GO[found] ?? found,
  );
}

/** Writes a list in JSON. `null` is a nil slice of Go's. */
export function jsonArray(items: readonly string[] | null): string {
  return items === null ? "null" : `[${items.join(",")}]`;
}

/** Indents JSON as Go's `json.MarshalIndent` does for `?pretty`. */
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
