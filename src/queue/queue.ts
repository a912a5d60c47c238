import { LooseTurns } from "../async/loose-turns.js";
import { sleep } from "../async/sleep.js";
import { unlessAborted } from "../async/unless-aborted.js";
import { clientUse } from "../client-use.js";
import type { ConsulEndpoints } from "../consul/endpoints.js";
import type { RequestOptions } from "../consul/http/request-options.js";
import { pauseBeforeLook } from "./look-pace.js";
import { Place } from "./place.js";
import { cleanPath } from "../protocol/keys.js";
import { requireSameLimit, type Contender, type PrefixSnapshot } from "../protocol/snapshot.js";
import { PrefixView } from "./prefix-view.js";
import { PrefixWatch, type Pause, type Subscription, type WatchEvents } from "./prefix-watch.js";
import { isPassing } from "../errors.js";
import type { SemaphoreLock } from "../protocol/lock-entry.js";
import {
  SemaphoreStore,
  type Handover,
  type Joining,
  type KnownLock,
  type LeaveOptions,
  type PrefixReading,
} from "./requests.js";
import type { SessionLease } from "../session/lease.js";
import { freeSlots, TurnOrder, waitersOf } from "../protocol/turn-order.js";

export interface JoinAtOnceOptions {
  readonly value: Uint8Array | string | undefined;
  readonly limit: number;
  /** Called before each write. */
  readonly sends: () => void;
  /** How long the next request may take, in milliseconds. */
  readonly timeout: () => number;
  /** Gives up a look; a write is never cut off. */
  readonly signal: AbortSignal | undefined;
}

/** How to wait for a place in the queue to be worth another thought. */
export interface NewsOptions {
  /** Looks at once, whatever is known. */
  readonly looks: boolean;
  /** How long such a look may take, in milliseconds. */
  readonly timeout: number;
  readonly signal: AbortSignal;
}

/** A try of a waiter; a refusal with the index of the state that it was made on. */
export type PlaceJoining =
  { readonly joinedAt: bigint } | { readonly refusal: string; readonly index: bigint };

/** Whose turn it is, and for which slot, as far as one can be told from the next. */
interface FirstInLine {
  readonly waiter: Contender;
  readonly slot: bigint;
}

/** Writes to one lock get in each other's way; but nobody waits for a write that hangs. */
const LOCK_TURN_PATIENCE_MS = 100;

/**
 * Where there is no watch, a departure looks who waits, so that whoever leaves and comes back at once
 * lets them go first; but not every time where that is hundreds of times a second.
 */
const LOOK_BACK_AFTER_MS = 10;

/** How long a look between two writes may take. */
const LOOK_BETWEEN_WRITES_MS = 1_000;

/**
 * For how long it is known who waits, where nothing would tell of another: who has come after that
 * is not to be passed.
 */
const KNOWLEDGE_LASTS_MS = 250;

/**
 * How long a free slot stays untaken before the next in line may take it, in milliseconds: whoever
 * is in front may be dead, stopped, or far away. The random part is small beside the rest, so that
 * who is third does not come before who is second.
 */
const GRACE_MS = 250;
const RANDOM_GRACE_MS = 50;

/**
 * And how long each one after that has, which is less and less: where one does not move, it is
 * likely to be one of many that have died together.
 */
const NEXT_GRACE_MS = 150;
const LATE_GRACE_MS = 40;
const LATE_AFTER = 8;

const prefixesOf = new WeakMap<object, Map<string, WeakRef<SharedPrefix>>>();

/** Finds the one for a prefix of a client; all semaphores of it have the same. */
export function sharedPrefix(
  consul: ConsulEndpoints,
  prefix: string,
  scope: RequestOptions,
): SharedPrefix {
  const prefixes = prefixesOf.get(consul.kv) ?? new Map<string, WeakRef<SharedPrefix>>();
  prefixesOf.set(consul.kv, prefixes);
  const name = JSON.stringify([cleanPath(prefix), scope.namespace, scope.partition]);
  const known = prefixes.get(name)?.deref();
  if (known !== undefined) return known;
  const store = new SemaphoreStore(consul, prefix, scope);
  const shared = new SharedPrefix(store, clientUse(consul).closing);
  for (const [other, reference] of prefixes) {
    if (reference.deref() === undefined) prefixes.delete(other);
  }
  prefixes.set(name, new WeakRef(shared));
  return shared;
}

