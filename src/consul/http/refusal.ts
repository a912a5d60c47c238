/** Servers pass on each other's words. */
const PASSED_ON = /^(?:rpc error(?: making call)?: (?:code = \w+ desc = )?)+/;

/** By status, how Consul begins its plain text where it refuses a request for good. */
const REFUSALS: Readonly<Record<number, RegExp>> = {
  // A server's own words, and not just the name of the status.
  400: /^(?!bad request\W*$)[^<\s]/i,
  401: /^acl support disabled/i,
  403: /^(?:permission denied|acl not found)/i,
  405: /^method \w+ not allowed/i,
  // A transaction that lacks a permission.
  409: /^(?:permission denied|acl not found)/i,
  413: /^(?:request body|value)\b.*(?:too large|exceeds)/i,
  // It answers so for failures of its own as well, which pass; the name of a check is anybody's, and
  // a gateway too says that something is invalid.
  500: /^(?:invalid (?:session(?:$| ttl '| ")|behavior setting '|key name)|session ttl '[^']*' invalid|missing check '.*' registration|cross datacenter lock )/i,
};

/** The same of words that one server of Consul's has from another. */
const REFUSED_ELSEWHERE = /^(?:rpc error[^:]*: )+invalid /i;

/**
 * Whether an answer is surely Consul's own, and final. Anything else may come from whatever stands in
 * Consul's place for a while: a load balancer has pages of any status.
 */
export function isRefusal(status: number, text: string): boolean {
  if (status === 500 && REFUSED_ELSEWHERE.test(text)) return true;
  return REFUSALS[status]?.test(ownWords(text)) === true;
}

/** Whether Consul says that there are too many requests for now. */
export function isRateLimit(text: string): boolean {
  return /^rate limit/i.test(ownWords(text));
}

/** Whether Consul says that the node of a new session is not in its catalog. */
export function isMissingNode(text: string): boolean {
  return /^missing node registration/i.test(ownWords(text));
}

function ownWords(text: string): string {
  return text.trim().replace(PASSED_ON, "");
}
