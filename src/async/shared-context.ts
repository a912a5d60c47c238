import { AsyncResource } from "node:async_hooks";

/** Created when the package is loaded, which is usually outside of any request. */
const neutral = new AsyncResource("consul-semaphore");

/**
 * Calls `fn` outside of the caller's async context. Loops, timers and sockets that serve many
 * callers start here. Otherwise they would belong to the request that happened to start them, and
 * its trace would never end.
 */
export function inSharedContext<Result>(fn: () => Result): Result {
  return neutral.runInAsyncScope(fn);
}
