/** The clock of the fake Consul. A simulation has its own. */
export interface Clock {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Calls `call` once after `ms` milliseconds. The returned function cancels. */
  after(ms: number, call: () => void): () => void;
}
