import { Backoff } from "../async/backoff.js";
import type { Ending } from "../async/cancellation.js";
import { inSharedContext } from "../async/shared-context.js";
import { sleep } from "../async/sleep.js";
import { unlessAborted } from "../async/unless-aborted.js";
import type { OwnRequestOptions } from "../consul/http/request-options.js";
import type { OwnQueryOptions } from "../consul/query.js";
import { isOutcomeUnknown, pauseFactor } from "../errors.js";
import { nextStep } from "../protocol/next-step.js";
import type { Step, Target } from "../protocol/step.js";
import { afterCheck, afterEntry, type QueueView } from "../protocol/queue-view.js";
import { liveHolders, type ContenderEntry } from "../protocol/snapshot.js";
import type { Claim } from "./claim.js";
import type { KnownQueue } from "./known-queue.js";
import type { PrefixRequests } from "./requests.js";
import { Watch } from "./watch.js";

export interface LineOptions {
  readonly requests: PrefixRequests;
  readonly known: KnownQueue;
  /** Takes a slot for a claim, if it still is its turn. Resolves to whether Consul has refused. */
  readonly join: (claim: Claim) => Promise<boolean>;
  /** Whether a holder belongs to this client. */
  readonly isOwnHolder: (session: string) => boolean;
}

/** How often in a row a refused swap is repeated without a pause, and the pauses after that. */
const IMMEDIATE_RETRIES = 3;
const RACE_PAUSES = { first: 5, longest: 500 };

/** This client's own slots are handed over by their release. A watch on them would cost a request. */
const OWN_RELEASE_MS = 50;

/** The waiters of one client on a prefix. Only the first in line makes requests. */
export class Line {
  readonly #requests: PrefixRequests;
  readonly #known: KnownQueue;
  readonly #options: LineOptions;
  /** In the order in which they entered. */
  readonly #claims = new Set<Claim>();
  /** The places in a list of waiters, kept as long as the list stays: it may be long. */
  #places:
    | {
        readonly waiters: QueueView["waiters"];
        readonly bySession: ReadonlyMap<string, number>;
      }
    | undefined;
  /** The claim that is served. */
  #served: Claim | undefined;
  #target: Target = { createIndex: -1n, since: 0 };
  #entryWatch: { readonly entry: ContenderEntry; readonly watch: Watch } | undefined;
  #lockWatch: { readonly index: bigint; readonly watch: Watch } | undefined;
  readonly #races = new Backoff(RACE_PAUSES);
  #refusals = 0;

  constructor(options: LineOptions) {
    this.#options = options;
    this.#requests = options.requests;
    this.#known = options.known;
  }

  get size(): number {
    return this.#claims.size;
  }

  has(claim: Claim): boolean {
    return this.#claims.has(claim);
  }

  [Symbol.iterator](): Iterator<Claim> {
    return this.#claims.values();
  }

