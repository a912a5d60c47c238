// The usual ways to use npm's `redis-semaphore`, each as a comment above the same with this library:
// wait so long, try once, and react to a loss. README.md beside it compares the options.
//
//   npx tsx examples/from-redis-semaphore/index.ts IMAGE [WORK_MS]

import { setTimeout as pause } from "node:timers/promises";

import { ConsulClient, SemaphoreLostError, SemaphoreTimeoutError } from "consul-semaphore";

const PREFIX = process.env["EXAMPLE_PREFIX"] ?? "examples/from-redis-semaphore";
const ACQUIRE_TIMEOUT = process.env["ACQUIRE_TIMEOUT"] ?? "10s";
const [image = "cat.png", workMs = "100"] = process.argv.slice(2);

// before:  const redis = new Redis();
await using consul = new ConsulClient();

// before:  const options = { lockTimeout: 15_000, acquireTimeout: 10_000, onLockLost };
const options = { prefix: PREFIX, limit: 3, sessionTTL: "15s", sessionName: PREFIX };
const semaphore = consul.semaphoreOpts(options);

console.log(`resize: ${await outcomeOf(resize)}`);
console.log(`resize if free: ${await outcomeOf(resizeIfFree)}`);

async function resize(): Promise<string> {
  // before:  const semaphore = new Semaphore(redis, "resize", 3, options);
  //          await semaphore.acquire();
  //          try {
  //            await work(image);
  //          } finally {
  //            await semaphore.release();
  //          }
  await semaphore.run((slot) => work(slot.signal), { timeout: ACQUIRE_TIMEOUT });
  return "done";
}

async function resizeIfFree(): Promise<string> {
  // before:  const semaphore = new Semaphore(redis, "resize", 3, {
  //            ...options,
  //            acquireAttemptsLimit: 1,
  //          });
  //          if (!(await semaphore.tryAcquire())) return "busy";
  await using slot = await semaphore.tryAcquire({ timeout: 0 });
  if (slot === null) return "busy";
  await work(slot.signal);
  return "done";
}

async function work(signal: AbortSignal): Promise<void> {
  // before:  if (!semaphore.isAcquired) …, wherever the work can stop, or a flag that is set by
  //          onLockLost. What takes a signal needs neither.
  await pause(Number(workMs), undefined, { signal });
  console.log(`resized ${image}`);
}

async function outcomeOf(task: () => Promise<string>): Promise<string> {
  try {
    return await task();
  } catch (error) {
    // before:  error instanceof TimeoutError
    if (error instanceof SemaphoreTimeoutError) return "timed out";
    // before:  error instanceof LostLockError, in onLockLost
    const loss = error instanceof Error && error.name === "AbortError" ? error.cause : error;
    if (loss instanceof SemaphoreLostError) return `lost (${loss.reason})`;
    throw error;
  }
}
