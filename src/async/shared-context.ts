import { AsyncResource } from "node:async_hooks";

/** Made when the package is loaded, which as a rule is in no request's context. */
const neutral = new AsyncResource("consul-semaphore");

/**
 * Calls `fn` in no caller's async context. Loops and timers that serve many callers start here:
 * otherwise they would belong to the request that happened to start them, and its trace would never
 * end.
 */
export function inSharedContext<Result>(fn: () => Result): Result {
  return neutral.runInAsyncScope(fn);
}
