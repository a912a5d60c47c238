import type { KVOperation } from "../../../../src/consul/transaction.js";
import { readLockEntry } from "../../../../src/protocol/lock-entry.js";
import { mayJoinAtOnce, nextStep } from "../../../../src/protocol/next-step.js";
import type { Step, Target, Waiter } from "../../../../src/protocol/step.js";
import {
  afterCheck,
  withStaleLock,
  afterEntering,
  afterEntry,
  afterLockRead,
  afterPassing,
  afterReading,
  afterWrite,
  type QueueView,
  UNREAD,
} from "../../../../src/protocol/queue-view.js";
import {
  liveHolders,
  readSnapshot,
  readTail,
  type ContenderEntry,
} from "../../../../src/protocol/snapshot.js";
import { Transactions } from "../../../../src/protocol/transactions.js";
import type { Store } from "../store.js";
import type { SharedPrefix } from "./shared-prefix.js";
import type { Pause, Process } from "./timeline.js";

/** How a client behaves. All but the first are something that the others must cope with. */
export type Manner =
  | "as it should"
  | "takes a slot at once if it may"
  | "does not hear of its first swap"
  | "does not touch its entry"
  | "gives up waiting"
  | "hangs for some seconds"
  | "hangs for ever"
  | "dies as a holder";

export interface Plan {
  readonly manner: Manner;
  readonly arrivesAt: number;
  /** Whether it has seen a long queue before it enters, and does so as the tail. */
  readonly entersAsTail: boolean;
  /** How long one message after the other is on its way, in milliseconds. */
  readonly delays: readonly number[];
  /** How long it holds its slot, or waits before it gives up. */
  readonly staysFor: number;
  /** When it asks for what it does not need just then: the answers come in whatever order. */
  readonly asks: readonly { readonly what: "prefix" | "lock"; readonly at: number }[];
}

/** A request without an answer is given up after that. */
const TIMEOUT_MS = 100;
const HANGS_FOR_MS = 5_000;

/** A client with one waiter, which goes by the protocol and nothing else. */
export class Client implements Waiter {
  readonly session: string;
  readonly limit: number;
  readonly adoptsLimit = false;
  readonly #entry: { readonly session: string; readonly value: undefined };
  readonly #plan: Plan;
  readonly #prefix: SharedPrefix;
  readonly #transactions: Transactions;
  #enteredAt = 0;
  #view: QueueView;
  #target: Target = { createIndex: -1n, since: 0 };
  #hasSwapped = false;
  #messages = 0;

  constructor(prefix: SharedPrefix, plan: Plan) {
    this.session = prefix.store.createSession();
    this.limit = prefix.limit;
    this.#entry = { session: this.session, value: undefined };
    this.#plan = plan;
    this.#prefix = prefix;
    this.#transactions = new Transactions(prefix.store.keys);
    const nothing = readSnapshot(prefix.store.keys, []);
    this.#view = afterReading(UNREAD, nothing, { sentAt: -Infinity, now: -Infinity });
  }

  get enteredAt(): number {
    return this.#enteredAt;
  }

  get manner(): Manner {
    return this.#plan.manner;
  }

