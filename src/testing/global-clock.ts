import type { Clock } from "./fake-consul/clock.js";

/**
 * The time of this process, by whatever its globals are when they are asked: Node's own, or the fake
 * timers of a test runner. Like a server that runs somewhere else, it keeps no process alive.
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
