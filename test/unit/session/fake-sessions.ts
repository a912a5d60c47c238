import type { OwnEndpoints } from "../../../src/consul/endpoints.js";
import type { OwnRequestOptions } from "../../../src/consul/http/request-options.js";
import type { OwnQueryOptions, QueryResult } from "../../../src/consul/query.js";
import type { SessionEntry, SessionSpec } from "../../../src/consul/session.js";
import { silence } from "../failures.js";

export const SESSION = "2d1b6b3e-0d53-4f55-8c4b-3b0a4cf0d1f2";

export interface SessionCall {
  readonly method: "create" | "renew" | "destroy" | "info" | "list";
  readonly id?: string;
  readonly spec?: SessionSpec;
  readonly options: OwnQueryOptions;
  /** On the clock of `performance.now()`. */
  readonly at: number;
}

type Sessions = OwnEndpoints["session"];

/** Sessions that answer as the test says, and remember what was asked. */
export class FakeSessions implements Sessions {
  readonly calls: SessionCall[] = [];
  onCreate: Sessions["create"] = silence;
  onRenew: Sessions["renew"] = silence;
  onDestroy: Sessions["destroy"] = () => Promise.resolve(true);
  onInfo: Sessions["info"] = silence;
  onList: Sessions["list"] = silence;

  get methods(): readonly SessionCall["method"][] {
    return this.calls.map(({ method }) => method);
  }

  of(method: SessionCall["method"]): readonly SessionCall[] {
    return this.calls.filter((call) => call.method === method);
  }

  create(spec: SessionSpec = {}, options: OwnRequestOptions = {}): Promise<string> {
    this.calls.push({ method: "create", spec, options, at: performance.now() });
    return this.onCreate(spec, options);
  }

  renew(id: string, options: OwnRequestOptions = {}): Promise<SessionEntry | null> {
    this.calls.push({ method: "renew", id, options, at: performance.now() });
    return this.onRenew(id, options);
  }

  destroy(id: string, options: OwnRequestOptions = {}): Promise<boolean> {
    this.calls.push({ method: "destroy", id, options, at: performance.now() });
    return this.onDestroy(id, options);
  }

  info(id: string, options: OwnQueryOptions = {}): Promise<QueryResult<SessionEntry | null>> {
    this.calls.push({ method: "info", id, options, at: performance.now() });
    return this.onInfo(id, options);
  }

  list(options: OwnQueryOptions = {}): Promise<QueryResult<readonly SessionEntry[]>> {
    this.calls.push({ method: "list", options, at: performance.now() });
    return this.onList(options);
  }
}

/** A session as Consul has it. */
export function sessionEntry(given: Partial<SessionEntry> = {}): SessionEntry {
  return {
    id: SESSION,
    name: "",
    node: "agent-one",
    lockDelay: 15_000,
    behavior: "delete",
    ttl: "16s",
    checks: [],
    createIndex: 1n,
    modifyIndex: 1n,
    ...given,
  };
}

/** What a read answers; where something has changed since, its index is another. */
export function read<Value>(value: Value, index = 7n): Promise<QueryResult<Value>> {
  return Promise.resolve({ value, meta: { index, knownLeader: true, lastContact: 0 } });
}