  /** It comes, waits, holds a slot, and leaves. */
  *live(): Process {
    const { manner, arrivesAt, staysFor, asks } = this.#plan;
    yield { ms: arrivesAt };
    for (const { what, at } of asks) this.#prefix.time.start(this.#askLater(what, at));
    const isHolder = (yield* this.#joinAtOnce()) || (yield* this.#wait());
    if (manner === "hangs for ever") return;
    if (isHolder) yield { ms: staysFor };
    if (isHolder && manner === "dies as a holder") this.#prefix.endSession(this.session);
    else yield* this.#leave();
  }

  *#joinAtOnce(): Process<boolean> {
    if (this.#plan.manner !== "takes a slot at once if it may") return false;
    yield* this.#read();
    if (!mayJoinAtOnce(this.#view, this, this.#now)) return false;
    return yield* this.#swap(this.#transactions.enterAndJoin(this.#entry, this.#view, this.limit));
  }

  /** Enters the queue, and waits for a slot. Returns whether it has got one. */
  *#wait(): Process<boolean> {
    const { manner, staysFor } = this.#plan;
    const { hanging } = this.#prefix;
    if (manner.startsWith("hangs")) hanging.add(this.session);
    yield* this.#enter();
    if (manner === "hangs for ever") return false;
    if (manner === "hangs for some seconds") yield { ms: HANGS_FOR_MS };
    hanging.delete(this.session);
    const until = manner === "gives up waiting" ? this.#now + staysFor : Infinity;
    while (this.#now < until) {
      const step = nextStep(this.#view, this, this.#target, this.#now);
      if (yield* this.#take(step)) return true;
    }
    return false;
  }

  /** Takes a step. Returns whether it is a holder then. */
  *#take(step: Step): Process<boolean> {
    switch (step.kind) {
      case "join": {
        const join = this.#transactions.join(this.#entry, this.#view, this.limit);
        const isTouching = this.#plan.manner !== "does not touch its entry";
        // The last two operations are the touch.
        return yield* this.#swap(isTouching ? join : join.slice(0, -2), step.passing);
      }
      case "rejoin":
        return yield* this.#swap(this.#transactions.rejoin(this.#entry, this.#view, this.limit));
      case "gone":
        throw new Error(`${this.session} takes itself for gone`);
      case "read prefix":
        yield* this.#read();
        break;
      case "read lock":
        yield* this.#look();
        break;
      case "read lock after join":
        yield* this.#look(step.atMost, step.index);
        break;
      case "read entry":
        yield* this.#watch(step.entry, 0);
        break;
      case "check holders":
        yield* this.#check();
        break;
      case "watch lock":
        yield* this.#look(step.atMost);
        break;
      case "watch entry":
        yield* this.#watch(step.entry, step.atMost);
        break;
    }
    return false;
  }

  *#swap(
    operations: readonly KVOperation[],
    passing: readonly ContenderEntry[] = [],
  ): Process<boolean> {
    const { lock: key } = this.#prefix.store.keys;
    const holders = new Set(liveHolders(this.#view)).add(this.session);
    const swap = this.#ask((store) => ({
      failed: this.#prefix.write(operations),
      modifyIndex: store.get(key)?.modifyIndex ?? 0n,
    }));
    const isDeaf = this.#plan.manner === "does not hear of its first swap" && !this.#hasSwapped;
    this.#hasSwapped = true;
    if (isDeaf) {
      this.#prefix.time.start(swap);
      yield { ms: TIMEOUT_MS };
      this.#view = withStaleLock(this.#view);
      return false;
    }
    const { answer, now } = yield* swap;
    const { failed, modifyIndex } = answer;
    if (failed.length > 0) {
      const isOvertaken = failed.every((failedKey) => failedKey === key);
      this.#view = isOvertaken ? withStaleLock(this.#view) : { ...this.#view, readAt: -Infinity };
      return false;
    }
    const lock = { limit: this.limit, holders, modifyIndex };
    this.#view = afterPassing(afterWrite(this.#view, lock, undefined, now), passing, now);
    return true;
  }

  *#enter(): Process {
    const { entersAsTail, manner } = this.#plan;
    if (entersAsTail) {
      yield* this.#enterAsTail();
      return;
    }
    const enter = this.#transactions.enter(this.#entry);
    const { answer, ...times } = yield* this.#ask((store) => {
      // Go's contenders know of no tail.
      this.#prefix.write(manner === "does not touch its entry" ? enter.slice(0, 1) : enter);
      return store.snapshot();
    });
    this.#enteredAt = times.sentAt;
    this.#view = afterReading(this.#view, answer, times);
  }

  *#enterAsTail(): Process {
    yield* this.#read();
    const { session } = this;
    const { answer, now } = yield* this.#ask((store) => {
      const entry = readTail(store.keys, store.list(), session);
      this.#prefix.write(this.#transactions.enterAsTail(this.#entry));
      return entry;
    });
    const enteredAt = now + 0.1;
    this.#enteredAt = enteredAt;
    const tail = answer && { entry: answer, hasJoined: false, follower: session, enteredAt };
    this.#view = afterEntering(this.#view, tail);
  }

  *#read(): Process {
    const { answer, ...times } = yield* this.#ask((store) => store.snapshot());
    this.#view = afterReading(this.#view, answer, times);
  }

  /** Looks at the lock, once it has changed or the time is over. */
  *#look(atMost = 0, modifyIndex = this.#view.lock.modifyIndex): Process {
    const { answer, ...times } = yield* this.#ask(
      (store) => readLockEntry(store.get(store.keys.lock)),
      (store) => ({
        ms: atMost,
        until: () => store.get(store.keys.lock)?.modifyIndex !== modifyIndex,
      }),
    );
    this.#view = afterLockRead(this.#view, answer, times);
  }

  *#watch(entry: ContenderEntry, atMost: number): Process {
    const { createIndex, modifyIndex } = entry;
    if (this.#target.createIndex !== createIndex) this.#target = { createIndex, since: this.#now };
    const key = this.#prefix.store.keys.contender(entry.session);
    const { answer, now } = yield* this.#ask(
      (store) => store.get(key),
      (store) => ({ ms: atMost, until: () => store.get(key)?.modifyIndex !== modifyIndex }),
    );
    this.#view = afterEntry(this.#view, entry, answer, now);
  }

  *#check(): Process {
    const holders = [...liveHolders(this.#view)];
    const { answer, ...times } = yield* this.#ask((store) => {
      const areAlive = holders.every(
        (session) => store.get(store.keys.contender(session))?.session === session,
      );
      return areAlive ? readLockEntry(store.get(store.keys.lock)) : undefined;
    });
    this.#view =
      answer === undefined
        ? { ...this.#view, readAt: -Infinity }
        : afterCheck(afterLockRead(this.#view, answer, times), holders, times.sentAt);
  }

  *#leave(): Process {
    for (;;) {
      yield* this.#look();
      const operations = this.#transactions.leave(this.session, this.#view.lock);
      const { answer: failed } = yield* this.#ask(() => this.#prefix.write(operations));
      if (failed.length === 0) return;
    }
  }

  /** Asks Consul, which may wait before it answers. */
  *#ask<Answer>(
    question: (store: Store) => Answer,
    wait: (store: Store) => Pause = () => ({ ms: 0 }),
  ): Process<{ readonly answer: Answer; readonly sentAt: number; readonly now: number }> {
    const { store } = this.#prefix;
    const sentAt = this.#now;
    yield this.#delay();
    yield wait(store);
    const answer = question(store);
    yield this.#delay();
    return { answer, sentAt, now: this.#now };
  }

  #delay(): Pause {
    const { delays } = this.#plan;
    this.#messages += 1;
    return { ms: delays[this.#messages % delays.length] ?? 1 };
  }

  *#askLater(what: "prefix" | "lock", at: number): Process {
    yield { ms: at };
    yield* what === "prefix" ? this.#read() : this.#look();
  }

  get #now(): number {
    return this.#prefix.time.now;
  }
}
