/**
 * Decides which changes wake a blocking query that found nothing.
 *
 * Consul stores a table in a radix tree, and such a query watches the last existing node on the
 * path to the missing key. So changes of neighbouring keys wake it. It then answers, since the
 * index of an empty result is that of the whole table.
 */
export class AbsentWatch {
  readonly #sought: string;
  readonly #keys: Iterable<string>;
  readonly #watched: WatchedNode;

  /** @param sought the path in the tree; that of a whole key ends with a NUL, as no prefix does */
  constructor(sought: string, keys: Iterable<string>) {
    this.#sought = sought;
    this.#keys = keys;
    this.#watched = watchedNodeOf(sought, keys);
  }

  /** Whether changes that have just been made trigger the watch. */
  touchedBy(changed: Iterable<string>): boolean {
    for (const key of changed) {
      if (pathOf(key).startsWith(this.#watched.watchedPrefix)) return true;
    }
    // A deletion that leaves a node with one child merges the two.
    return watchedNodeOf(this.#sought, this.#keys).parentDepth !== this.#watched.parentDepth;
  }
}

/** The last existing node on the path to a missing key. */
interface WatchedNode {
  readonly parentDepth: number;
  /** A change of any key with this prefix changes the node. */
  readonly watchedPrefix: string;
}

function watchedNodeOf(sought: string, keys: Iterable<string>): WatchedNode {
  // By the number of characters in common: the characters with which keys leave the sought path.
  const leaving = new Map<number, Set<string>>();
  let deepest = 0;
  for (const key of keys) {
    const path = pathOf(key);
    const depth = commonLength(sought, path);
    deepest = Math.max(deepest, depth);
    const exits = leaving.get(depth) ?? new Set();
    leaving.set(depth, exits.add(path[depth] ?? ""));
  }
  // A node of the tree is the root, or a point where keys branch.
  const isNode = (depth: number): boolean =>
    depth === 0 || (leaving.get(depth)?.size ?? 0) + (depth < deepest ? 1 : 0) >= 2;
  const nodeAtOrAbove = (depth: number): number => {
    let node = depth;
    while (!isNode(node)) node -= 1;
    return node;
  };
  const last = nodeAtOrAbove(deepest);
  if (last < deepest) return { parentDepth: last, watchedPrefix: sought.slice(0, last + 1) };
  // No edge leads on from this node, so the node itself is watched.
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
