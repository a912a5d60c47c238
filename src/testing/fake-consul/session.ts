import { jsonArray, jsonString } from "./json-text.js";
import type { Nanoseconds } from "./go-duration.js";

export type SessionBehavior = "release" | "delete";

/** A session (Go: `Session`). */
export interface Session {
  readonly id: string;
  readonly name: string;
  readonly node: string;
  readonly lockDelay: Nanoseconds;
  readonly behavior: SessionBehavior;
  /** As the client has written it, or an empty string. */
  readonly ttl: string;
  /** `null` is a nil slice of Go's, which JSON distinguishes from an empty one. */
  readonly nodeChecks: readonly string[] | null;
  readonly serviceChecks: readonly ServiceCheck[] | null;
  /** The field of Consul before 1.7, omitted from answers if it is empty. */
  readonly checks: readonly string[] | null;
  readonly createIndex: bigint;
  readonly modifyIndex: bigint;
}

export interface ServiceCheck {
  readonly id: string;
  readonly namespace: string;
}

/** All health checks that a session depends on. */
export function checksOf({
  checks,
  nodeChecks,
  serviceChecks,
}: Pick<Session, "checks" | "nodeChecks" | "serviceChecks">): string[] {
  return [
    ...(checks ?? []),
    ...(nodeChecks ?? []),
    ...(serviceChecks ?? []).map((check) => check.id),
  ];
}

/** The session in JSON. */
export function sessionJson(session: Session): string {
  const serviceChecks = session.serviceChecks?.map(
    ({ id, namespace }) => `{"ID":${jsonString(id)},"Namespace":${jsonString(namespace)}}`,
  );
  const checks =
    session.checks === null || session.checks.length === 0
      ? ""
      : `"Checks":${jsonArray(session.checks.map(jsonString))},`;
  return (
    `{"ID":${jsonString(session.id)},"Name":${jsonString(session.name)},` +
    `"Node":${jsonString(session.node)},"LockDelay":${session.lockDelay},` +
    `"Behavior":"${session.behavior}","TTL":${jsonString(session.ttl)},` +
    `"NodeChecks":${jsonArray(session.nodeChecks?.map(jsonString) ?? null)},` +
    `"ServiceChecks":${jsonArray(serviceChecks ?? null)},${checks}` +
    `"CreateIndex":${session.createIndex},"ModifyIndex":${session.modifyIndex}}`
  );
}
