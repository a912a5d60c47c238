import { inspect } from "node:util";

import { z } from "zod";

import { kvEntriesSchema, readAnswer, writeResultSchema } from "./answers.js";
import { badRequest, type ConsulError } from "./consul-error.js";
import { planQuery, readMeta, type QueryOptions, type QueryResult } from "./query.js";
import type { RequestOptions } from "./request-options.js";
import type { ConsulRequest, Transport } from "./transport.js";

/** An entry of Consul's key/value store (Go: `KVPair`). */
export interface KVEntry {
  readonly key: string;
  /** The bytes stored; `null` where there are none, since Consul knows no empty value. */
  readonly value: Uint8Array | null;
  /** An unsigned 64-bit number that Consul keeps for its clients. */
  readonly flags: bigint;
  /** The session that holds the entry's lock. */
  readonly session: string | null;
  readonly createIndex: bigint;
  readonly modifyIndex: bigint;
  readonly lockIndex: bigint;
}

/** What to store. */
export interface KVWrite {
  /** Must not begin with `/`. */
  readonly key: string;
  readonly value?: Uint8Array | string | null | undefined;
  /** Default: 0. */
  readonly flags?: bigint | undefined;
}

/**
 * Consul's key/value store (Go: `KV`). Every method rejects with a {@link ConsulError}, or with the
 * reason of its signal.
 */
export class KV {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The entry at a key, or `null`. */
  async get(key: string, options: QueryOptions = {}): Promise<QueryResult<KVEntry | null>> {
    const { value, meta } = await this.#read(keyPath("GET", key), {}, options);
    return { value: value[0] ?? null, meta };
  }

  /**
   * All entries whose key begins with `prefix`, as a string: `"jobs"` finds `jobs2` as well,
   * `"jobs/"` does not.
   */
  async list(prefix: string, options: QueryOptions = {}): Promise<QueryResult<readonly KVEntry[]>> {
    return await this.#read(
      keyPath("GET", prefix, { mayBeEmpty: true }),
      { recurse: true },
      options,
    );
  }

  /** Stores an entry, whatever is there. */
  async put(entry: KVWrite, options: RequestOptions = {}): Promise<boolean> {
    return await this.#write(entry, {}, options);
  }

  /**
   * Stores an entry if the one there still has this modify index; 0 means that there must be none.
   * Resolves to whether it was stored (Go: `CAS`).
   */
  async cas(
    entry: KVWrite & { readonly modifyIndex: bigint },
    options: RequestOptions = {},
  ): Promise<boolean> {
    return await this.#write(entry, { cas: checkedIndex("PUT", entry) }, options);
  }

  /**
   * Stores an entry and takes its lock for a session. Resolves to `false` where another session has
   * the lock, or the key is under lock-delay.
   */
  async acquire(
    entry: KVWrite & { readonly session: string },
    options: RequestOptions = {},
  ): Promise<boolean> {
    return await this.#write(entry, { acquire: checkedSession(entry) }, options);
  }

  /** Stores an entry and gives its lock back. Resolves to `false` where the session has it not. */
  async release(
    entry: KVWrite & { readonly session: string },
    options: RequestOptions = {},
  ): Promise<boolean> {
    return await this.#write(entry, { release: checkedSession(entry) }, options);
  }

  /** Deletes the entry at a key, if there is one. */
  async delete(key: string, options: RequestOptions = {}): Promise<boolean> {
    return await this.#send({ method: "DELETE", path: keyPath("DELETE", key), options });
  }

  /** Deletes an entry if it still has this modify index. Resolves to whether it did. */
  async deleteCas(
    entry: { readonly key: string; readonly modifyIndex: bigint },
    options: RequestOptions = {},
  ): Promise<boolean> {
    return await this.#send({
      method: "DELETE",
      path: keyPath("DELETE", entry.key),
      query: { cas: checkedIndex("DELETE", entry) },
      options,
    });
  }

  async #read(
    path: string,
    query: ConsulRequest["query"],
    options: QueryOptions,
  ): Promise<QueryResult<readonly KVEntry[]>> {
    const plan = planQuery(path, options);
    const answer = await this.#transport.send({
      method: "GET",
      path,
      query: { ...query, ...plan.query },
      options: plan.options,
      alsoAccept: [404],
    });
    const meta = readMeta(answer);
    if (answer.status === 404) return { value: [], meta };
    return { value: readAnswer(answer, kvEntriesSchema, "a list of key/value entries"), meta };
  }

  async #write(
    { key, value, flags = 0n }: KVWrite,
    query: ConsulRequest["query"],
    options: RequestOptions,
  ): Promise<boolean> {
    const path = keyPath("PUT", key);
    const body = valueSchema.safeParse(value);
    if (!body.success) {
      throw badRequest("PUT", path, `invalid value (${typeof value}): expected text or bytes`);
    }
    if (!uint64Schema.safeParse(flags).success)
      throw badRequest("PUT", path, invalidUint64("flags", flags));
    return await this.#send({
      method: "PUT",
      path,
      query: { ...query, flags: flags === 0n ? undefined : flags.toString() },
      body: body.data ?? "",
      options,
    });
  }

  async #send(request: ConsulRequest): Promise<boolean> {
    const answer = await this.#transport.send(request);
    return readAnswer(answer, writeResultSchema, "true or false");
  }
}

