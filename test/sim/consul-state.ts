import type { FakeConsul } from "../../src/testing/fake-consul/fake-consul.js";
import { readWrittenLock, type StoredEntry } from "./lock-entry.js";
import { isProgramSession, machineOfProgramSession, PREFIX } from "./scenario.js";

const LOCK_KEY = `${PREFIX}/.lock`;
/** Below it is the entry that says who is the last in a long queue. */
const TAILS = `${PREFIX}/.tail/`;

/** What stands in Consul, taken out of it once after each change: it is asked for all the time. */
export class ConsulState {
  readonly #consul: FakeConsul;
  #index = -1n;
  #entries: ReadonlyMap<string, StoredEntry> = new Map();
  #tails: readonly StoredEntry[] = [];
  #sessions: ReadonlySet<string> = new Set();
  #limit: number | undefined;
  #holders: ReadonlySet<string> = new Set();
  /** The names of sessions, also of those that are gone, as they are given by who makes them. */
  readonly #names = new Map<string, string>();

  constructor(consul: FakeConsul) {
    this.#consul = consul;
  }

  /** The lock entry and those of the contenders, by their keys. */
  get entries(): ReadonlyMap<string, StoredEntry> {
    this.#refresh();
    return this.#entries;
  }

  /** The entry that says who is the last in a long queue, and never more than one. */
  get tails(): readonly StoredEntry[] {
    this.#refresh();
    return this.#tails;
  }

  get lock(): StoredEntry | undefined {
    return this.entries.get(LOCK_KEY);
  }

  /** The sessions that are alive. */
  get sessions(): ReadonlySet<string> {
    this.#refresh();
    return this.#sessions;
  }

  /** The limit in the lock entry, where there is one. */
  get limit(): number | undefined {
    this.#refresh();
    return this.#limit;
  }

  /** The sessions that the lock entry names. */
  get holders(): ReadonlySet<string> {
    this.#refresh();
    return this.#holders;
  }

  contenderOf(session: string): StoredEntry | undefined {
    return this.entries.get(`${PREFIX}/${session}`);
  }

  /** Who has the session, as its contender entry says. */
  userOf(session: string): string {
    return Buffer.from(this.contenderOf(session)?.value ?? []).toString();
  }

  /** Those that wait, the first of them first. */
  get waiters(): readonly StoredEntry[] {
    return [...this.entries.values()]
      .filter(({ session }) => session !== null && !this.#holders.has(session))
      .sort((a, b) => (a.createIndex < b.createIndex ? -1 : 1));
  }

  /** Whether the session is a holder with all that belongs to it. */
  isHolder(session: string): boolean {
    return (
      this.holders.has(session) &&
      this.sessions.has(session) &&
      this.contenderOf(session)?.session === session
    );
  }

  /** The name of the process that the session belongs to, or of the program that brought it along. */
  nameOf(session: string): string {
    this.#refresh();
    return this.#names.get(session) ?? "";
  }

  /** The machine that the session belongs to. */
  machineOf(session: string): string {
    const name = this.nameOf(session);
    return isProgramSession(name) ? machineOfProgramSession(name) : machineOf(name);
  }

  #refresh(): void {
    const { index } = this.#consul;
    if (index === this.#index) return;
    this.#index = index;
    const all = this.#consul.entries;
    const isTail = ({ key }: StoredEntry): boolean => key.startsWith(TAILS);
    this.#tails = all.filter(isTail);
    this.#entries = new Map(
      all.filter((entry) => !isTail(entry)).map((entry) => [entry.key, entry]),
    );
    const { sessions } = this.#consul;
    this.#sessions = new Set(sessions.map(({ id }) => id));
    for (const { id, name } of sessions) this.#names.set(id, name);
    const lock = this.#entries.get(LOCK_KEY);
    const written = lock === undefined ? undefined : readWrittenLock(lock);
    this.#limit = written?.limit;
    this.#holders = written?.holders ?? new Set();
  }
}

/** The machine that a process runs on. */
export function machineOf(process: string): string {
  return process.split("#")[0] ?? "";
}
