import { GoDurationError, parseGoDuration, SECOND, type Nanoseconds } from "./go-duration.js";
import {
  JsonBodyError,
  JsonNumber,
  JsonObject,
  parseJsonBody,
  stringMember,
  wrongType,
  type Json,
} from "./json-body.js";
import type { ServiceCheck, Session } from "./session.js";
import { NODE, SERF_HEALTH } from "./state-store.js";

/** The session that a client requests. */
export type SessionRequest = Omit<Session, "id" | "behavior" | "createIndex" | "modifyIndex"> & {
  readonly behavior: string;
};

const DEFAULTS: SessionRequest = {
  name: "",
  node: NODE,
  lockDelay: 15n * SECOND,
  behavior: "release",
  ttl: "",
  nodeChecks: [SERF_HEALTH],
  serviceChecks: null,
  checks: [SERF_HEALTH],
};

/** A shorter lock-delay is read as a number of seconds (Go: `lockDelayMinThreshold`). */
const SHORTEST_LOCK_DELAY: Nanoseconds = 1_000n;

/**
 * Parses the body of a create, which may be empty. Unknown members are ignored.
 *
 * @throws JsonBodyError
 */
export function parseSessionRequest(body: string): SessionRequest {
  return withoutDoubledChecks(body === "" ? DEFAULTS : read(parseJsonBody(body)));
}

function read(json: Json): SessionRequest {
  if (json === null) return DEFAULTS;
  if (!(json instanceof JsonObject)) {
    throw new JsonBodyError(
      "json: cannot unmarshal into Go value of type struct { LockDelay interface {}; *structs.Alias }",
    );
  }
  return {
    name: stringMember(json, "Name", DEFAULTS.name),
    node: stringMember(json, "Node", DEFAULTS.node),
    lockDelay: readLockDelay(json.get("LockDelay") ?? null),
    behavior: stringMember(json, "Behavior", DEFAULTS.behavior),
    ttl: stringMember(json, "TTL", DEFAULTS.ttl),
    nodeChecks: listMember(json, "NodeChecks", DEFAULTS.nodeChecks, readCheck),
    serviceChecks: listMember(json, "ServiceChecks", DEFAULTS.serviceChecks, readServiceCheck),
    checks: listMember(json, "Checks", DEFAULTS.checks, readCheck),
  };
}

/** Reads text or a number of nanoseconds. Consul reads anything else as 0. */
function readLockDelay(json: Json): Nanoseconds {
  if (json === null) return DEFAULTS.lockDelay;
  const delay = BigInt.asIntN(64, readNanoseconds(json));
  // Older clients send seconds: a small number is read as seconds, and so is a short text.
  return delay < SHORTEST_LOCK_DELAY ? BigInt.asIntN(64, delay * SECOND) : delay;
}

function readNanoseconds(json: Json): Nanoseconds {
  if (json instanceof JsonNumber) {
    const number = Number(json.text);
    if (!Number.isFinite(number)) throw wrongType(json, ".LockDelay", "float64");
    return BigInt(Math.trunc(number));
  }
  if (typeof json !== "string") return 0n;
  try {
    return parseGoDuration(json);
  } catch (error) {
    throw error instanceof GoDurationError ? new JsonBodyError(error.message) : error;
  }
}

/** The value of a list member, or the fallback if it is absent. */
function listMember<Item>(
  object: JsonObject,
  name: string,
  fallback: readonly Item[] | null,
  readItem: (json: Json, field: string) => Item,
): readonly Item[] | null {
  const value = object.get(name);
  if (value === undefined) return fallback;
  if (value === null) return null;
  if (!Array.isArray(value)) throw wrongType(value, `.${name}`, "[]string");
  return value.map((item: Json) => readItem(item, `.${name}`));
}

function readCheck(json: Json, field: string): string {
  if (typeof json === "string") return json;
  if (json === null) return "";
  throw wrongType(json, field, "string");
}

function readServiceCheck(json: Json, field: string): ServiceCheck {
  if (!(json instanceof JsonObject)) throw wrongType(json, field, "structs.ServiceCheck");
  return {
    id: stringMember(json, "ID", ""),
    namespace: stringMember(json, "Namespace", ""),
  };
}

/**
 * Removes the default of a list of checks that the client has not sent (Go:
 * `fixupEmptySessionChecks`). There are two lists, since clients before 1.7 only know `Checks`.
 */
function withoutDoubledChecks(request: SessionRequest): SessionRequest {
  const { checks, nodeChecks } = request;
  if (checks === null || checks.length === 0) return { ...request, nodeChecks: [] };
  if (checks.length === 1 && checks[0] === SERF_HEALTH) return { ...request, checks: null };
  if (nodeChecks === null || nodeChecks.length === 0) return { ...request, checks: null };
  return request;
}
