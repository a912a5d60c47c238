/** An agent that was started for the tests, whichever way. */
export interface StartedAgent {
  /** For example `http://127.0.0.1:8500`. */
  readonly address: string;
  /** Ends it; more calls do no more. */
  stop(): Promise<void>;
}
