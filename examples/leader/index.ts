// One leader among any number of processes: a semaphore with one slot. A leader that loses the slot
// stops its work and queues for the slot again. On SIGTERM it hands over at once.
//
//   npx tsx examples/leader/index.ts

import { setTimeout as pause } from "node:timers/promises";

import { ConsulClient, SemaphoreClosedError, SemaphoreRequestError } from "consul-semaphore";

const PREFIX = process.env["EXAMPLE_PREFIX"] ?? "examples/leader";
const STEP_MS = 1_000;

const consul = new ConsulClient();
const leadership = consul.semaphoreOpts({ prefix: PREFIX, limit: 1, sessionName: PREFIX });

const stopping = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => {
    stopping.abort();
    // The step under way is finished in the slot. A process that waits for the slot stops waiting.
    void consul.close({ drain: "10s" });
  });
}

while (!stopping.signal.aborted) {
  try {
    await using slot = await leadership.acquire();
    console.log(`leading with token ${slot.fencingToken}`);
    await lead(slot.fencingToken, AbortSignal.any([slot.signal, stopping.signal]));
    console.log(slot.held ? "handing over" : `lost: ${String(slot.signal.reason)}`);
  } catch (error) {
    if (error instanceof SemaphoreClosedError) break;
    // An outage of Consul may outlast the time that `acquire` takes to get into the queue.
    if (!(error instanceof SemaphoreRequestError && error.retryable)) throw error;
    console.error(String(error));
  }
}

/** Works step by step until the signal aborts. */
async function lead(token: bigint, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    // A loss is reported within a second, and not at once: what the leader writes to should refuse
    // a token that is lower than one it has seen.
    console.log(`step with token ${token}`);
    await pause(STEP_MS, undefined, { signal }).catch(() => undefined);
  }
}