/**
 * What the semaphores of one client have in common on one prefix: one watch, the newest that is
 * known, whose turn it is, and the way from one who leaves to the next in line.
 */
export class SharedPrefix {
  readonly store: SemaphoreStore;
  readonly #view = new PrefixView();
  readonly #order = new TurnOrder();
  readonly #watch: PrefixWatch;
  readonly #lockTurns = new LooseTurns(LOCK_TURN_PATIENCE_MS);
  readonly #places = new Map<string, Place>();
  readonly #watchers = new Set<WatchEvents>();
  /** The sessions here that have a slot. */
  readonly #holders = new Set<string>();
  #contending: ReadonlySet<string> = new Set();
  #upNext: ReadonlySet<string> = new Set();
  #nextLook: Promise<PrefixReading> | undefined;
  #lastWrite = 0n;
  #lastMoveAt = performance.now();
  #msPerMove = 0;
  #waitedBefore: ReadonlySet<string> = new Set();
  #grace: { readonly first: FirstInLine; readonly stop: AbortController } | undefined;

  /** `closing`: aborts when the client is about to be closed. */
  constructor(store: SemaphoreStore, closing?: AbortSignal) {
    this.store = store;
    this.#watch = new PrefixWatch({
      look: (query) => this.#view.look(() => store.read(query)),
      pause: () => this.#pause(),
      untilGone: (session, ms, signal) => this.#untilGone(session, ms, signal),
      shown: () => {
        this.#changed();
        if (this.#view.isInDoubt) void this.#makeSure();
      },
      failed: (error) => this.#lookFailed(error),
      closing,
    });
  }

  get view(): PrefixReading | undefined {
    return this.#view.current;
  }

  /** Whether looks are under way, so that one more who wants to know costs nothing. */
  get isWatched(): boolean {
    return this.#watch.isRunning;
  }

  /** Has every look told. The returned function ends that. */
  watch(subscription: Subscription, events: WatchEvents): () => void {
    this.#watchers.add(events);
    const end = this.#watch.subscribe(subscription);
    return () => {
      this.#watchers.delete(events);
      end();
    };
  }

  /**
   * Makes the contender entry and takes a slot in one write, if there is one that nobody here or
   * elsewhere waits for. Resolves to the index of the write, or to nothing where it takes a wait.
   *
   * @throws SemaphoreLimitConflictError and whatever a look throws
   */
  async joinAtOnce(
    session: string,
    { value, limit, sends, timeout, signal }: JoinAtOnceOptions,
  ): Promise<bigint | undefined> {
    for (let isFresh = !this.#isUsable(limit); ; isFresh = true) {
      if (isFresh) await unlessAborted(this.look(timeout()), signal);
      const view = this.#view.current;
      if (isFresh && view !== undefined) requireSameLimit(view.snapshot, limit);
      if (!this.#hasRoom(limit)) return undefined;
      const joining = await this.#lockTurns.run(async () => {
        const snapshot = this.#view.current?.snapshot;
        if (snapshot === undefined || !this.#hasRoom(limit)) return undefined;
        sends();
        const options = { timeout: timeout() };
        const result = await this.store.enterAndJoin(session, value, snapshot, limit, options);
        this.#joined(session, snapshot.holders, limit, result);
        return result;
      });
      if (joining === undefined) return undefined;
      if ("joinedAt" in joining) return joining.joinedAt;
      if (isFresh) return undefined;
    }
  }

  /** Takes a place in the queue for a session that has its contender entry. */
  takePlace(lease: SessionLease, limit: number, subscription: Subscription): Place {
    const place = new Place(lease, limit, subscription);
    this.#places.set(place.session, place);
    // While there were only holders, nobody was in a hurry.
    if (this.#places.size === 1) this.#watch.hurry();
    return place;
  }

  leavePlace(place: Place): void {
    if (this.#places.get(place.session) === place) this.#places.delete(place.session);
    place.unsubscribe?.();
    if (this.#places.size === 0) this.#stopGrace();
  }

  /**
   * What there is to know for a waiter, as soon as it concerns it: it has a slot, or its turn, or
   * its entry is gone.
   */
  async news(
    place: Place,
    { looks, timeout, signal }: NewsOptions,
  ): Promise<PrefixReading | undefined> {
    if (!looks) place.unsubscribe ??= this.#watch.subscribe(place.subscription);
    await place.until(() => looks || this.#concerns(place), signal);
    if (place.joinedAt !== undefined) return this.view;
    if (looks || place.isUnsettled) {
      place.settle();
      await unlessAborted(this.look(timeout), signal);
    }
    const failure = place.takeFailure();
    if (failure !== undefined && !looks) throw failure.error;
    return this.view;
  }

  /** Whether it may try for a slot. */
  isUpNext(session: string): boolean {
    return this.#upNext.has(session);
  }

  /**
   * Takes a slot for a place whose turn it is, or makes sure of one that it has already. Resolves to
   * nothing where it is its turn no more.
   */
  async join(place: Place, timeout: () => number): Promise<PlaceJoining | undefined> {
    const { session, limit } = place;
    return await place.trying(() =>
      this.#lockTurns.run(async () => {
        const view = this.#view.current;
        if (view === undefined) return undefined;
        const { snapshot, index } = view;
        const options = { timeout: timeout() };
        const holds = snapshot.holders.has(session);
        if (!holds && !this.#upNext.has(session)) return undefined;
        const joining = holds
          ? await this.store.joinAgain(session, snapshot, limit, options)
          : await this.store.join(session, snapshot, limit, options);
        this.#joined(session, snapshot.holders, limit, joining);
        return "joinedAt" in joining ? joining : { ...joining, index };
      }),
    );
  }

  /** Takes a session off the prefix, and passes its slot on if the next in line is one of ours. */
  async leave(session: string, options: LeaveOptions = {}): Promise<void> {
    await this.#lockTurns.run(async () => {
      const handover = new HandoverToPlace((lock, excluded) => this.#heir(lock, session, excluded));
      const known = options.unlessHolder === true ? undefined : this.#knownLock(session);
      try {
        const { lock, heir, reading } = await this.store.leave(session, {
          ...options,
          handover,
          known,
          lookBack:
            !this.#watch.isRunning && performance.now() > this.#view.shownAt + LOOK_BACK_AFTER_MS,
        });
        if (lock !== undefined) {
          if (heir !== undefined) this.#holders.add(heir);
          const { modifyIndex: index, limit, holders } = lock;
          this.#lastWrite = index;
          this.#view.wrote({ index, limit, holders, joined: heir, left: session });
          if (reading !== undefined) this.#view.show(reading);
          if (heir === undefined && this.#places.size > 0) this.#watch.hurry();
        }
        handover.settle(heir === undefined ? undefined : lock?.modifyIndex);
        this.#changed();
      } catch (error) {
        handover.giveUp();
        throw error;
      } finally {
        this.#holders.delete(session);
      }
    });
  }

  /** Deletes the contender entry of a session that is no holder. */
  async deleteContender(session: string, options: RequestOptions = {}): Promise<void> {
    await this.store.deleteContender(session, options);
    this.#view.left(session);
    this.#changed();
  }

  /** Takes a look at once. All who ask at the same moment share it. */
  async look(timeout: number): Promise<PrefixReading> {
    this.#nextLook ??= Promise.resolve().then(async () => {
      this.#nextLook = undefined;
      const reading = await this.#view.look(() => this.store.read({ consistent: true, timeout }));
      this.#watch.compare(reading);
      this.#changed();
      return reading;
    });
    return await this.#nextLook;
  }

  /** Looks between two writes. */
  async #makeSure(): Promise<void> {
    await this.#lockTurns.run(() => this.look(LOOK_BETWEEN_WRITES_MS)).catch(() => undefined);
  }

  #joined(session: string, before: ReadonlySet<string>, limit: number, joining: Joining): void {
    if (!("joinedAt" in joining)) return;
    this.#holders.add(session);
    this.#lastWrite = joining.joinedAt;
    const holders = new Set(before).add(session);
    this.#view.wrote({ index: joining.joinedAt, limit, holders, joined: session });
    this.#changed();
  }

  #isUsable(limit: number): boolean {
    const known = this.#view.current?.snapshot;
    if (known === undefined) return false;
    const isFresh =
      this.#watch.tellsOfChanges || performance.now() <= this.#view.shownAt + KNOWLEDGE_LASTS_MS;
    return isFresh && (known.limit === undefined || known.limit === limit);
  }

  /** Whether there is a free slot for a newcomer, after all who came before it. */
  #hasRoom(limit: number): boolean {
    const snapshot = this.#view.current?.snapshot;
    if (snapshot === undefined) return false;
    const unseen = [...this.#places.keys()].filter((session) => !this.#contending.has(session));
    return this.#order.claims(snapshot) + unseen.length < freeSlots(snapshot, limit);
  }

  /**
   * The lock, where nobody but this client has written it lately, as far as can be seen. What is
   * seen is without the dead: for one of them it has to be read, as it is still in there.
   */
  #knownLock(leaver: string): KnownLock | undefined {
    const snapshot = this.#view.current?.snapshot;
    if (snapshot?.limit === undefined || snapshot.lockIndex !== this.#lastWrite) return undefined;
    if (!snapshot.holders.has(leaver)) return undefined;
    const isOurs = (session: string): boolean =>
      this.#holders.has(session) || this.#places.has(session);
    if (![...snapshot.holders].every(isOurs)) return undefined;
    return { limit: snapshot.limit, holders: snapshot.holders, modifyIndex: snapshot.lockIndex };
  }

  /**
   * The waiter to pass a slot on to: one of ours that a look has shown, so that everybody who came
   * before it is known, and that nobody is to be let go first.
   */
  #heir(lock: SemaphoreLock, leaver: string, excluded: ReadonlySet<string>): Place | undefined {
    const snapshot = this.#view.current?.snapshot;
    if (snapshot === undefined || lock.holders.size > lock.limit) return undefined;
    const free = freeSlots({ ...snapshot, ...lock }, lock.limit);
    const queue = {
      ...snapshot,
      holders: new Set(lock.holders).add(leaver),
      contenders: snapshot.contenders.filter(({ session }) => !excluded.has(session)),
    };
    for (const session of this.#order.upNext(queue, free + 1)) {
      const place = this.#places.get(session);
      if (place?.isOpen && place.limit === lock.limit) return place;
    }
    return undefined;
  }

  /** Whether a place has to know what is known now. */
  #concerns(place: Place): boolean {
    const view = this.view;
    const { session, limit, since } = place;
    if (place.joinedAt !== undefined || place.isUnsettled || place.hasFailure) return true;
    if (view === undefined) return false;
    const { snapshot, sentAt } = view;
    if (snapshot.holders.has(session) || this.#upNext.has(session)) return true;
    if (sentAt < since) return false;
    return (
      (snapshot.limit !== undefined && snapshot.limit !== limit) || !this.#contending.has(session)
    );
  }

  /** Tells whoever wants to know. They can have a longer pause than usual if all are for it. */
  #lookFailed(error: unknown): number | undefined {
    const pauses = [...this.#watchers].map(({ failed }) => failed(error));
    this.#tellPlaces(error);
    if (this.#places.size > 0 || pauses.length === 0) return undefined;
    const wanted = pauses.filter((pause) => pause !== undefined);
    return wanted.length === pauses.length ? Math.min(...wanted) : undefined;
  }

  /** What passes is ridden out: in the queue there is nothing to lose but the session. */
  #tellPlaces(error: unknown): void {
    if (isPassing(error)) return;
    for (const place of this.#places.values()) {
      place.fail(error);
    }
  }

  /** Something is known that was not. */
  #changed(): void {
    const view = this.#view.current;
    if (view === undefined) return;
    this.#measureMoves(view);
    this.#order.observe(view.snapshot);
    this.#announce(view);
    for (const { shown } of this.#watchers) shown(view);
  }

  /** Wakes whoever is concerned. */
  #announce({ snapshot }: PrefixReading): void {
    this.#contending = new Set(snapshot.contenders.map(({ session }) => session));
    const [first] = this.#places.values();
    const free = first === undefined ? 0 : freeSlots(snapshot, first.limit);
    this.#upNext = this.#order.upNext(snapshot, free);
    for (const place of this.#places.values()) if (this.#concerns(place)) place.wake();
    const isAnyKept = [...this.#places.keys()].some((session) => !this.#upNext.has(session));
    const inLine = firstInLine(snapshot);
    if (free === 0 || !isAnyKept || inLine === undefined) this.#stopGrace();
    else if (this.#grace === undefined || !isSameTurn(this.#grace.first, inLine)) {
      void this.#giveGrace(inLine);
    }
  }

  /**
   * Lets the next in line have a slot that stays free, and the one after it, and so on. Those that
   * are not waited for here have their time as well: who comes after them may not know yet that they
   * do not move, and is not to be passed while it waits for them. What happens with other slots
   * meanwhile makes no difference: who does not move would keep one from the others for good.
   */
  async #giveGrace(first: FirstInLine): Promise<void> {
    this.#stopGrace();
    const stop = new AbortController();
    this.#grace = { first, stop };
    for (let passed = 0; ; passed += 1) {
      await sleep(graceAfter(passed), stop.signal);
      const view = this.#view.current;
      if (stop.signal.aborted || view === undefined) return;
      this.#order.pass(view.snapshot, passed + 1);
      this.#announce(view);
    }
  }

  #stopGrace(): void {
    this.#grace?.stop.abort();
    this.#grace = undefined;
  }

  #measureMoves(view: PrefixReading): void {
    const waiting = new Set(waitersOf(view.snapshot).map(({ session }) => session));
    const moves = [...this.#waitedBefore].filter((session) => !waiting.has(session)).length;
    this.#waitedBefore = waiting;
    if (moves === 0) return;
    const now = performance.now();
    const ms = (now - this.#lastMoveAt) / moves;
    this.#lastMoveAt = now;
    this.#msPerMove = this.#msPerMove === 0 ? ms : (this.#msPerMove + ms) / 2;
  }

  #pause(): Pause {
    const snapshot = this.#view.current?.snapshot;
    if (snapshot === undefined) return { ms: 0 };
    const first = waitersOf(snapshot).find(({ session }) => this.#places.has(session));
    const before = first === undefined ? [] : this.#order.claimantsBefore(snapshot, first.session);
    const ms = pauseBeforeLook({
      contenders: snapshot.contenders.length,
      waits: this.#places.size > 0,
      ahead: before.length,
      othersHold: [...snapshot.holders].some((session) => !this.#holders.has(session)),
      isAnyFree: first !== undefined && freeSlots(snapshot, Infinity) > 0,
      msPerMove: this.#msPerMove,
    });
    // Where all stay equally long, it is this one's departure that makes room for the first of ours.
    const { limit = 1 } = snapshot;
    return { ms, until: before[before.length - limit]?.session };
  }

  async #untilGone(session: string, ms: number, signal: AbortSignal): Promise<void> {
    const index = this.#view.current?.index ?? 0n;
    const until = performance.now() + ms;
    try {
      const timeout = ms + ms / 16 + LOOK_BETWEEN_WRITES_MS;
      await this.store.untilContenderChanges(session, { index, wait: ms, timeout, signal });
    } catch {
      await sleep(until - performance.now(), signal);
    }
  }
}

