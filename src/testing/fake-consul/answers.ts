import type { HttpResponse } from "./carrier.js";

type Headers = Readonly<Record<string, string>>;

/** A request that ends with an answer other than the one asked for. */
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

/** A status and nothing more. */
export function bare(status: number, headers: Headers = {}): HttpResponse {
  return { status, headers, body: "" };
}

/** What the headers of a read say of it. Names are spelled as Go's HTTP server spells them. */
export function readHeaders(index: bigint, knownLeader = true): Record<string, string> {
  return {
    // A client that waited on 0 would not wait at all.
    "X-Consul-Index": (index < 1n ? 1n : index).toString(),
    ...contactHeaders(knownLeader),
  };
}

/** How the server stands to the leader. */
export function contactHeaders(knownLeader: boolean): Record<string, string> {
  return { "X-Consul-Knownleader": String(knownLeader), "X-Consul-Lastcontact": "0" };
}

/** What every request gets that needs the leader while there is none. */
export const NO_LEADER = "No cluster leader";
