import type { HttpResponse } from "./carrier.js";
import { bare, HttpFailure, json, NO_LEADER, readHeaders, text } from "./answers.js";
import type { Query } from "./blocking-queries.js";
import type { HttpCall } from "./http-call.js";
import { jsonArray, jsonString } from "./json-text.js";
import { compareAndDelete, compareAndSet, lock, set, unlock, type KvRequest } from "./kv-rules.js";
import type { KvFinding } from "./kv-table.js";
import { queryOptionsOf, type QueryOptions } from "./query-options.js";
import type { Server } from "./server.js";
import { parseUint64 } from "./uint64.js";

export const KV_PATH = "/v1/kv/";

/** Go: `KVMaxValueSize`. */
export const LARGEST_VALUE = 512 * 1024;

/** Serves a request for a key or for a prefix. */
export function kvEndpoint(call: HttpCall, server: Server): HttpResponse | Query {
  const options = queryOptionsOf(call);
  const key = call.path.slice(KV_PATH.length);
  switch (call.method) {
    case "GET":
      return read(call, key, options);
    case "PUT":
      return put(call, key, server);
    default:
      return remove(call, key, server);
  }
}

function read({ query }: HttpCall, key: string, options: QueryOptions): Query {
  const keysOnly = query.has("keys");
  const recurse = keysOnly || query.has("recurse");
  if (!recurse) requireKey(key);
  // Consul accepts both spellings. The right one takes precedence.
  const separator = query.get("separator") ?? query.get("seperator") ?? "";
  return {
    options,
    withoutLeader: text(500, NO_LEADER),
    read: ({ kv }) => {
      const finding = recurse ? kv.list(key) : kv.lookUp(key);
      return {
        index: finding.index < 1n ? 1n : finding.index,
        answer: () => (keysOnly ? keysAnswer(finding, key, separator) : entriesAnswer(finding)),
        watch: () => {
          const wakes = finding.watch();
          return (changes) => changes.keys.size > 0 && wakes(changes.keys);
        },
      };
    },
  };
}

function entriesAnswer({ entries, index }: KvFinding): HttpResponse {
  const headers = readHeaders(index);
  if (entries.length === 0) return bare(404, headers);
  return json(jsonArray(entries.map((entry) => entry.json)), { headers });
}

function keysAnswer(
  { entries, index }: KvFinding,
  prefix: string,
  separator: string,
): HttpResponse {
  const headers = readHeaders(index);
  // Only the empty prefix is answered with an empty list.
  if (entries.length === 0 && prefix !== "") return bare(404, headers);
  const keys = new Set(
    entries.map(({ key }) => {
      const end = separator === "" ? -1 : key.indexOf(separator, prefix.length);
      return end < 0 ? key : key.slice(0, end + separator.length);
    }),
  );
  return json(jsonArray([...keys].map(jsonString)), { headers });
}

function put(call: HttpCall, key: string, server: Server): HttpResponse {
  requireKey(key);
  refuseConflict(call, ["cas", "acquire", "release"]);
  const { query, body } = call;
  const flags = query.has("flags") ? parseUint64(call.parameter("flags")) : 0n;
  const index = query.has("cas") ? parseUint64(call.parameter("cas")) : 0n;
  if (body.length > LARGEST_VALUE) {
    throw new HttpFailure(text(413, tooLarge(body, "kv_max_value_size")));
  }
  server.requireLeader();
  const request = { key, value: body, flags, index };
  if (query.has("release")) {
    const release: KvRequest = { ...request, session: call.parameter("release") };
    return result(server.apply((store, at) => unlock(store.kv, release, at)) !== null);
  }
  if (query.has("acquire")) {
    const acquire: KvRequest = { ...request, session: call.parameter("acquire") };
    // The leader checks lock-delay before the log.
    if (server.raft.leader.lockDelays.isUnder(key, server.now)) return result(false);
    const take = server.apply((store, at) => lock(store.kv, store.sessions, acquire, at));
    return result(take !== null);
  }
  const write: KvRequest = { ...request, session: "" };
  if (query.has("cas")) {
    return result(server.apply((store, at) => compareAndSet(store.kv, write, at)) !== null);
  }
  server.apply((store, at) => set(store.kv, write, at));
  return result(true);
}

function remove(call: HttpCall, key: string, server: Server): HttpResponse {
  refuseConflict(call, ["recurse", "cas"]);
  if (call.query.has("recurse")) {
    server.apply((store, at) => {
      store.kv.deleteBelow(key, at);
    });
    return result(true);
  }
  requireKey(key);
  if (!call.query.has("cas")) {
    server.apply((store, at) => {
      store.kv.delete(key, at);
    });
    return result(true);
  }
  const index = parseUint64(call.parameter("cas"));
  const request: KvRequest = { key, value: "", flags: 0n, index, session: "" };
  return result(server.apply((store, at) => compareAndDelete(store.kv, request, at)));
}

function result(done: boolean): HttpResponse {
  return json(String(done));
}

function requireKey(key: string): void {
  if (key === "") throw new HttpFailure(text(400, "Missing key name"));
}

function refuseConflict({ query }: HttpCall, alternatives: readonly string[]): void {
  if (alternatives.filter((name) => query.has(name)).length < 2) return;
  const sorted = new URLSearchParams(query);
  sorted.sort();
  throw new HttpFailure(text(400, `Conflicting flags: ${sorted.toString()}`));
}

/** Consul's message for a body that exceeds the limit of a setting. */
export function tooLarge(body: string, setting: string): string {
  return (
    `Request body(${body.length} bytes) too large, max size: ${LARGEST_VALUE} bytes. ` +
    `See https://www.consul.io/docs/agent/options.html#${setting}.`
  );
}
