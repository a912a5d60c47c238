/** Time as the fake Consul knows it, so that a simulation can run on a clock of its own. */
export interface Clock {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Calls once after `ms`; the result cancels. */
  after(ms: number, call: () => void): () => void;
}
