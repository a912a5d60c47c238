/** The own fields of an object as `JSON.stringify` can write them: a bigint as a string. */
export function jsonFields(object: object): Record<string, unknown> {
  const fields: readonly [string, unknown][] = Object.entries(object);
  return Object.fromEntries(fields.map(([name, value]) => [name, jsonValue(value)]));
}

/** Of a native error, JSON would show nothing; it takes no bigint. */
export function jsonValue(value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (!(value instanceof Error) || "toJSON" in value) return value;
  const { name, message } = value;
  return { name, ...("code" in value && { code: value.code }), message };
}
