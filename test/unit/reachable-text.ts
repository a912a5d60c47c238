import { inspect } from "node:util";

/**
 * All text and bytes that can be reached from a value by whatever code holds it: by properties of
 * any name, inherited and hidden ones too, by getters, and in collections.
 */
export function reachableText(root: unknown): string {
  const seen = new Set<object>();
  const found: string[] = [inspect(root, { depth: null, showHidden: true }), stringified(root)];
  const open: unknown[] = [root];
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value === "string") found.push(value);
    if (!isObject(value) || seen.has(value)) continue;
    seen.add(value);
    if (value instanceof Uint8Array) found.push(Buffer.from(value).toString("latin1"));
    else if (value instanceof Map || value instanceof Set) open.push(...value, ...keysOf(value));
    // What belongs to the language is not ours to search.
    else if (!isBuiltIn(value)) open.push(...membersOf(value));
  }
  return found.join("\n");
}

/** The names and values of all properties, up to what belongs to the language. */
function membersOf(object: object): unknown[] {
  const members: unknown[] = [];
  for (let level: object | null = object; level !== null && !isBuiltIn(level);) {
    for (const name of Reflect.ownKeys(level)) {
      members.push(String(name));
      // A getter of a class is for its instances: one of zod's, asked of none, would change the class.
      if (isPrototype(object) && Reflect.getOwnPropertyDescriptor(level, name)?.get) continue;
      try {
        members.push(Reflect.get(level, name, object));
      } catch (error) {
        // A getter that does not want to be asked, such as that of a function's `caller`.
        members.push(String(error));
      }
    }
    const above: unknown = Object.getPrototypeOf(level);
    level = isObject(above) ? above : null;
  }
  return members;
}

function isPrototype(object: object): boolean {
  const { constructor } = object;
  return Object.hasOwn(object, "constructor") && Reflect.get(constructor, "prototype") === object;
}

function keysOf(collection: Map<unknown, unknown> | Set<unknown>): unknown[] {
  return [...collection.keys()];
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

const BUILT_IN: ReadonlySet<object> = new Set<object>([
  globalThis,
  ...Object.getOwnPropertyNames(globalThis).flatMap((name) => {
    const value: unknown = Reflect.get(globalThis, name);
    if (typeof value !== "function") return [];
    const prototype: unknown = Reflect.get(value, "prototype");
    return isObject(prototype) ? [value, prototype] : [value];
  }),
]);

function isBuiltIn(value: object): boolean {
  return BUILT_IN.has(value) || value === process || value === process.env;
}

function stringified(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    return String(error);
  }
}
