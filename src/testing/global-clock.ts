import type { Clock } from "./fake-consul/clock.js";

/**
 * The clock of this process. Each call uses the current globals: Node's own, or the fake timers of
 * a test runner. Like a server elsewhere, it does not keep the process alive.
 */
export const globalClock: Clock = {
  now: () => performance.now(),
  after: (ms, call) => {
    const due = performance.now() + ms;
    let timer: NodeJS.Timeout;
    const wait = (left: number): void => {
      timer = setTimeout(whenDue, left).unref();
    };
    // Node's timers may be early by a millisecond, and a session must not end before its time.
    const whenDue = (): void => {
      const left = due - performance.now();
      if (left > 0) wait(left);
      else call();
    };
    wait(ms);
    return () => {
      clearTimeout(timer);
    };
  },
};
