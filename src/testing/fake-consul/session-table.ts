import { AbsentWatch } from "./absent-watch.js";
import type { KeyWatch } from "./kv-table.js";
import { sessionKey } from "./session-id.js";
import type { Session } from "./session.js";

/** The result of reading the table. */
export interface SessionFinding {
  readonly sessions: readonly Session[];
  /** The index of the whole table, for every query. */
  readonly index: bigint;
  /** Called only for a query that waits. */
  watch(): KeyWatch;
}

/** The existing sessions. */
export class SessionTable {
  readonly #sessions: Map<string, Session>;
  #index: bigint;
  #changed = new Set<string>();

  constructor(original?: SessionTable) {
    this.#sessions = new Map(original === undefined ? [] : original.#sessions);
    this.#index = original === undefined ? 0n : original.#index;
  }

  /** @throws StateError for an invalid ID */
  get(id: string): Session | undefined {
    return this.#sessions.get(sessionKey(id));
  }

  /** All sessions in the order of their IDs. */
  get all(): Session[] {
    return [...this.#sessions.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** @throws StateError for an invalid ID */
  lookUp(id: string): SessionFinding {
    const key = sessionKey(id);
    const session = this.#sessions.get(key);
    return session === undefined
      ? { sessions: [], index: this.#index, watch: () => this.#watchAbsent(key) }
      : { sessions: [session], index: this.#index, watch: () => (keys) => keys.has(key) };
  }

  list(): SessionFinding {
    return { sessions: this.all, index: this.#index, watch: () => (keys) => keys.size > 0 };
  }

  add(session: Session): void {
    this.#sessions.set(session.id, session);
    this.#touch(session);
    this.#index = session.modifyIndex;
  }

  delete(session: Session, index: bigint): void {
    this.#sessions.delete(session.id);
    this.#touch(session);
    this.#index = index;
  }

  /** Lowers all indexes. */
  turnBack(by: bigint): void {
    for (const [id, session] of this.#sessions) {
      const { createIndex, modifyIndex } = session;
      this.#sessions.set(id, {
        ...session,
        createIndex: createIndex - by,
        modifyIndex: modifyIndex - by,
      });
    }
    this.#index -= by;
  }

  /** Returns the sessions that have changed since the last commit. */
  commit(): ReadonlySet<string> {
    const changed = this.#changed;
    if (changed.size > 0) this.#changed = new Set();
    return changed;
  }

  #touch(session: Session): void {
    this.#changed.add(session.id);
  }

  #watchAbsent(id: string): KeyWatch {
    // The keys in the tree of this table are the 16 bytes of each ID.
    const paths = { [Symbol.iterator]: () => [...this.#sessions.keys()].map(bytesOf).values() };
    const watch = new AbsentWatch(bytesOf(id), paths);
    return (ids) => watch.touchedBy([...ids].map(bytesOf));
  }
}

function bytesOf(id: string): string {
  return Buffer.from(id.replaceAll("-", ""), "hex").toString("latin1");
}