  /** Serves a claim once it is first, until it leaves. */
  add(claim: Claim): void {
    // A claim behind another one of this client has somebody ahead.
    if (this.#claims.size > 0) claim.hasToWait();
    this.#claims.add(claim);
    this.#known.notify();
    if (this.#served === undefined) inSharedContext(() => void this.#serve());
  }

  remove(claim: Claim): void {
    if (!this.#claims.delete(claim)) return;
    if (this.#claims.size === 0) this.#endWatches();
    this.#known.notify();
  }

  /** The next step of a claim, by what is known now. */
  stepOf(claim: Claim): Step {
    return nextStep(this.#known.view, claim, this.#target, performance.now());
  }

  async #serve(): Promise<void> {
    const pauses = new Backoff();
    for (let first = this.#first(); first !== undefined; first = this.#first()) {
      if (this.#served !== first) this.#beginRace();
      this.#served = first;
      try {
        await this.#advance(first);
        // A watch that has failed meanwhile throws in the next step.
        const watches = [this.#lockWatch?.watch, this.#entryWatch?.watch];
        if (!watches.some((watch) => watch?.hasFailed)) pauses.reset();
      } catch (error) {
        this.#endWatches();
        if (!this.#claims.has(first)) continue;
        first.requestFailed(error);
        if (isOutcomeUnknown(error)) await this.#known.nextChange(pauses.next(pauseFactor(error)));
        else this.remove(first);
      }
    }
    this.#served = undefined;
  }

  /** The claim that is first in the queue. Claims that hold, or have lost their entry, come before it. */
  #first(): Claim | undefined {
    const { view } = this.#known;
    const [oldest] = this.#claims;
    if (this.#claims.size < 2) return oldest;
    const places = this.#placesIn(view);
    const placeOf = ({ session, enteredAt }: Claim): number => {
      const isUnread = view.readAt < enteredAt && !view.lock.holders.has(session);
      return places.get(session) ?? (isUnread ? Infinity : -1);
    };
    return [...this.#claims].reduce((first, claim) =>
      placeOf(claim) < placeOf(first) ? claim : first,
    );
  }

  #placesIn({ waiters }: QueueView): ReadonlyMap<string, number> {
    if (this.#places?.waiters !== waiters) {
      const bySession = new Map(waiters.map(({ session }, place) => [session, place]));
      this.#places = { waiters, bySession };
    }
    return this.#places.bySession;
  }

  async #advance(claim: Claim): Promise<void> {
    const step = this.stepOf(claim);
    const options = { timeout: claim.requestTimeout(), signal: claim.signal };
    switch (step.kind) {
      case "join":
      case "rejoin":
        await this.#join(claim);
        break;
      case "gone":
        this.remove(claim);
        claim.isGone();
        break;
      case "read prefix":
        await unlessAborted(this.#known.readPrefix(options.timeout), claim.signal);
        break;
      case "read lock":
        await this.#known.readLock(options);
        break;
      case "read lock after join":
        await this.#known.readLock({ ...options, index: step.index, wait: step.atMost });
        break;
      case "read entry":
        await this.#readEntry(step.entry, options);
        break;
      case "check holders":
        await this.#checkHolders(options);
        break;
      case "watch lock":
        claim.hasToWait();
        this.#beginRace();
        this.#endEntryWatch();
        await this.#watchLock(claim, step.atMost);
        break;
      case "watch entry":
        claim.hasToWait();
        this.#beginRace();
        this.#endLockWatch();
        await this.#watchEntry(claim, step.entry, step.atMost);
        break;
    }
  }

  /** A waiter that is overtaken repeatedly retries after growing pauses. */
  async #join(claim: Claim): Promise<void> {
    // The write may hang, and a waiter that gives up must not hold up the next one.
    const isRefused = await unlessAborted(this.#options.join(claim), claim.signal);
    this.#refusals = isRefused ? this.#refusals + 1 : 0;
    if (this.#refusals > IMMEDIATE_RETRIES) await sleep(this.#races.next(), claim.signal);
  }

  #beginRace(): void {
    this.#refusals = 0;
    this.#races.reset();
  }

  async #checkHolders(options: OwnRequestOptions): Promise<void> {
    const { view } = this.#known;
    const holders = liveHolders(view);
    const reading = await this.#requests.readLockIfAlive(holders, options);
    if (reading === undefined) {
      // A holder may have released its slot since, rather than died.
      const { modifyIndex } = await this.#known.readLock(options);
      if (modifyIndex === view.lock.modifyIndex) this.#known.markUnread();
      return;
    }
    this.#known.lockShows(reading);
    this.#known.learn(afterCheck(this.#known.view, holders, reading.sentAt));
  }

  /** Waits for news. The query goes on for the next claim that is first. */
  async #watchLock(claim: Claim, atMost: number): Promise<void> {
    const { view, ownWrite } = this.#known;
    const quietFor = performance.now() - ownWrite.at;
    const isOwn = [...view.lock.holders].every(this.#options.isOwnHolder);
    if (isOwn && quietFor < OWN_RELEASE_MS) {
      await this.#known.nextChange(Math.min(atMost, OWN_RELEASE_MS - quietFor));
      return;
    }
    const { modifyIndex: index } = view.lock;
    const isOver = this.#lockWatch?.watch.checkOver() !== false;
    // After a restore, a query on an old, greater index would never be answered.
    if (isOver || index < (this.#lockWatch?.index ?? index)) {
      this.#endLockWatch();
      this.#lockWatch = { index, watch: this.#startLockWatch(index, claim.watchTime) };
    }
    await this.#known.nextChange(atMost);
  }

  #startLockWatch(index: bigint, wait: number): Watch {
    return this.#start(async (signal) => {
      this.#known.lockShows(await this.#requests.readLock({ index, wait, signal }));
    });
  }

  #endLockWatch(): void {
    this.#lockWatch?.watch.end();
    this.#lockWatch = undefined;
  }

  /** Waits for news. The query goes on while the lock is read. */
  async #watchEntry(claim: Claim, entry: ContenderEntry, atMost: number): Promise<void> {
    const { createIndex, modifyIndex } = entry;
    if (this.#target.createIndex !== createIndex) {
      this.#target = { createIndex, since: performance.now() };
    }
    const current = this.#entryWatch;
    const isOver = current?.watch.checkOver() !== false;
    const { entry: watched } = current ?? {};
    if (isOver || watched?.createIndex !== createIndex || watched.modifyIndex !== modifyIndex) {
      this.#endEntryWatch();
      this.#entryWatch = { entry, watch: this.#startEntryWatch(entry, claim.watchTime) };
    }
    await this.#known.nextChange(atMost);
  }

  #startEntryWatch(entry: ContenderEntry, wait: number): Watch {
    // Since the entry's own index, not the newest known one: it may have changed between the two.
    const { modifyIndex: index } = entry;
    return this.#start((signal) => this.#readEntry(entry, { index, wait, signal }));
  }

  async #readEntry(entry: ContenderEntry, options: OwnQueryOptions): Promise<void> {
    const found = await this.#requests.readContender(entry.session, options);
    this.#known.learn(afterEntry(this.#known.view, entry, found, performance.now()));
  }

  #endEntryWatch(): void {
    this.#entryWatch?.watch.end();
    this.#entryWatch = undefined;
  }

  #start(query: (signal: Ending) => Promise<void>): Watch {
    return new Watch(query, () => {
      this.#known.notify();
    });
  }

  #endWatches(): void {
    this.#endEntryWatch();
    this.#endLockWatch();
  }
}
