import type { HttpResponse } from "./carrier.js";

type Headers = Readonly<Record<string, string>>;

/** Thrown to answer a request with a failure. */
export class HttpFailure extends Error {
  override readonly name = "HttpFailure";

  constructor(readonly response: HttpResponse) {
    super(response.body);
  }
}

export function json(body: string, { status = 200, headers = {} } = {}): HttpResponse {
  return { status, headers: { ...headers, "Content-Type": "application/json" }, body };
}

export function text(status: number, body: string, headers: Headers = {}): HttpResponse {
  return { status, headers: { ...headers, "Content-Type": "text/plain; charset=utf-8" }, body };
}

/** An answer without a body. */
export function bare(status: number, headers: Headers = {}): HttpResponse {
  return { status, headers, body: "" };
}

/** The headers of a read. Names are spelled as Go's HTTP server spells them. */
export function readHeaders(index: bigint, knownLeader = true): Record<string, string> {
  return {
    // A blocking query with index 0 would not wait.
    "X-Consul-Index": (index < 1n ? 1n : index).toString(),
    ...contactHeaders(knownLeader),
  };
}

/** The headers about the leader. */
export function contactHeaders(knownLeader: boolean): Record<string, string> {
  return { "X-Consul-Knownleader": String(knownLeader), "X-Consul-Lastcontact": "0" };
}

/** The failure of every request that needs a leader while there is none. */
export const NO_LEADER = "No cluster leader";
