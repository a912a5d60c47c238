import type { ConsulClient } from "../../src/index.js";
import type { HttpRequest } from "../../src/testing/fake-consul/carrier.js";

/** What a request of a semaphore is for. */
export type Step =
  | "create session"
  | "renew"
  | "destroy session"
  | "read session"
  | "list sessions"
  | "read prefix"
  | "read lock"
  | "watch lock"
  | "read entry"
  | "watch entry"
  | "check holders"
  | "enter"
  | "enter and read"
  | "enter as tail"
  | "enter and join"
  | "join"
  | "rejoin"
  | "pass on"
  | "resize"
  | "leave"
  | "leave and read"
  | "hand over"
  | "delete entry"
  | "delete lock"
  | "other";

/** A request that a client has sent. */
export class Sent {
  readonly client: ConsulClient;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: string;
  /** On the clock of `performance.now()`. */
  readonly at: number;
  /** When it was answered, or given up; `undefined` as long as it is open. */
  endedAt: number | undefined;

  constructor(client: ConsulClient, { method, path, body }: HttpRequest) {
    const [bare = "", query = ""] = path.split("?", 2);
    this.client = client;
    this.method = method;
    this.path = decodeURIComponent(bare);
    this.query = new URLSearchParams(query);
    this.body = body;
    this.at = performance.now();
  }

  /** Whether it waits for a change. */
  get isBlocking(): boolean {
    return this.query.has("index");
  }

  /** The last segment of its path, which is the ID of a session or the name of an entry. */
  get name(): string {
    return this.path.slice(this.path.lastIndexOf("/") + 1);
  }

  /** The operations of a transaction: `Verb`, `Key`, `Value` and so on. */
  get operations(): readonly Readonly<Record<string, unknown>>[] {
    const parsed: unknown = this.path === "/v1/txn" ? JSON.parse(this.body) : [];
    return Array.isArray(parsed)
      ? parsed.map((operation) => fieldsOf(fieldsOf(operation)["KV"]))
      : [];
  }

  get verbs(): readonly string[] {
    return this.operations.map(({ Verb }) => String(Verb));
  }

  get step(): Step {
    const [, , endpoint, verb] = this.path.split("/");
    if (endpoint === "session") return SESSION_STEPS[verb ?? ""] ?? "other";
    if (endpoint === "txn") return this.#transaction();
    if (endpoint !== "kv") return "other";
    const isLock = this.name === ".lock";
    if (this.method === "DELETE") return isLock ? "delete lock" : "delete entry";
    if (this.method !== "GET") return "other";
    if (this.query.has("recurse")) return "read prefix";
    return `${this.isBlocking ? "watch" : "read"} ${isLock ? "lock" : "entry"}`;
  }

  #transaction(): Step {
    const { verbs } = this;
    const has = (verb: string): boolean => verbs.includes(verb);
    if (verbs.every((verb) => verb === "check-session" || verb === "get")) return "check holders";
    if (verbs[0] === "get-tree") return "enter as tail";
    if (verbs[0] === "lock" || verbs[1] === "lock") {
      if (has("cas")) return "enter and join";
      return has("get-tree") ? "enter and read" : "enter";
    }
    if (has("delete")) {
      if (has("unlock")) return "hand over";
      return has("get-tree") ? "leave and read" : "leave";
    }
    if (!has("check-session")) return "resize";
    if (has("set")) return has("unlock") ? "rejoin" : "pass on";
    return "join";
  }
}

const SESSION_STEPS: Readonly<Record<string, Step>> = {
  create: "create session",
  renew: "renew",
  destroy: "destroy session",
  info: "read session",
  list: "list sessions",
};

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
