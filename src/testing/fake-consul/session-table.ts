import { AbsentWatch } from "./absent-watch.js";
import type { KeyWatch } from "./kv-table.js";
import { sessionKey } from "./session-id.js";
import type { Session } from "./session.js";

/** What a look into the table finds. */
export interface SessionFinding {
  readonly sessions: readonly Session[];
  /** That of the whole table, whatever was asked for. */
  readonly index: bigint;
  /** Made only for who waits. */
  watch(): KeyWatch;
}

/** The sessions there are. */
export class SessionTable {
  readonly #sessions: Map<string, Session>;
  #index: bigint;
  #changed = new Set<string>();

  constructor(original?: SessionTable) {
    this.#sessions = new Map(original === undefined ? [] : original.#sessions);
    this.#index = original === undefined ? 0n : original.#index;
  }

  /** @throws StateError for what can be no ID */
  get(id: string): Session | undefined {
    return this.#sessions.get(sessionKey(id));
  }

  /** All of them in the order of their IDs. */
  get all(): Session[] {
    return [...this.#sessions.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** @throws StateError for what can be no ID */
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

  /** Makes all indexes smaller by so much. */
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

  /** Says which sessions have changed since it said so last. */
  commit(): ReadonlySet<string> {
    const changed = this.#changed;
    if (changed.size > 0) this.#changed = new Set();
    return changed;
  }

  #touch(session: Session): void {
    this.#changed.add(session.id);
  }

  #watchAbsent(id: string): KeyWatch {
    // The tree of this table has the 16 bytes of each ID.
    const paths = { [Symbol.iterator]: () => [...this.#sessions.keys()].map(bytesOf).values() };
    const watch = new AbsentWatch(bytesOf(id), paths);
    return (ids) => watch.touchedBy([...ids].map(bytesOf));
  }
}

function bytesOf(id: string): string {
  return Buffer.from(id.replaceAll("-", ""), "hex").toString("latin1");
}
