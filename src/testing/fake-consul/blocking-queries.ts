import type { HttpResponse, Receiver } from "./carrier.js";
import type { Clock } from "./clock.js";
import type { QueryOptions } from "./query-options.js";
import type { Changes, StateStore } from "./state-store.js";

/** What one look into a store finds. */
export interface Reading {
  /** The index to wait on for a change. */
  readonly index: bigint;
  answer(): HttpResponse;
  /** Tells whether changes wake who waits; made only for who does. */
  watch(): (changes: Changes) => boolean;
}

/** A read that may wait for a change. */
export interface Query {
  readonly options: QueryOptions;
  read(store: StateStore): Reading;
  /** The answer while there is no leader. */
  readonly withoutLeader: HttpResponse;
}

/** The stagger that keeps waiters from all coming back at once: up to a sixteenth of the wait. */
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

  /** Answers at once or later. The returned function says that nobody wants the answer any more. */
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

  /** Has those look again whom changes of a store wake. */
  changed(store: StateStore, changes: Changes): void {
    for (const waiting of [...this.#waiting]) {
      if (waiting.store === store && waiting.wokenBy(changes)) waiting.read(store);
    }
  }

  /** Has all look again, as another server may now serve them. */
  restart(): void {
    for (const waiting of [...this.#waiting]) waiting.read(this.#storeFor(waiting.query.options));
  }

  /** Answers all with what there is now, whatever the index: the state they wait on is no more. */
  abandonState(): void {
    for (const waiting of [...this.#waiting]) {
      waiting.read(this.#storeFor(waiting.query.options));
      waiting.answer();
    }
  }

  /** Answers all that there is no leader. */
  endWithoutLeader(): void {
    for (const waiting of [...this.#waiting]) waiting.answer(waiting.query.withoutLeader);
  }

  dispose(): void {
    for (const waiting of [...this.#waiting]) waiting.end();
  }
}

/** One query that waits. */
class Waiting {
  readonly query: Query;
  cancelLimit: () => void = () => undefined;
  /** The server that served it last. */
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

  /** Looks, and answers if there is something new. */
  read(store: StateStore): void {
    if (this.over) return;
    const reading = this.query.read(store);
    this.#reading = reading;
    this.store = store;
    if (reading.index > this.query.options.minIndex) this.answer();
    else this.#watch = reading.watch();
  }

  /** Answers what it saw when it looked last, unless told otherwise. */
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