// The types say all this already; but a plain JavaScript caller's `acquire` without a session would
// be an unconditional write.
const valueSchema = z.union([z.string(), z.instanceof(Uint8Array)]).nullish();
const uint64Schema = z
  .bigint()
  .min(0n)
  .max(2n ** 64n - 1n);
const sessionSchema = z.string().min(1);

function checkedIndex(
  method: string,
  { key, modifyIndex }: { readonly key: string; readonly modifyIndex: bigint },
): string {
  if (uint64Schema.safeParse(modifyIndex).success) return modifyIndex.toString();
  throw badRequest(method, keyPath(method, key), invalidUint64("modifyIndex", modifyIndex));
}

function checkedSession({
  key,
  session,
}: {
  readonly key: string;
  readonly session: string;
}): string {
  if (sessionSchema.safeParse(session).success) return session;
  throw badRequest("PUT", keyPath("PUT", key), `invalid session ${inspect(session)}`);
}

function invalidUint64(name: string, value: unknown): string {
  return (
    `invalid ${name} ${String(value)} (${typeof value}): ` +
    `expected a bigint from 0n to 2n ** 64n - 1n`
  );
}

/**
 * The path of a key, with every character of it encoded but the slashes.
 *
 * @throws ConsulError for a key that Consul cannot be asked for: its HTTP server cleans paths, and
 *   sends `a//b`, `./a` and `a/../b` elsewhere, encoded or not.
 */
function keyPath(method: string, key: string, { mayBeEmpty = false } = {}): string {
  const refuse = (problem: string): ConsulError =>
    badRequest(method, "/v1/kv/", `invalid key ${inspect(key)}: ${problem}`);
  if (typeof key !== "string") throw refuse(`expected a string, got ${typeof key}`);
  if (key === "" && !mayBeEmpty) throw refuse("it must not be empty");
  if (key.startsWith("/")) throw refuse("it must not begin with a '/'");
  if (!key.isWellFormed()) throw refuse("it contains half of a surrogate pair");
  const segments = key.split("/");
  const cleanedAway = segments.find(
    (segment, position) =>
      segment === "." || segment === ".." || (segment === "" && position < segments.length - 1),
  );
  if (cleanedAway !== undefined) {
    throw refuse(`Consul's HTTP API cannot reach a key with the segment "${cleanedAway}"`);
  }
  return `/v1/kv/${segments.map(encodeURIComponent).join("/")}`;
}
