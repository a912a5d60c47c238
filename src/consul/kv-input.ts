import { inspect } from "node:util";

import { z } from "zod";

import { badRequest, type ConsulError } from "./http/consul-error.js";

// The arguments of the KV store are checked before they are sent. Types do not protect a caller in
// plain JavaScript, whose `acquire` without a session would be an unconditional write.
const valueSchema = z.union([z.string(), z.instanceof(Uint8Array)]).nullish();
const uint64Schema = z
  .bigint()
  .min(0n)
  .max(2n ** 64n - 1n);
const sessionSchema = z.string().min(1);

/** The request that an argument belongs to, for the error message. */
export interface RequestLine {
  readonly method: string;
  readonly path: string;
}

/** @throws ConsulError */
export function checkedValue(request: RequestLine, value: unknown): Uint8Array | string {
  const checked = valueSchema.safeParse(value);
  if (checked.success) return checked.data ?? "";
  throw refusal(request, `invalid value (${typeof value}): expected text or bytes`);
}

/** @throws ConsulError */
export function checkedUint64(request: RequestLine, name: string, value: unknown): string {
  const checked = uint64Schema.safeParse(value);
  if (checked.success) return checked.data.toString();
  throw refusal(
    request,
    `invalid ${name} ${String(value)} (${typeof value}): ` +
      `expected a bigint from 0n to 2n ** 64n - 1n`,
  );
}

/** @throws ConsulError */
export function checkedSession(request: RequestLine, session: unknown): string {
  const checked = sessionSchema.safeParse(session);
  if (checked.success) return checked.data;
  throw refusal(request, `invalid session ${inspect(session)}`);
}

/**
 * The path of a key. All its characters but the slashes are encoded.
 *
 * @throws ConsulError for a key that the HTTP API cannot address: Consul's server cleans paths, and
 *   redirects `a//b`, `./a` and `a/../b`, encoded or not
 */
export function keyPath(method: string, key: string, { mayBeEmpty = false } = {}): string {
  const refuse = (problem: string): ConsulError =>
    badRequest(method, "/v1/kv/", `invalid key ${inspect(key)}: ${problem}`);
  if (typeof key !== "string") throw refuse(`expected a string, got ${typeof key}`);
  if (key === "" && !mayBeEmpty) throw refuse("it must not be empty");
  if (key.startsWith("/")) throw refuse("it must not begin with a '/'");
  if (!key.isWellFormed()) throw refuse("it contains an unpaired surrogate");
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

function refusal({ method, path }: RequestLine, problem: string): ConsulError {
  return badRequest(method, path, problem);
}
