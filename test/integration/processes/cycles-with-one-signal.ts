// Acquires and releases again and again, each time with the same signal, as a service does that
// hands its shutdown signal to everything.
import { getEventListeners } from "node:events";
import { setTimeout as pause } from "node:timers/promises";

import { ConsulClient } from "../../../src/index.js";
import { complaints } from "./complaints.js";

const [address = "", prefix = "", cycles = ""] = process.argv.slice(2);
const client = new ConsulClient({ address });
const semaphore = client.semaphoreOpts({ prefix, limit: 1, sessionName: prefix });
const shutdown = new AbortController();
for (let cycle = 0; cycle < Number(cycles); cycle += 1) {
  await semaphore.acquire(shutdown.signal);
  await semaphore.release();
}
const listeners = getEventListeners(shutdown.signal, "abort").length;
await pause(100);
process.stdout.write(JSON.stringify({ complaints, listeners }));
