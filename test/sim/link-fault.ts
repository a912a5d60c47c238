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

export type LinkFault = (typeof LINK_FAULTS)[number];

export function isLinkFault(fault: string): fault is LinkFault {
  return LINK_FAULTS.some((known) => known === fault);
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

export function connectionReset(): Error {
  return Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
}

export function connectionRefused(): Error {
  return Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:8500"), { code: "ECONNREFUSED" });
}
