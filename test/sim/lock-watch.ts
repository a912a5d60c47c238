import type { StoreView } from "./invariants.js";
import { readWrittenLock } from "./lock-entry.js";
import type { Violation } from "./violation.js";

/** Who comes into the lock and who is put out of it, and by whom. */
export class LockWatch {
  /** The process whose request Consul is at; nobody's where the world changes by itself. */
  writer: string | undefined;
  readonly #lockKey: string;
  readonly #joined = new Map<string, bigint>();
  #holders: ReadonlySet<string> = new Set();
  /** The holders that contend. */
  #alive: ReadonlySet<string> = new Set();

  get alive(): ReadonlySet<string> {
    return this.#alive;
  }

  constructor(prefix: string) {
    this.#lockKey = `${prefix}/.lock`;
  }

  /** The index of the write that made the session a holder the last time. */
  joinedAt(session: string): bigint | undefined {
    return this.#joined.get(session);
  }

  /**
   * Takes in a change. A holder comes in with its contender entry while there is room for it, and
   * while it has that entry, nobody puts it out but its own machine. `machineOf` tells the machine of
   * a session.
   */
  changed(
    { prefix, entries, sessions, forced, barges }: StoreView,
    index: bigint,
    limit: number,
    machineOf: (session: string) => string,
  ): Violation | undefined {
    const entry = entries.get(this.#lockKey);
    const before = this.#holders;
    const holders =
      (entry === undefined ? undefined : readWrittenLock(entry)?.holders) ?? new Set();
    this.#holders = holders;
    const contends = (session: string): boolean =>
      entries.get(`${prefix}/${session}`)?.session === session;
    const wereAlive = this.#alive;
    const alive = new Set([...holders].filter(contends));
    this.#alive = alive;
    // A limit that was lowered takes nobody's slot away, but lets nobody in.
    const [newcomer] = [...alive].filter((session) => !wereAlive.has(session));
    if (alive.size > limit && newcomer !== undefined) {
      return {
        kind: "wire",
        problem: `${newcomer} makes it ${alive.size} live holders, limit ${limit}`,
      };
    }
    for (const session of holders) {
      if (before.has(session)) continue;
      this.#joined.set(session, index);
      if (barges(session) || forced(session) || contends(session)) continue;
      return {
        kind: "wire",
        problem: `${this.writer ?? "nobody"} made ${session} a holder without a contender entry`,
      };
    }
    for (const session of before) {
      if (holders.has(session) || this.writer === undefined || forced(session)) continue;
      if (this.writer.startsWith(`${machineOf(session)}#`)) continue;
      if (!sessions.has(session) || !contends(session)) continue;
      return {
        kind: "wire",
        problem: `${this.writer} put the holder ${session} out, which is alive`,
      };
    }
    return undefined;
  }
}
