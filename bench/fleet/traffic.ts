import { z } from "zod";

const counterNames = [
  "requests",
  /** Of the whole prefix: a recursive GET, or a get-tree in a transaction. */
  "lists",
  /** Of a single key. */
  "reads",
  "transactions",
  /** Transactions that were not carried out. */
  "refused",
  /** Of a single key, outside of transactions. */
  "writes",
  /** Created or destroyed. */
  "sessions",
  "renewals",
  /** Bodies of responses. */
  "bytesRead",
] as const;

type Counter = (typeof counterNames)[number];

export const trafficSchema = z.record(z.enum(counterNames), z.number());

/** What went over the wire. */
export type Traffic = Readonly<z.infer<typeof trafficSchema>>;

/** One that has each counter at what the function says. */
export function trafficOf(valueOf: (counter: Counter) => number): Record<Counter, number> {
  return {
    requests: valueOf("requests"),
    lists: valueOf("lists"),
    reads: valueOf("reads"),
    transactions: valueOf("transactions"),
    refused: valueOf("refused"),
    writes: valueOf("writes"),
    sessions: valueOf("sessions"),
    renewals: valueOf("renewals"),
    bytesRead: valueOf("bytesRead"),
  };
}

export interface SentRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly body: unknown;
}

/** The counters, beside that of all requests, that count this one. */
export function countersOf({ method, path, body }: SentRequest): readonly Counter[] {
  const [endpoint = "", query = ""] = path.split("?");
  if (endpoint === "/v1/txn") return readsTree(body) ? ["transactions", "lists"] : ["transactions"];
  if (endpoint.startsWith("/v1/kv/")) {
    if (method !== "GET") return ["writes"];
    const parameters = new URLSearchParams(query);
    return parameters.has("recurse") || parameters.has("keys") ? ["lists"] : ["reads"];
  }
  if (endpoint.startsWith("/v1/session/renew/")) return ["renewals"];
  return /^\/v1\/session\/(?:create$|destroy\/)/.test(endpoint) ? ["sessions"] : [];
}

function readsTree(body: unknown): boolean {
  const text = body instanceof Uint8Array ? new TextDecoder().decode(body) : body;
  // Within a value of JSON the quotes would be escaped. The lock entry and the tail are read so too.
  const tree = /"Verb":\s*"get-tree",\s*"Key":\s*"[^"]*(?<!\/\.tail)\/"/;
  return typeof text === "string" && tree.test(text);
}
