import type { HttpResponse } from "../../src/testing/fake-consul/carrier.js";

/** What can go wrong between a process and its Consul agent. */
export const LINK_FAULTS = [
  "drop-request",
  "drop-answer",
  "cut-before",
  "cut-after",
  "refuse",
  "error-before",
  "error-after",
  "too-many",
  "duplicate",
  "freeze",
  "slow",
  "late-reads",
  "late-requests",
] as const;

/** Somebody else answers in Consul's place, who has kept the request for himself, or passed it on. */
export const FALSE_ANSWERS = ["false-answer-before", "false-answer-after"] as const;

export type LinkFault = (typeof LINK_FAULTS)[number] | (typeof FALSE_ANSWERS)[number];

export function isLinkFault(fault: string): fault is LinkFault {
  return [...LINK_FAULTS, ...FALSE_ANSWERS].some((known) => known === fault);
}

/** Faults that keep a process from nothing: at worst it is told a write failed that did not. */
export function isMild(fault: LinkFault): boolean {
  return fault === "duplicate" || fault === "slow" || fault === "late-reads";
}

/** A fault at work, and the part of all requests that meets it. */
export interface LinkCondition {
  readonly fault: LinkFault;
  readonly share: number;
}

/** What a proxy or an agent answers that could not do what it was asked for. */
export function failure(status: number, body: string): HttpResponse {
  return { status, headers: { "content-type": "text/plain; charset=utf-8" }, body };
}

const PAGE = "<!DOCTYPE html><title>The gateway</title><p>Permission denied, or not found.";

/** What a load balancer, or whatever listens there instead, says to any request. */
export const PAGES: readonly HttpResponse[] = [
  ...[200, 400, 403, 404, 408, 409, 413, 429, 500, 502, 503].map((status) => page(status, PAGE)),
  page(204, ""),
  page(301, "", { location: "https://gateway.example/v1/kv/" }),
  page(404, "404 page not found\n"),
  page(500, "invalid upstream</p>"),
  ...["{}", "[]", "null", '{"status":"ok"}', '{"Results":', '[{"Key":"a'].map((body) =>
    page(200, body, { "content-type": "application/json" }),
  ),
];

function page(status: number, body: string, headers: HttpResponse["headers"] = {}): HttpResponse {
  return { status, headers: { "content-type": "text/html", ...headers }, body };
}

export function connectionReset(): Error {
  return Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
}

export function connectionRefused(): Error {
  return Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:8500"), { code: "ECONNREFUSED" });
}
