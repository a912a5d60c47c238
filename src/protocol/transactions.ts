import type { KVOperation } from "../consul/transaction.js";
import type { PrefixKeys } from "./keys.js";
import { encodeLock, SEMAPHORE_FLAG_VALUE, type LockState, type LockValue } from "./lock-entry.js";
import type { KnownLock } from "./snapshot.js";

/** A session and what its contender entry says. */
export interface ContenderWrite {
  readonly session: string;
  readonly value: Uint8Array | string | undefined;
}

/** Consul takes 64 operations in a transaction. What is not pruned stays listed, and counts as dead. */
const MOST_PRUNED = 48;

/** The writes of the protocol, each one transaction: it takes place as a whole, or not at all. */
export class Transactions {
  readonly #keys: PrefixKeys;

  constructor(keys: PrefixKeys) {
    this.#keys = keys;
  }

  /**
   * Enters the queue: makes the contender entry, locked by its session, so that it goes when the session
   * ends. The queue has no tail after that.
   */
  enter(contender: ContenderWrite): readonly KVOperation[] {
    return [this.#enter(contender), { verb: "delete-tree", key: this.#keys.tails }];
  }

  /** Enters the queue as its tail. */
  enterAsTail(contender: ContenderWrite): readonly KVOperation[] {
    const { session } = contender;
    return [
      ...this.enter(contender),
      { verb: "lock", key: this.#keys.tail(session), flags: SEMAPHORE_FLAG_VALUE, session },
    ];
  }

  /** Reads the lock entry and the tail. */
  readTail(): readonly KVOperation[] {
    const { lock, tails } = this.#keys;
    // To read a single entry fails where there is none.
    return [
      { verb: "get-tree", key: lock },
      { verb: "get-tree", key: tails },
    ];
  }

  /** Reads the whole prefix, as the operations before it leave it. */
  readAll(): KVOperation {
    return { verb: "get-tree", key: this.#keys.prefix };
  }

  /** Enters and becomes a holder at once. */
  enterAndJoin(contender: ContenderWrite, known: KnownLock, limit: number): readonly KVOperation[] {
    return [this.#enter(contender), ...this.#swapIn(contender.session, known, limit)];
  }

  /** Becomes a holder, with a contender entry that is there already. */
  join(contender: ContenderWrite, known: KnownLock, limit: number): readonly KVOperation[] {
    return [
      // The entry may have gone with its session, or in a cleanup of ours that has overtaken this.
      this.checkContender(contender.session),
      ...this.#swapIn(contender.session, known, limit),
      ...this.#touch(contender),
    ];
  }

  /**
   * Leaves the lock and joins it again, for a session that a write of unknown index has put there: it was
   * resumed after a restart, or a swap had no answer. It also makes the swap of a contender fail that has
   * read the prefix while the session had no contender entry.
   */
  rejoin(contender: ContenderWrite, known: KnownLock, limit: number): readonly KVOperation[] {
    const { session } = contender;
    const others = this.#holdersLeft(session, known);
    others.delete(session);
    return [
      this.checkContender(session),
      ...this.#swap(session, known, { limit, holders: others }),
      // Consul gives a write that changes nothing no index of its own: so out and in again.
      this.#lockWrite({ limit, holders: new Set(others).add(session) }),
      ...this.#touch(contender),
    ];
  }

  /** Leaves the lock and joins it again, for the next run of the same session: it has its own index. */
  passOn({ session }: ContenderWrite, { limit, holders, modifyIndex }: LockValue & LockState) {
    const others = new Set(holders);
    others.delete(session);
    return [
      this.checkContender(session),
      this.#lockSwap({ limit, holders: others }, modifyIndex),
      this.#lockWrite({ limit, holders }),
    ];
  }

  /** Writes another limit. */
  resize({ holders, modifyIndex }: LockState, limit: number): readonly KVOperation[] {
    return [this.#lockSwap({ limit, holders }, modifyIndex)];
  }

  /**
   * Leaves the lock with the contender entry: a holder without one counts as dead. With a
   * `successor`, passes the slot on to that waiter.
   *
   * Where the session is not in the lock as it was read, but a swap that puts it there may be on its
   * way (`swapMayCome`), the lock is rewritten, so that the swap fails.
   */
  leave(
    session: string,
    lock: LockState,
    {
      successor,
      swapMayCome = false,
    }: { readonly successor?: ContenderWrite | undefined; readonly swapMayCome?: boolean } = {},
  ): readonly KVOperation[] {
    return [
      ...(successor === undefined ? [] : [this.checkContender(successor.session)]),
      ...this.#withdraw(session, lock, successor?.session, swapMayCome),
      ...(successor === undefined ? [] : this.#touch(successor)),
      this.leaveQueue(session),
    ];
  }

  /** Deletes the contender entry. */
  leaveQueue(session: string): KVOperation {
    return { verb: "delete", key: this.#keys.contender(session) };
  }

  /** Demands that the session contends. */
  checkContender(session: string): KVOperation {
    return { verb: "check-session", key: this.#keys.contender(session), session };
  }

  #enter(contender: ContenderWrite): KVOperation {
    return { verb: "lock", ...this.#contenderWrite(contender) };
  }

  #swapIn(session: string, known: KnownLock, limit: number): readonly KVOperation[] {
    return this.#swap(session, known, { limit, holders: this.holdersAfter(session, known) });
  }

  /**
   * Swaps the lock for one without its dead holders. One of them may have come back with its session
   * since it was seen dead, and is not to be put out: its contender's key must be as it was seen.
   */
  #swap(session: string, { lock, dead }: KnownLock, value: LockValue): readonly KVOperation[] {
    return [
      ...this.#pruned(session, { lock, dead }).map(([holder, modifyIndex]): KVOperation => {
        const key = this.#keys.contender(holder);
        return modifyIndex === 0n
          ? { verb: "check-not-exists", key }
          : { verb: "check-index", key, modifyIndex };
      }),
      this.#lockSwap(value, lock.modifyIndex),
    ];
  }

  /** The dead holders that a swap leaves out: as many as a transaction has room to check. */
  #pruned(session: string, { lock, dead }: KnownLock): readonly (readonly [string, bigint])[] {
    return [...dead]
      .filter(([holder]) => holder !== session && lock.holders.has(holder))
      .slice(0, MOST_PRUNED);
  }

  /** The holders once the session has joined. */
  holdersAfter(session: string, known: KnownLock): Set<string> {
    return this.#holdersLeft(session, known).add(session);
  }

  /** The holders, without some. */
  #holdersLeft(session: string, known: KnownLock): Set<string> {
    const holders = new Set(known.lock.holders);
    for (const [holder] of this.#pruned(session, known)) holders.delete(holder);
    return holders;
  }

  /**
   * A holder's entry changes when it stops waiting, which wakes the waiter right behind it. Nobody
   * sees it unlocked.
   */
  #touch(contender: ContenderWrite): readonly KVOperation[] {
    const write = this.#contenderWrite(contender);
    return [
      { verb: "unlock", ...write },
      { verb: "lock", ...write },
    ];
  }

  /** Makes sure that the session is not among the holders of the lock that was read. */
  #withdraw(
    session: string,
    { limit, holders, modifyIndex }: LockState,
    successor: string | undefined,
    swapMayCome: boolean,
  ): readonly KVOperation[] {
    const key = this.#keys.lock;
    if (modifyIndex === 0n) return [{ verb: "check-not-exists", key }];
    const isHolder = holders.has(session);
    if (limit === undefined || !(isHolder || swapMayCome)) {
      return [{ verb: "check-index", key, modifyIndex }];
    }
    const others = new Set(holders);
    others.delete(session);
    if (isHolder) {
      const left = successor === undefined ? others : new Set(others).add(successor);
      return [this.#lockSwap({ limit, holders: left }, modifyIndex)];
    }
    // In and out again, at once: nobody sees it, and the lock has an index that no swap knows.
    return [
      this.#lockSwap({ limit, holders: new Set(others).add(session) }, modifyIndex),
      this.#lockWrite({ limit, holders: others }),
    ];
  }

  #lockSwap(lock: LockValue, modifyIndex: bigint): KVOperation {
    return { ...this.#lockWrite(lock), verb: "cas", modifyIndex };
  }

  #lockWrite(lock: LockValue): KVOperation & { readonly verb: "set" } {
    return {
      verb: "set",
      key: this.#keys.lock,
      value: encodeLock(lock),
      flags: SEMAPHORE_FLAG_VALUE,
    };
  }

  #contenderWrite({ session, value }: ContenderWrite) {
    return { key: this.#keys.contender(session), value, flags: SEMAPHORE_FLAG_VALUE, session };
  }
}
