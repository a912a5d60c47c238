/** What one create or renew of a session has bought. */
export interface SessionTerm {
  /**
   * When the request was sent, on the clock of `performance.now()`. Consul counts from when it
   * received it, which is later, so that it never frees the session before this term is over.
   */
  readonly sentAt: number;
  /** In milliseconds; `Infinity` for a session without a TTL. */
  readonly ttl: number;
}

/** Until when Consul keeps the session for sure, on the clock of `performance.now()`. */
export function endOfTerm({ sentAt, ttl }: SessionTerm): number {
  return sentAt + ttl;
}
