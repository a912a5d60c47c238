import { badRequest, type ConsulError } from "./http/consul-error.js";
import { shown } from "../shown-value.js";

// The arguments of the KV store are checked before they are sent. Types do not protect a caller in
// plain JavaScript, whose `acquire` without a session would be an unconditional write.

const MAX_UINT64 = 2n ** 64n - 1n;

/** A segment that Consul's server cleans away. */
const CLEANED_AWAY = /\/(?=\/)|(?:^|\/)(?<dots>\.{1,2})(?:\/|$)/;

/** The request that an argument belongs to, for the error message. */
export interface RequestLine {
  readonly method: string;
  readonly path: string;
}

/** @throws ConsulError */
export function checkedValue(request: RequestLine, value: unknown): Uint8Array | string {
  if (value === undefined || value === null) return "";
  if (typeof value === "string" || value instanceof Uint8Array) return value;
  throw refusal(request, `invalid value (${typeof value}): expected text or bytes`);
}

/** @throws ConsulError */
export function checkedUint64(request: RequestLine, name: string, value: unknown): string {
  if (typeof value === "bigint" && value >= 0n && value <= MAX_UINT64) return value.toString();
  throw refusal(
    request,
    `invalid ${name} ${String(value)} (${typeof value}): ` +
      `expected a bigint from 0n to 2n ** 64n - 1n`,
  );
}

/** @throws ConsulError */
export function checkedSession(request: RequestLine, session: unknown): string {
  if (typeof session === "string" && session !== "") return session;
  throw refusal(request, `invalid session ${shown(session)}`);
}

/** The path of a key. All its characters but the slashes are encoded. */
export function keyPath(method: string, key: string, options?: KeyOptions): string {
  const segments = checkedKey(method, key, options).split("/");
  return `/v1/kv/${segments.map(encodeURIComponent).join("/")}`;
}

/**
 * @throws ConsulError for a key that the HTTP API cannot address: Consul's server cleans paths, and
 *   redirects `a//b`, `./a` and `a/../b`, encoded or not
 */
export function checkedKey(
  method: string,
  key: string,
  { mayBeEmpty = false }: KeyOptions = {},
): string {
  const refuse = (problem: string): ConsulError =>
    badRequest(method, "/v1/kv/", `invalid key ${shown(key)}: ${problem}`);
  if (typeof key !== "string") throw refuse(`expected a string, got ${typeof key}`);
  if (key === "" && !mayBeEmpty) throw refuse("it must not be empty");
  if (key.startsWith("/")) throw refuse("it must not begin with a '/'");
  if (!key.isWellFormed()) throw refuse("it contains an unpaired surrogate");
  const cleanedAway = CLEANED_AWAY.exec(key);
  if (cleanedAway !== null) {
    const segment = cleanedAway.groups?.["dots"] ?? "";
    throw refuse(`Consul's HTTP API cannot reach a key with the segment "${segment}"`);
  }
  return key;
}

interface KeyOptions {
  readonly mayBeEmpty?: boolean;
}

function refusal({ method, path }: RequestLine, problem: string): ConsulError {
  return badRequest(method, path, problem);
}
