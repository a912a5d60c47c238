import { AbsentWatch, pathOf } from "./absent-watch.js";
import { KvEntry } from "./kv-entry.js";
import { SortedKeys } from "./sorted-keys.js";

/** Decides whether a change of these keys wakes a query. */
export type KeyWatch = (changed: ReadonlySet<string>) => boolean;

/** The result of reading the table. */
export interface KvFinding {
  readonly entries: readonly KvEntry[];
  /** The index to wait on for a change. */
  readonly index: bigint;
  /** Called only for a query that waits. */
  watch(): KeyWatch;
}

/** Records that a key or a whole prefix was deleted, and at which index. */
interface Tombstone {
  readonly key: string;
  readonly index: bigint;
}

/** The entries and tombstones of the key/value store. Changes can be rolled back until `commit`. */
export class KvTable {
  readonly #entries: Map<string, KvEntry>;
  readonly #keys: SortedKeys;
  /** The oldest first. */
  readonly #tombstones: Tombstone[];
  /** The index of the last change of the table. */
  #index: bigint;
  #changed = new Set<string>();
  #buried = false;
  #undo: (() => void)[] = [];

  constructor(original?: KvTable) {
    this.#entries = new Map(original === undefined ? [] : original.#entries);
    this.#keys = new SortedKeys(this.#entries.keys());
    this.#tombstones = [...(original === undefined ? [] : original.#tombstones)];
    this.#index = original === undefined ? 0n : original.#index;
  }

  get(key: string): KvEntry | undefined {
    return this.#entries.get(key);
  }

  /** All entries in the order of their keys. */
  get all(): KvEntry[] {
    return this.below("");
  }

  below(prefix: string): KvEntry[] {
    return this.#keys.below(prefix).flatMap((key) => this.#entries.get(key) ?? []);
  }

  lookUp(key: string): KvFinding {
    const entry = this.#entries.get(key);
    return entry === undefined
      ? { entries: [], index: this.#index, watch: () => this.#watchAbsent(pathOf(key)) }
      : { entries: [entry], index: entry.modifyIndex, watch: () => (keys) => keys.has(key) };
  }

  /**
   * The entries below a prefix. Their index is the greatest of the entries and tombstones there, so
   * that a deletion does not lower it. Without either it is that of the table.
   */
  list(prefix: string): KvFinding {
    const entries = this.below(prefix);
    if (prefix === "") return { entries, index: this.#index, watch: () => () => true };
    let index = 0n;
    for (const { modifyIndex } of entries) if (modifyIndex > index) index = modifyIndex;
    const newerTombstone = this.#tombstoneBelow(prefix, index);
    if (newerTombstone !== undefined) index = newerTombstone.index;
    return {
      entries,
      index: index === 0n ? this.#index : index,
      watch: () =>
        entries.length === 0 ? this.#watchAbsent(prefix) : (keys) => someBelow(prefix, keys),
    };
  }

  put(entry: KvEntry): void {
    this.#store(entry.key, entry);
    this.#index = entry.modifyIndex;
  }

  /** Deletes the entry at a key, if there is one, and leaves a tombstone. */
  delete(key: string, index: bigint): void {
    if (!this.#entries.has(key)) return;
    this.#bury(key, index);
    this.#store(key, undefined);
    this.#index = index;
  }

  /** Deletes all entries below a prefix. One tombstone, for the prefix, stands for all. */
  deleteBelow(prefix: string, index: bigint): void {
    const keys = this.#keys.below(prefix);
    if (keys.length === 0) return;
    // The whole tree needs none: a list of everything has the index of the table.
    if (prefix !== "") this.#bury(prefix, index);
    for (const key of keys) this.#store(key, undefined);
    this.#index = index;
  }

  /** Removes the tombstones up to an index. That changes no entry, and wakes no query. */
  reapTombstones(upTo: bigint): void {
    const kept = this.#tombstones.findIndex(({ index }) => index > upTo);
    this.#tombstones.splice(0, kept < 0 ? this.#tombstones.length : kept);
  }

  /** Lowers all indexes. */
  turnBack(by: bigint): void {
    for (const [key, entry] of this.#entries) {
      this.#entries.set(key, new KvEntry(entry, entry.createIndex - by, entry.modifyIndex - by));
    }
    const tombstones = this.#tombstones.map(({ key, index }) => ({ key, index: index - by }));
    this.#tombstones.splice(0, Infinity, ...tombstones);
    this.#index -= by;
  }

  /** Makes the changes final. Returns the changed keys, and whether there are new tombstones. */
  commit(): { readonly changed: ReadonlySet<string>; readonly buried: boolean } {
    const result = { changed: this.#changed, buried: this.#buried };
    this.#forgetChanges();
    return result;
  }

  /** Rolls back all changes since the last commit. */
  rollBack(): void {
    for (const undo of this.#undo.reverse()) undo();
    this.#forgetChanges();
  }

  #forgetChanges(): void {
    if (this.#undo.length === 0) return;
    this.#changed = new Set();
    this.#buried = false;
    this.#undo = [];
  }

  #store(key: string, entry: KvEntry | undefined): void {
    const [before, indexBefore] = [this.#entries.get(key), this.#index];
    this.#replace(key, entry);
    this.#changed.add(key);
    this.#undo.push(() => {
      this.#replace(key, before);
      this.#index = indexBefore;
    });
  }

  #replace(key: string, entry: KvEntry | undefined): void {
    if (entry === undefined) {
      this.#entries.delete(key);
      this.#keys.delete(key);
    } else {
      if (!this.#entries.has(key)) this.#keys.add(key);
      this.#entries.set(key, entry);
    }
  }

  #bury(key: string, index: bigint): void {
    this.#tombstones.push({ key, index });
    this.#buried = true;
    this.#undo.push(() => this.#tombstones.pop());
  }

  /** The newest tombstone below a prefix, if it is newer than an index. */
  #tombstoneBelow(prefix: string, newerThan: bigint): Tombstone | undefined {
    for (let position = this.#tombstones.length - 1; position >= 0; position -= 1) {
      const tombstone = this.#tombstones[position];
      if (tombstone === undefined || tombstone.index <= newerThan) return undefined;
      if (tombstone.key.startsWith(prefix)) return tombstone;
    }
    return undefined;
  }

  #watchAbsent(sought: string): KeyWatch {
    const watch = new AbsentWatch(sought, this.#keys);
    return (keys) => watch.touchedBy(keys);
  }
}

function someBelow(prefix: string, keys: ReadonlySet<string>): boolean {
  for (const key of keys) if (key.startsWith(prefix)) return true;
  return false;
}
