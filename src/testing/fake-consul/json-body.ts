/** A number as text, since Consul's 64-bit integers do not fit in a double. */
export class JsonNumber {
  constructor(readonly text: string) {}
}

export type Json = null | boolean | string | JsonNumber | readonly Json[] | JsonObject;

/** An object. Go's decoder ignores the case of its members' names. */
export class JsonObject {
  constructor(readonly members: readonly (readonly [name: string, value: Json])[]) {}

  /** The value of a member. The last of several with the same name counts. */
  get(name: string): Json | undefined {
    return this.members.findLast(([known]) => known.toLowerCase() === name.toLowerCase())?.[1];
  }
}

/** An invalid body. */
export class JsonBodyError extends Error {
  override readonly name = "JsonBodyError";
}

const STRING_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?/g;

/** The prefix of the strings that stand for numbers. No real string begins with it. */
const NUMBER_MARK = "\\u0000number ";

/**
 * Parses the JSON in a body, given as bytes.
 *
 * @throws JsonBodyError
 */
export function parseJsonBody(body: string): Json {
  const text = Buffer.from(body, "latin1").toString();
  if (text.trim() === "") throw new JsonBodyError("EOF");
  const marked = text.replace(STRING_OR_NUMBER, (token) =>
    token.startsWith('"') ? token : `"${NUMBER_MARK}${token}"`,
  );
  try {
    return toJson(JSON.parse(marked));
  } catch (error) {
    throw new JsonBodyError(error instanceof Error ? error.message : String(error));
  }
}

function toJson(value: unknown): Json {
  if (typeof value === "string") {
    return value.startsWith("\0number ") ? new JsonNumber(value.slice("\0number ".length)) : value;
  }
  if (typeof value === "boolean") return value;
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value === "object" && value !== null) {
    return new JsonObject(Object.entries(value).map(([name, member]) => [name, toJson(member)]));
  }
  return null;
}

/** The error of Go's decoder for a value of the wrong type. */
export function wrongType(value: Json, field: string, type: string): JsonBodyError {
  return new JsonBodyError(
    `json: cannot unmarshal ${describe(value)} into Go struct field ${field} of type ${type}`,
  );
}

function describe(value: Json): string {
  if (value instanceof JsonNumber) return `number ${value.text}`;
  if (value instanceof JsonObject) return "object";
  return typeof value === "string" ? "string" : typeof value === "boolean" ? "bool" : "array";
}

/** The value of a string member, or the fallback if it is absent or null, as in Go. */
export function stringMember(object: JsonObject, name: string, fallback: string): string {
  const value = object.get(name) ?? null;
  if (value === null) return fallback;
  if (typeof value === "string") return value;
  throw wrongType(value, `.${name}`, "string");
}
