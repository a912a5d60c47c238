/** Time as the fake Consul knows it, so that a simulation can run on a clock of its own. */
export interface Clock {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Calls once after `ms`; the result cancels. */
  after(ms: number, call: () => void): () => void;
}

/** Real time. */
export const realClock: Clock = {
  now: () => performance.now(),
  after: (ms, call) => {
    const due = performance.now() + ms;
    let timer: NodeJS.Timeout;
    // Node's timers may be early by a millisecond, and a session must not end before its time.
    const whenDue = (): void => {
      const left = due - performance.now();
      if (left > 0) timer = setTimeout(whenDue, left);
      else call();
    };
    timer = setTimeout(whenDue, ms);
    return () => {
      clearTimeout(timer);
    };
  },
};
