// Two KV writes, one after the other: what a turn would take that needed nothing else. Where many
// contend, they queue in memory: no semaphore in Consul can be faster, nor wait more evenly.
import { Client } from "undici";

import { carryOut } from "./carry-out.js";
import { parseLoad } from "./load.js";
import { QueueInMemory } from "./queue-in-memory.js";

const load = parseLoad(process.argv.slice(2));
const client = new Client(`http://${load.address}`);
const queue = new QueueInMemory();

async function write(): Promise<void> {
  const path = `/v1/kv/${load.prefix}`;
  const { statusCode, body } = await client.request({ method: "PUT", path, body: "{}" });
  const answer = await body.text();
  if (statusCode !== 200) throw new Error(`PUT ${path} was answered with ${statusCode}: ${answer}`);
}

await carryOut(
  load,
  () => ({
    enter: async () => {
      await queue.enter();
      await write();
      return null;
    },
    leave: async () => {
      await write();
      queue.leave();
    },
  }),
  () => client.close(),
);
