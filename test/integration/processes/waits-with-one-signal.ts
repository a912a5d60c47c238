// Lets many semaphores wait with the same signal, and aborts it. Then it ends as it may: nothing
// here waits for what is still to be cleared away.
import { getEventListeners } from "node:events";
import { setTimeout as pause } from "node:timers/promises";

import { ConsulClient } from "../../../src/index.js";
import { complaints } from "./complaints.js";

const [address = "", prefix = "", count = ""] = process.argv.slice(2);
const client = new ConsulClient({ address });
const options = { prefix, limit: 1, sessionName: prefix };
const holder = client.semaphoreOpts(options);
await holder.acquire();

const shutdown = new AbortController();
const waiting = Array.from({ length: Number(count) }, () =>
  client.semaphoreOpts(options).acquire(shutdown.signal),
);
while ((await holder.inspect()).waiters.length < waiting.length) await pause(20);

const reason = new Error("the service shuts down");
shutdown.abort(reason);
const outcomes = await Promise.allSettled(waiting);
const rejectedWithReason = outcomes.filter(
  (outcome) => outcome.status === "rejected" && outcome.reason === reason,
).length;
await holder.release();
const listeners = getEventListeners(shutdown.signal, "abort").length;
await pause(100);
process.stdout.write(JSON.stringify({ complaints, listeners, rejectedWithReason }));
