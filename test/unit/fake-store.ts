import { ConsulClient } from "../../src/client.js";
import type { QueryOptions } from "../../src/consul/query.js";
import type { RequestOptions } from "../../src/consul/http/request-options.js";
import type { Contender, PrefixSnapshot } from "../../src/protocol/snapshot.js";
import {
  SemaphoreStore,
  type Joining,
  type LeaveOptions,
  type Leaving,
  type PrefixReading,
} from "../../src/queue/requests.js";
import { silence } from "./failures.js";

/** A look at once, or one of the watch, which waits for a change. */
type LookStep = "look" | "watch";
type Step =
  LookStep | "enterAndJoin" | "join" | "joinAgain" | "leave" | "deleteContender" | "untilChanged";

export interface StoreCall {
  readonly step: Step;
  readonly session?: string;
  readonly value?: Uint8Array | string | undefined;
  readonly snapshot?: PrefixSnapshot;
  readonly limit?: number;
  readonly options?: QueryOptions & LeaveOptions;
  /** On the clock of `performance.now()`. */
  readonly at: number;
}

/** What a look comes to. */
export type Look = (query: QueryOptions) => Promise<PrefixReading>;

/** A store that answers as the test says, and remembers what was asked. */
export class FakeStore extends SemaphoreStore {
  readonly calls: StoreCall[] = [];
  /** A look at once. */
  onLook: Look = silence;
  /** A look of the watch, also its first, which does not wait either. */
  onWatch: Look = waiting;
  onEnterAndJoin: (session: string) => Promise<Joining> = silence;
  onJoin: (session: string) => Promise<Joining> = silence;
  onJoinAgain: (session: string) => Promise<Joining> = silence;
  onLeave: (session: string, options: LeaveOptions) => Promise<Leaving> = () =>
    Promise.resolve(leftAsItIs);
  /** A wait for one contender to leave, or for as long as it may take. */
  onUntilContenderChanges: (
    session: string,
    query: QueryOptions & { readonly index: bigint },
  ) => Promise<void> = silence;
  onDeleteContender: (session: string, options: RequestOptions) => Promise<void> = () =>
    Promise.resolve();

  constructor() {
    super(new ConsulClient(), "jobs", {});
  }

  get steps(): readonly Step[] {
    return this.calls.map(({ step }) => step);
  }

  of(step: Step): readonly StoreCall[] {
    return this.calls.filter((call) => call.step === step);
  }

  override read(options: QueryOptions = {}): Promise<PrefixReading> {
    const step = options.index === undefined ? "look" : "watch";
    this.calls.push({ step, options, at: performance.now() });
    return step === "look" ? this.onLook(options) : this.onWatch(options);
  }

  override enterAndJoin(
    session: string,
    value: Uint8Array | string | undefined,
    snapshot: PrefixSnapshot,
    limit: number,
    options: RequestOptions = {},
  ): Promise<Joining> {
    const at = performance.now();
    this.calls.push({ step: "enterAndJoin", session, value, snapshot, limit, options, at });
    return this.onEnterAndJoin(session);
  }

  override join(
    session: string,
    snapshot: PrefixSnapshot,
    limit: number,
    options: RequestOptions = {},
  ): Promise<Joining> {
    this.calls.push({ step: "join", session, snapshot, limit, options, at: performance.now() });
    return this.onJoin(session);
  }

  override joinAgain(
    session: string,
    snapshot: PrefixSnapshot,
    limit: number,
    options: RequestOptions = {},
  ): Promise<Joining> {
    const at = performance.now();
    this.calls.push({ step: "joinAgain", session, snapshot, limit, options, at });
    return this.onJoinAgain(session);
  }

  override leave(session: string, options: LeaveOptions = {}): Promise<Leaving> {
    this.calls.push({ step: "leave", session, options, at: performance.now() });
    return this.onLeave(session, options);
  }

  override untilContenderChanges(
    session: string,
    query: QueryOptions & { readonly index: bigint },
  ): Promise<void> {
    this.calls.push({ step: "untilChanged", session, options: query, at: performance.now() });
    return this.onUntilContenderChanges(session, query);
  }

  override deleteContender(session: string, options: RequestOptions = {}): Promise<void> {
    this.calls.push({ step: "deleteContender", session, options, at: performance.now() });
    return this.onDeleteContender(session, options);
  }
}

/** A departure that did not have to write the lock. */
export const leftAsItIs: Leaving = { lock: undefined, heir: undefined, reading: undefined };

/** A blocking query while nothing changes: it ends with its signal. */
export const waiting: Look = ({ signal }) =>
  new Promise((_, reject) => {
    signal?.addEventListener(
      "abort",
      () => {
        reject(signal.reason);
      },
      { once: true },
    );
  });

export function contender(session: string, createIndex = 1n): Contender {
  return { session, value: null, createIndex };
}

/** What was read of a prefix just now: one that nobody has used yet, but for what is given. */
export function readingOf(given: Partial<PrefixSnapshot> = {}, index = 7n): PrefixReading {
  const unused = { limit: undefined, holders: new Set<string>(), contenders: [], lockIndex: 0n };
  const snapshot = { ...unused, ...given };
  return { snapshot, index, nextIndex: index, sentAt: performance.now() };
}
