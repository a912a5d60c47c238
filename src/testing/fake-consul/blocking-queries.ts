import type { HttpResponse, Receiver } from "./carrier.js";
import type { Clock } from "./clock.js";
import type { QueryOptions } from "./query-options.js";
import type { Changes, StateStore } from "./state-store.js";

/** The result of reading a store once. */
export interface Reading {
  /** The index to wait on for a change. */
  readonly index: bigint;
  answer(): HttpResponse;
  /** Makes a function that decides which changes wake the query. Called only if the query waits. */
  watch(): (changes: Changes) => boolean;
}

/** A read that may wait for a change. */
export interface Query {
  readonly options: QueryOptions;
  read(store: StateStore): Reading;
  /** The answer while there is no leader. */
  readonly withoutLeader: HttpResponse;
}

/** Consul adds up to a sixteenth to each wait, so that queries do not all return at once. */
const JITTER_FRACTION = 16;

/** The queries that wait for a change. */
export class BlockingQueries {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #storeFor: (options: QueryOptions) => StateStore;
  readonly #waiting = new Set<Waiting>();

  constructor(clock: Clock, random: () => number, storeFor: (options: QueryOptions) => StateStore) {
    this.#clock = clock;
    this.#random = random;
    this.#storeFor = storeFor;
  }

  /** Answers now or later. The returned function cancels the query. */
  start(query: Query, receiver: Receiver): () => void {
    const { options } = query;
    if (options.minIndex === 0n) {
      receiver.response(query.read(this.#storeFor(options)).answer());
      return () => undefined;
    }
    const waiting: Waiting = new Waiting(query, receiver, () => this.#waiting.delete(waiting));
    waiting.read(this.#storeFor(options));
    if (waiting.over) return () => undefined;
    this.#waiting.add(waiting);
    const limit = options.wait + (this.#random() * options.wait) / JITTER_FRACTION;
    waiting.cancelLimit = this.#clock.after(limit, () => {
      waiting.answer();
    });
    return () => {
      waiting.end();
    };
  }

  /** Makes the queries read the store again that these changes wake. */
  changed(store: StateStore, changes: Changes): void {
    for (const waiting of [...this.#waiting]) {
      if (waiting.store === store && waiting.wokenBy(changes)) waiting.read(store);
    }
  }

  /** Makes all queries read again, since another server may now serve them. */
  restart(): void {
    for (const waiting of [...this.#waiting]) waiting.read(this.#storeFor(waiting.query.options));
  }

  /** Answers all queries with the current state, since the state that they wait on is gone. */
  abandonState(): void {
    for (const waiting of [...this.#waiting]) {
      waiting.read(this.#storeFor(waiting.query.options));
      waiting.answer();
    }
  }

  /** Fails all queries, since there is no leader. */
  endWithoutLeader(): void {
    for (const waiting of [...this.#waiting]) waiting.answer(waiting.query.withoutLeader);
  }

  dispose(): void {
    for (const waiting of [...this.#waiting]) waiting.end();
  }
}

/** A waiting query. */
class Waiting {
  readonly query: Query;
  cancelLimit: () => void = () => undefined;
  /** The store that it has read last. */
  store: StateStore | undefined;
  over = false;
  readonly #receiver: Receiver;
  readonly #whenOver: () => void;
  #reading: Reading | undefined;
  #watch: (changes: Changes) => boolean = () => false;

  constructor(query: Query, receiver: Receiver, whenOver: () => void) {
    this.query = query;
    this.#receiver = receiver;
    this.#whenOver = whenOver;
  }

  wokenBy(changes: Changes): boolean {
    return !this.over && this.#watch(changes);
  }

  /** Reads a store, and answers if its index is new. */
  read(store: StateStore): void {
    if (this.over) return;
    const reading = this.query.read(store);
    this.#reading = reading;
    this.store = store;
    if (reading.index > this.query.options.minIndex) this.answer();
    else this.#watch = reading.watch();
  }

  /** Answers with the last reading by default. */
  answer(response = this.#reading?.answer()): void {
    if (this.over || response === undefined) return;
    this.end();
    this.#receiver.response(response);
  }

  end(): void {
    this.over = true;
    this.cancelLimit();
    this.#whenOver();
  }
}