/** Of a single slot, any change of the lock shows that somebody has had it, and that it is another. */
function firstInLine(snapshot: PrefixSnapshot): FirstInLine | undefined {
  const [waiter] = waitersOf(snapshot);
  return waiter && { waiter, slot: snapshot.limit === 1 ? snapshot.lockIndex : 0n };
}

function isSameTurn(one: FirstInLine, other: FirstInLine): boolean {
  return (
    one.waiter.session === other.waiter.session &&
    one.waiter.createIndex === other.waiter.createIndex &&
    one.slot === other.slot
  );
}

/** How long a slot stays free that so many have let go by already. */
function graceAfter(passed: number): number {
  if (passed === 0) return GRACE_MS + Math.random() * RANDOM_GRACE_MS;
  return passed < LATE_AFTER ? NEXT_GRACE_MS : LATE_GRACE_MS;
}

/** Keeps the one that a slot is about to be passed on to from doing anything else meanwhile. */
class HandoverToPlace implements Handover {
  readonly #choose: (lock: SemaphoreLock, excluded: ReadonlySet<string>) => Place | undefined;
  readonly #gone = new Set<string>();
  #chosen: Place | undefined;

  constructor(choose: (lock: SemaphoreLock, excluded: ReadonlySet<string>) => Place | undefined) {
    this.#choose = choose;
  }

  readonly heir = (lock: SemaphoreLock): string | undefined => {
    this.#chosen?.withdrawOffer();
    this.#chosen = this.#choose(lock, this.#gone);
    this.#chosen?.offer();
    return this.#chosen?.session;
  };

  readonly isGone = (heir: string): void => {
    this.#gone.add(heir);
  };

  /** The departure has taken place. */
  settle(joinedAt: bigint | undefined): void {
    if (joinedAt === undefined) this.#chosen?.withdrawOffer();
    else this.#chosen?.hand(joinedAt);
    this.#chosen = undefined;
  }

  /** It may have, or not. */
  giveUp(): void {
    this.#chosen?.leaveUnsettled();
    this.#chosen = undefined;
  }
}
