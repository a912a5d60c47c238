import { ConsulClient } from "../../src/consul-client.js";
import type { QueryOptions } from "../../src/consul/query.js";
import type { RequestOptions } from "../../src/consul/request-options.js";
import type { Contender, PrefixSnapshot } from "../../src/prefix-snapshot.js";
import {
  SemaphoreStore,
  type Joining,
  type LeaveOptions,
  type PrefixReading,
} from "../../src/semaphore-store.js";
import { silence } from "./failures.js";

type Step = "read" | "join" | "joinAgain" | "leave" | "deleteContender";

export interface StoreCall {
  readonly step: Step;
  readonly session?: string;
  readonly snapshot?: PrefixSnapshot;
  readonly limit?: number;
  readonly options?: QueryOptions & LeaveOptions;
  /** On the clock of `performance.now()`. */
  readonly at: number;
}

/** A store that answers as the test says, and remembers what was asked. */
export class FakeStore extends SemaphoreStore {
  readonly calls: StoreCall[] = [];
  onRead: (query: QueryOptions) => Promise<PrefixReading> = silence;
  onJoin: () => Promise<Joining> = silence;
  onJoinAgain: () => Promise<Joining> = silence;
  onLeave: (session: string, options: RequestOptions) => Promise<void> = () => Promise.resolve();
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
    this.calls.push({ step: "read", options, at: performance.now() });
    return this.onRead(options);
  }

  override join(
    session: string,
    snapshot: PrefixSnapshot,
    limit: number,
    options: RequestOptions = {},
  ): Promise<Joining> {
    this.calls.push({ step: "join", session, snapshot, limit, options, at: performance.now() });
    return this.onJoin();
  }

  override joinAgain(
    session: string,
    snapshot: PrefixSnapshot,
    limit: number,
    options: RequestOptions = {},
  ): Promise<Joining> {
    const at = performance.now();
    this.calls.push({ step: "joinAgain", session, snapshot, limit, options, at });
    return this.onJoinAgain();
  }

  override leave(session: string, options: LeaveOptions = {}): Promise<void> {
    this.calls.push({ step: "leave", session, options, at: performance.now() });
    return this.onLeave(session, options);
  }

  override deleteContender(session: string, options: RequestOptions = {}): Promise<void> {
    this.calls.push({ step: "deleteContender", session, options, at: performance.now() });
    return this.onDeleteContender(session, options);
  }
}

export function contender(session: string, createIndex = 1n): Contender {
  return { session, value: null, createIndex };
}
