import { callAfter } from "./call-after.js";

/** Resolves when `work` has settled, or else after `ms` milliseconds. It never rejects. */
export function settledWithin(ms: number, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const cancel = callAfter(ms, resolve);
    const done = (): void => {
      cancel();
      resolve();
    };
    work.then(done, done);
  });
}
