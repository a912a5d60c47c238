import { SECOND, toMilliseconds } from "./go-duration.js";
import { KvTable } from "./kv-table.js";
import { releaseLock } from "./kv-rules.js";
import { LockDelays } from "./lock-delays.js";
import { SessionTable } from "./session-table.js";
import { checksOf, type Session } from "./session.js";
import { StateError } from "./state-error.js";

/** The one health check that a node without services has. */
export const SERF_HEALTH = "serfHealth";

/** The name of the only node. */
export const NODE = "fake-consul";

/** Go: `MaxLockDelay`. */
const LONGEST_LOCK_DELAY = 60n * SECOND;

/** The changes of a commit. */
export interface Changes {
  readonly keys: ReadonlySet<string>;
  /** Whether there are new tombstones. */
  readonly buried: boolean;
  readonly sessions: ReadonlySet<string>;
}

/** The state of a Consul server. The same commands in the same order lead to the same state. */
export class StateStore {
  readonly kv: KvTable;
  readonly sessions: SessionTable;
  readonly lockDelays: LockDelays;

  constructor(original?: StateStore) {
    this.kv = new KvTable(original?.kv);
    this.sessions = new SessionTable(original?.sessions);
    this.lockDelays = new LockDelays(original?.lockDelays);
  }

  /** @throws StateError for a node or a check that does not exist */
  createSession(session: Session): void {
    if (session.node.toLowerCase() !== NODE) throw new StateError("Missing node registration");
    const missing = checksOf(session).find((check) => check !== SERF_HEALTH);
    if (missing !== undefined) throw new StateError(`Missing check '${missing}' registration`);
    this.sessions.add(session);
  }

  /**
   * Ends the session with this ID, if there is one. Its locks are released or their keys deleted,
   * and the keys are then under lock-delay.
   *
   * @throws StateError for an invalid ID
   */
  destroySession(id: string, index: bigint, now: number): void {
    const session = this.sessions.get(id);
    if (session === undefined) return;
    this.sessions.delete(session, index);
    const delay = session.lockDelay > LONGEST_LOCK_DELAY ? LONGEST_LOCK_DELAY : session.lockDelay;
    for (const entry of this.kv.all) {
      if (entry.session.toLowerCase() !== session.id) continue;
      if (session.behavior === "delete") this.kv.delete(entry.key, index);
      else releaseLock(this.kv, entry, index);
      if (delay > 0n) this.lockDelays.start(entry.key, now, toMilliseconds(delay));
    }
  }

  /** Makes the changes of a command final. */
  commit(): Changes {
    const { changed: keys, buried } = this.kv.commit();
    return { keys, buried, sessions: this.sessions.commit() };
  }
}
