// One worker, a process of its own: waits for a slot, works in it, gives it back, rests, and again.
import { setTimeout as pause } from "node:timers/promises";

import { ConsulClient, type Semaphore } from "consul-semaphore";
import { machineNow } from "./machine-clock.js";
import { LIMIT, PREFIX, REST_MS, SESSION_TTL_MS, TURN_MS } from "./scenario.js";
import { orderSchema, type Report } from "./worker-messages.js";

const stopping = new AbortController();

/** Whether what it works on takes until its slot is lost. */
let lingers = false;

process.on("message", (message) => {
  const order = orderSchema.parse(message);
  switch (order.type) {
    case "start":
      void work(order);
      return;
    case "linger":
      lingers = true;
      return;
    case "stop":
      stopping.abort();
  }
});

// Without the demo there is nobody to work for.
process.once("disconnect", () => {
  stopping.abort();
});

// Ctrl-C reaches every process of the terminal. The demo gets it too, and tells when to stop.
process.on("SIGINT", () => undefined);

report({ type: "is ready" });

async function work({ worker, address }: { worker: string; address: string }): Promise<void> {
  const consul = new ConsulClient({ address });
  const semaphore = consul.semaphoreOpts({
    prefix: PREFIX,
    limit: LIMIT,
    value: worker,
    sessionName: `timeline ${worker}`,
    sessionTTL: SESSION_TTL_MS,
  });
  try {
    while (!stopping.signal.aborted) {
      await pauseFor(REST_MS);
      await takeTurn(semaphore);
    }
  } catch (error) {
    if (!stopping.signal.aborted) {
      const problem = error instanceof Error ? error.message : String(error);
      report({ type: "fails", at: machineNow(), problem });
      process.exitCode = 1;
    }
  } finally {
    await consul.close();
    if (process.connected) process.disconnect();
  }
}

async function takeTurn(semaphore: Semaphore): Promise<void> {
  report({ type: "waits", at: machineNow() });
  const slot = await semaphore.acquire(stopping.signal);
  report({ type: "acquires", at: machineNow() });
  await pauseFor(TURN_MS, slot.signal);
  while (lingers && slot.held && !stopping.signal.aborted) await pauseFor(TURN_MS, slot.signal);
  // Taken before the release: from its beginning on, the slot is no longer ours.
  const at = machineNow();
  if (slot.held) report({ type: "releases", at });
  else {
    lingers = false;
    report({ type: "loses its slot", at, problem: String(slot.signal.reason) });
  }
  await slot.release();
}

/** Lasts as long as chance will have it; ends early when it is time to stop. */
async function pauseFor(
  { least, most }: { least: number; most: number },
  signal: AbortSignal = stopping.signal,
): Promise<void> {
  const ms = least + Math.random() * (most - least);
  await pause(ms, undefined, { signal: AbortSignal.any([signal, stopping.signal]) }).catch(
    () => undefined,
  );
}

function report(message: Report): void {
  // A demo that is gone has no use for it.
  if (process.connected) process.send?.(message, () => undefined);
}
