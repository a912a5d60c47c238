/**
 * Which changes wake a blocking query that found nothing.
 *
 * Consul keeps a table in a radix tree, and watches the last node on the way to what is not there.
 * So a query for a missing key is woken by changes of its neighbours; and since the index of nothing
 * is that of the whole table, it then answers.
 */
export class AbsentWatch {
  readonly #sought: string;
  readonly #keys: Iterable<string>;
  readonly #place: Place;

  /** @param sought the path in the tree; that of a whole key ends with a NUL, as no prefix does */
  constructor(sought: string, keys: Iterable<string>) {
    this.#sought = sought;
    this.#keys = keys;
    this.#place = placeOf(sought, keys);
  }

  /** Whether a change that has just been made closes the watched node. */
  touchedBy(changed: Iterable<string>): boolean {
    for (const key of changed) {
      if (pathOf(key).startsWith(this.#place.watchedPrefix)) return true;
    }
    // Where a deletion leaves a node with one child, the two become one.
    return placeOf(this.#sought, this.#keys).parentDepth !== this.#place.parentDepth;
  }
}

/** The last node on the way to what is not there. */
interface Place {
  readonly parentDepth: number;
  /** Whatever changes under it changes the node: it begins the one edge that leads to the node. */
  readonly watchedPrefix: string;
}

function placeOf(sought: string, keys: Iterable<string>): Place {
  // After so many characters in common, with which characters do keys leave the way?
  const leaving = new Map<number, Set<string>>();
  let deepest = 0;
  for (const key of keys) {
    const path = pathOf(key);
    const depth = commonLength(sought, path);
    deepest = Math.max(deepest, depth);
    const exits = leaving.get(depth) ?? new Set();
    leaving.set(depth, exits.add(path[depth] ?? ""));
  }
  // A node of the tree is the root, or where keys part.
  const isNode = (depth: number): boolean =>
    depth === 0 || (leaving.get(depth)?.size ?? 0) + (depth < deepest ? 1 : 0) >= 2;
  const nodeAtOrAbove = (depth: number): number => {
    let node = depth;
    while (!isNode(node)) node -= 1;
    return node;
  };
  const last = nodeAtOrAbove(deepest);
  if (last < deepest) return { parentDepth: last, watchedPrefix: sought.slice(0, last + 1) };
  // No edge leads on from this node, so it is this one that is watched.
  if (last === 0) return { parentDepth: -1, watchedPrefix: "" };
  const parentDepth = nodeAtOrAbove(last - 1);
  return { parentDepth, watchedPrefix: sought.slice(0, parentDepth + 1) };
}

/** Consul's index ends each key with a NUL, so that none is a prefix of another. */
export function pathOf(key: string): string {
  return `${key}\0`;
}

function commonLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length += 1;
  return length;
}
